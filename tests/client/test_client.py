"""What a server is asked, by which protocol, and what comes back."""

import asyncio
import time
from dataclasses import FrozenInstanceError
from typing import Any

import pytest
from aiohttp import web

from exporter import ModelClient
from exporter.client import Evidence, Failure, NotOffered, Reason, Retry, Tokens
from exporter.demo.mood import Act, Mood, Timeline
from exporter.demo.stage import Stage
from exporter.model.failure import Asleep
from exporter.protocols.openai import OpenAi
from tests.client.conftest import SAID, Fake

pytestmark = pytest.mark.slow

QUICK = Retry(attempts=3, backoff=0.001, max_backoff=0.01)

X = {"name": "x", "shape": [1, 4], "datatype": "FP32", "data": [[5.1, 3.5, 1.4, 0.2]]}


def in_mood(stage: Stage, scene: str, mood: Mood) -> str:
    """A demo server that feels like this from now on; its url."""
    stage.servers[scene].timeline = Timeline([Act(mood, 3600.0)], time.monotonic)
    return stage.urls[scene]


async def test_a_server_that_is_well(stage: Stage) -> None:
    async with ModelClient(stage.urls["assistant"], "openai", "tiny-llama") as client:
        for check in (await client.health(), await client.ready(), await client.metadata()):
            assert check
            assert (check.ok, check.evidence, check.reason, check.detail) == (True, Evidence.OK, None, "")
            assert (check.http_status, check.attempts) == (200, 1)
            assert check.duration is not None
            assert sum(check.phases.values()) == pytest.approx(check.duration, rel=0.5)
            with pytest.raises(FrozenInstanceError):
                check.ok = False  # type: ignore[misc]
        told = await client.metadata()
        assert (told.info["server"], told.facts["max_model_len"]) == ("vllm", 8192.0)
        assert await client.models() == ("tiny-llama",)
        assert client.offers == ("health", "ready", "metadata", "infer", "stream")


async def test_a_model_that_is_not_there(stage: Stage) -> None:
    async with ModelClient(stage.urls["assistant"], "openai", "llama-9") as client:
        assert await client.health()
        check = await client.ready()
        assert (bool(check), check.reason, check.evidence) == (False, Reason.MODEL_NOT_FOUND, Evidence.REFUSED)
        assert "tiny-llama" in check.detail
        with pytest.raises(Failure) as caught:
            await client.predict(prompt="hi")
        assert (caught.value.reason, caught.value.http_status) == (Reason.MODEL_NOT_FOUND, 404)


@pytest.mark.parametrize(
    ("mood", "reason", "evidence"),
    [
        (Mood.LOADING, Reason.NOT_READY, Evidence.LOADING),
        (Mood.BROKEN, Reason.HTTP_STATUS, Evidence.BROKEN),
    ],
)
async def test_a_server_that_is_not_well(stage: Stage, mood: Mood, reason: Reason, evidence: Evidence) -> None:
    async with ModelClient(in_mood(stage, "assistant", mood), "openai", retry=QUICK) as client:
        for check in (await client.health(), await client.ready(), await client.metadata()):
            assert (check.ok, check.reason, check.evidence) == (False, reason, evidence)
        with pytest.raises(Failure, match=reason):
            await client.predict(prompt="hi")


async def test_nobody_is_there(free_port: Any) -> None:
    async with ModelClient(f"http://127.0.0.1:{free_port()}", "openai", retry=QUICK) as client:
        check = await client.health()
        assert (check.ok, check.reason, check.evidence) == (False, Reason.CONNECT_REFUSED, Evidence.DEAD)
        assert (check.attempts, check.http_status) == (3, None)


async def test_settings_of_a_question_are_those_of_its_probe(stage: Stage) -> None:
    async with ModelClient(stage.urls["fraud"], "open_inference", "fraud") as client:
        assert await client.metadata(expect={"platform": "sklearn"})
        check = await client.metadata(expect={"platform": "torch"})
        assert (check.ok, check.reason, check.info["platform"]) == (False, Reason.EXPECTATION, "sklearn")


async def test_auto_finds_the_protocol_once_on_entry(fake: Fake) -> None:
    entry = {"id": "m", "object": "model", "owned_by": "vllm"}
    fake.always({"object": "list", "data": [entry]})
    client = ModelClient(fake.url)
    assert (client.protocol, client.detection) == ("auto", None)
    async with client:
        assert fake.paths.count("GET /") == 1
        assert {request.method for request in fake.requests} == {"GET"}
        assert client.protocol == "openai"
        assert client.detection is not None
        assert client.detection.why
        assert await client.health()
        assert await client.ready()
        assert fake.paths.count("GET /") == 1


async def test_auto_waits_for_a_server_that_is_not_there_yet(fake: Fake) -> None:
    fake.always({"error": "starting"}, status=503)
    async with ModelClient(fake.url, retry=QUICK) as client:
        check = await client.health()
        assert (check.ok, check.reason, client.protocol) == (False, Reason.NOT_READY, "auto")
        for refused in (client.predict(prompt="hi"), client.models()):
            with pytest.raises(Failure, match="not_ready"):
                await refused
        fake.always({"object": "list", "data": [{"id": "m", "owned_by": "vllm"}]})
        assert await client.ready()
        assert client.protocol == "openai"


async def test_one_finds_out_for_all(fake: Fake) -> None:
    fake.always({"error": "starting"}, status=503)
    async with ModelClient(fake.url, retry=1) as client:
        rounds = len(fake.requests)
        await asyncio.gather(*(client.health() for _ in range(20)))
        assert len(fake.requests) == 2 * rounds


async def test_a_named_protocol_asks_nothing_on_entry(fake: Fake) -> None:
    async with ModelClient(fake.url, "openai"):
        pass
    assert not fake.requests


async def test_what_a_protocol_does_not_have_is_not_offered(fake: Fake) -> None:
    async with ModelClient(fake.url, "mlflow") as client:
        for question in (client.ready(), client.predict_many([{}])):
            with pytest.raises((NotOffered, ValueError)):
                await question
        with pytest.raises(NotOffered, match="mlflow offers no stream; it offers health"):
            client.stream(prompt="hi")
    assert not fake.requests


async def test_a_prediction(stage: Stage) -> None:
    async with ModelClient(stage.urls["fraud"], "open_inference", "fraud") as client:
        answer = await client.predict(inputs=[X])
        assert answer.value["outputs"] == [{"name": "predict", "shape": [1], "datatype": "INT64", "data": [0]}]
        assert (answer.info, answer.text, answer.tokens) == ({"model_version": "1"}, "", None)
        assert (answer.measurement.http_status, answer.attempts) == (200, 1)
        assert answer.duration == answer.measurement.duration
        assert set(answer.phases) >= {"first_byte", "transfer"}


async def test_an_answer_in_words(stage: Stage) -> None:
    async with ModelClient(stage.urls["assistant"], "openai", "tiny-llama") as client:
        answer = await client.predict(prompt="hi", max_tokens=64)
        assert answer.text == "OK. All tokens are in the right place and in order."
        assert answer.value["choices"][0]["message"]["content"] == answer.text
        assert answer.tokens == Tokens(input=6, output=13)


@pytest.mark.parametrize(
    ("protocol", "settings", "said"),
    [
        ("mlflow", {"inputs": [[1, 2]]}, {"predictions": [3]}),
        ("kserve_v1", {"instances": [[1, 2]]}, {"predictions": [3]}),
        ("seldon", {"ndarray": [[1, 2]]}, {"data": {"ndarray": [[3]]}}),
        ("http", {"body": {"a": 1}}, {"whatever": [1, {"b": None}]}),
        ("litserve", {"body": {"input": 1}}, {"output": 2}),
        ("openai", {"prompt": "hi"}, SAID),
    ],
)
async def test_the_whole_answer_comes_back(fake: Fake, protocol: str, settings: dict[str, Any], said: Any) -> None:
    fake.always(said)
    async with ModelClient(fake.url, protocol, "m") as client:
        assert (await client.predict(**settings)).value == said


async def test_vectors(fake: Fake) -> None:
    fake.always({"data": [{"index": 1, "embedding": [0.0, 1.0]}, {"index": 0, "embedding": [1.0, 0.0]}]})
    async with ModelClient(fake.url, "openai", "m") as client:
        answer = await client.predict(api="embeddings", input=["one", "two"])
    assert [list(vector) for vector in answer.vectors] == [[1.0, 0.0], [0.0, 1.0]]


@pytest.mark.parametrize("body", [b"plain words", b"[1, ", b"\xff\x00", b""])
async def test_an_answer_that_is_no_json_is_a_text(fake: Fake, body: bytes) -> None:
    async def answer(request: web.Request) -> web.Response:
        return web.Response(body=body)

    fake.answer = answer
    async with ModelClient(fake.url, "http") as client:
        found = await client.predict(body="hi")
    assert (found.value, found.body, found.text) == (None, body, body.decode("utf-8", "replace"))


async def test_an_answer_that_is_not_the_expected_one(stage: Stage) -> None:
    async with ModelClient(stage.urls["fraud"], "open_inference", "fraud") as client:
        with pytest.raises(Failure) as caught:
            await client.predict(inputs=[X], expect={"outputs": [{"name": "predict", "data": [1]}]})
    assert caught.value.reason is Reason.EXPECTATION
    assert "expected 1" in caught.value.detail


async def test_an_answer_that_is_right_and_late(stage: Stage) -> None:
    async with ModelClient(stage.urls["fraud"], "open_inference", "fraud") as client:
        with pytest.raises(Failure) as caught:
            await client.predict(inputs=[X], expect={"duration": "1ms"})
        assert (caught.value.reason, caught.value.row.evidence) == (Reason.EXPECTATION, Evidence.BUSY)
        assert "expected at most 0.001 s" in caught.value.detail
        assert (await client.predict(inputs=[X], expect={"duration": "1m"})).value


async def test_a_model_that_is_asked_by_hand_may_be_woken(fake: Fake, monkeypatch: pytest.MonkeyPatch) -> None:
    fake.always(SAID)

    async def infer(self: Any, exchange: Any) -> Any:
        if not self.wake:
            raise Asleep("it sleeps")
        return await original(self, exchange)

    original = OpenAi.infer
    monkeypatch.setattr(OpenAi, "infer", infer)
    async with ModelClient(fake.url, "openai", "m") as client:
        assert (await client.predict(prompt="hi")).text == "OK."
