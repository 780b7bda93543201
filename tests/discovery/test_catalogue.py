"""A server's list: what of it is watched, and what the answers of a server that restarts or changes mean."""

from collections.abc import Callable
from typing import Any

import pytest

from exporter.discovery.catalogue import MAX_NAMES, Catalogue, Wanted
from exporter.model.endpoint import Endpoint
from exporter.model.failure import Evidence, Failure, Reason, Status
from exporter.model.job import Job, Kind, Retry, Schedule, Thresholds
from exporter.model.observation import Detection, Measurement, Observation
from exporter.model.result import Result
from exporter.model.target import Target

VLLM = Detection("openai", "vllm", ("health", "ready"), "/v1/models answers as vLLM does")
OLLAMA = Detection("ollama", "ollama", ("health",), "/ answers as Ollama does")


def wanted(listed: list[str], **settings: Any) -> tuple[tuple[str, ...], int, int | None]:
    found = Wanted(**settings).of(listed)
    return found.names, found.over, found.missing


def test_include_and_exclude_are_found_anywhere_in_a_name() -> None:
    listed = ["llama-3", "codellama", "llama-embed", "gpt"]
    assert wanted(listed)[0] == ("codellama", "gpt", "llama-3", "llama-embed")
    assert wanted(listed, include="llama", exclude="embed")[0] == ("codellama", "llama-3")
    assert wanted(listed, include="^llama")[0] == ("llama-3", "llama-embed")


def test_expected_models_are_watched_whether_they_are_listed_or_not() -> None:
    names, _, missing = wanted(["b", "a"], expected=("z", "a"))
    assert names == ("z", "a", "b")
    assert missing == 1
    assert wanted(["a", "z"], expected=("z", "a"))[2] == 0
    assert wanted([], expected=("z", "a")) == (("z", "a"), 0, 2)


def test_the_limit_is_for_all_and_the_order_of_a_list_decides_nothing() -> None:
    listed = [f"m{number}" for number in range(9)]
    names, over, _ = wanted(listed, limit=3, expected=("m8",))
    assert (names, over) == (("m8", "m0", "m1"), 6)
    assert wanted(listed[::-1], limit=3, expected=("m8",))[0] == names


def test_names_nobody_can_ask_for_are_left_out() -> None:
    assert wanted(["a", "a", "", "b\n", "c\u202e", "x" * 257, "\ud800"])[0] == ("a",)


def test_a_list_without_end_is_cut() -> None:
    names, over, _ = wanted([f"m{number:05}" for number in range(MAX_NAMES + 5)], limit=10)
    assert (len(names), over) == (10, MAX_NAMES - 10 + 5)


def test_a_pattern_that_explodes_stops_nobody() -> None:
    assert wanted(["a" * 200 + "!", "b"], exclude="(a+)+$")[0][-1] == "b"


async def never(_: object) -> Observation:
    raise AssertionError


def job(kind: Kind = Kind.CATALOGUE, protocol: str = "openai", fingerprint: str = "1") -> Job:
    target = Target("gw", Endpoint("http", "h", 8000), protocol)
    return Job(target, str(kind), kind, Schedule(60, 5, 5), Retry(), Thresholds(), never, fingerprint)


class Server:
    """Answers runs by their kind; `asked` are the kinds, with the protocol of a listing."""

    def __init__(self, **settings: Any) -> None:
        self.detection: Detection | Failure = VLLM
        self.models: tuple[str, ...] | Failure | None = ("a",)
        self.asked: list[str] = []
        self.wanted = Wanted(**settings)

    def catalogue(self, asks: Job | None = None) -> Catalogue:
        return Catalogue("gw", asks or job(), self.wanted, listing=self.listing, run=self.run)

    def listing(self, found: Detection) -> Job:
        if found.protocol == "http":
            raise Failure(Reason.EXPECTATION, "the server looks like http, which has no list of models")
        return job(protocol=found.protocol)

    async def run(self, of: Job) -> Result:
        self.asked.append("detect" if of.kind is Kind.DETECT else of.target.protocol)
        answer = self.detection if of.kind is Kind.DETECT else self.models
        reason = answer.reason if isinstance(answer, Failure) else None
        return Result(
            job=of, generation=0, planned=0, started=0, ended=0, at=0,
            status=Status.ERROR if reason else Status.HEALTHY, evidence=Evidence.DEAD if reason else Evidence.OK,
            reason=reason, detail="why" if reason else "", attempts=1, failures=(), measurement=Measurement(),
            observation=Observation(
                detected=answer if isinstance(answer, Detection) else None,
                models=answer if isinstance(answer, tuple) else None,
            ),
            trace_id="0" * 32,
        )  # fmt: skip


async def test_a_list_is_read_by_the_protocol_that_is_named() -> None:
    server = Server(expected=("z",))
    found = await server.catalogue().find()
    assert (found.names, found.missing, found.detection, server.asked) == (("z", "a"), 1, None, ["openai"])


@pytest.mark.parametrize(("answer", "reason"), [
    (Failure(Reason.CONNECT_REFUSED, ""), Reason.CONNECT_REFUSED), (None, Reason.INTERNAL),
])  # fmt: skip
async def test_no_list_is_a_failure(answer: Any, reason: Reason) -> None:
    server = Server()
    server.models = answer
    with pytest.raises(Failure) as caught:
        await server.catalogue().find()
    assert caught.value.reason is reason


async def test_one_empty_list_after_a_full_one_proves_nothing_a_second_one_does() -> None:
    server = Server(expected=("a",))
    server.models = ("a", "b")
    catalogue = server.catalogue()
    await catalogue.find()
    server.models = ()
    kept = await catalogue.find()
    assert (kept.names, kept.missing) == (("a", "b"), 1), "what is missing is told at once"
    gone = await catalogue.find()
    assert (gone.names, gone.missing) == (("a",), 1)
    server.models = ("a", "b")
    assert (await catalogue.find()).names == ("a", "b")
    server.models = ()
    assert (await catalogue.find()).names == ("a", "b"), "the next restart has its grace too"


async def test_a_shorter_list_is_taken_at_once_and_a_first_empty_one_too() -> None:
    server = Server()
    server.models = ()
    catalogue = server.catalogue()
    assert (await catalogue.find()).names == ()
    server.models = ("a", "b")
    assert (await catalogue.find()).names == ("a", "b")
    server.models = ("b",)
    assert (await catalogue.find()).names == ("b",)


async def test_auto_asks_once_what_the_server_is() -> None:
    server = Server()
    catalogue = server.catalogue(job(Kind.DETECT, "auto"))
    found = await catalogue.find()
    assert found.detection is VLLM
    await catalogue.find()
    assert server.asked == ["detect", "openai", "openai"]


async def test_a_server_that_failed_is_asked_again_what_it_is() -> None:
    server = Server()
    catalogue = server.catalogue(job(Kind.DETECT, "auto"))
    await catalogue.find()
    server.models = Failure(Reason.CONNECT_REFUSED, "")
    with pytest.raises(Failure):
        await catalogue.find()
    server.models, server.detection, server.asked = ("m",), OLLAMA, []
    found = await catalogue.find()
    assert (found.detection, server.asked) == (OLLAMA, ["detect", "ollama"])


async def test_the_same_answer_in_other_words_is_no_news() -> None:
    server = Server()
    catalogue = server.catalogue(job(Kind.DETECT, "auto"))
    first = await catalogue.find()
    server.models = Failure(Reason.TIMEOUT, "")
    with pytest.raises(Failure):
        await catalogue.find()
    server.models, server.detection = ("a",), Detection("openai", "vllm", ("health", "ready"), "other words")
    assert await catalogue.find() == first


async def test_a_server_that_could_not_be_told_yet_is_asked_again() -> None:
    """A gateway may answer before the server behind it does."""
    server = Server()
    catalogue = server.catalogue(job(Kind.DETECT, "auto"))
    server.detection = Detection("http", "", ("health",), "unknown")
    for _ in range(2):
        with pytest.raises(Failure, match="no list of models"):
            await catalogue.find()
    server.detection = VLLM
    assert (await catalogue.find()).names == ("a",)
    assert server.asked == ["detect", "detect", "detect", "openai"]


@pytest.mark.parametrize(("change", "same_question", "same_place"), [
    (lambda: Server().catalogue(), True, True),
    (lambda: Server(limit=5).catalogue(), False, True),
    (lambda: Server().catalogue(job(fingerprint="2")), False, True),
    (lambda: Catalogue("gw", Job(Target("gw", Endpoint("http", "other", 8000)), "catalogue", Kind.CATALOGUE,
        Schedule(60, 5, 5), Retry(), Thresholds(), never, "1"), Wanted(), listing=None, run=None), True, False),
])  # fmt: skip
def test_what_makes_it_another_question_and_another_place(
    change: Callable[[], Catalogue], same_question: bool, same_place: bool
) -> None:
    one, other = Server().catalogue(), change()
    assert (one.question == other.question) is same_question
    assert (one.place == other.place) is same_place
