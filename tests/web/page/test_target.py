"""The page of one target, and the tables of training jobs and evaluations."""

from typing import Any

import pytest
from aiohttp.test_utils import TestClient

from exporter.ledger import RECENT_BAD, Evaluated
from exporter.model.endpoint import Basic, Endpoint
from exporter.model.failure import Reason
from exporter.model.job import Kind
from exporter.model.observation import Observation, Part, Tokens
from exporter.model.score import Outcome as Example
from exporter.model.score import Score
from exporter.model.secret import Secret
from exporter.model.state import State, Verdict
from exporter.model.stream import Channel, Outcome, StreamSummary
from exporter.model.training import Divergence, Reading, Rules
from exporter.model.training import Outcome as Ended
from tests.web.conftest import WALL  # type: ignore[import-not-found]
from tests.web.test_replicas import watch

from .test_status import HOSTILE, assert_inert, look

pytestmark = pytest.mark.slow

Client = TestClient[Any, Any]


async def words(client: Client, path: str) -> str:
    return " ".join((await look(client, path)).text.split())


async def test_everything_of_a_target(client: Client, house: Any) -> None:
    endpoint = Endpoint("http", "chat.models", 80, "/v1", "key=s3cr3t-query",
                        auth=Basic("u", Secret("inline", "s3cr3t-password")))  # fmt: skip
    health, stream = house.watch("chat", State.UNKNOWN, model="llama", protocol="openai", endpoint=endpoint,
                                 probes=(("health", Kind.HEALTH), ("long", Kind.STREAM)),
                                 labels={"team": "x"})  # fmt: skip
    house.book(health, observation=Observation(info={"server_version": "0.11"}, facts={"max_model_len": 131072.0}))
    house.book(stream, Reason.RESET, detail="first", at=WALL - 7200)
    summary = StreamSummary(Outcome.COMPLETE, {Channel.CONTENT: 0.25}, (), 0.125, 1.0, 9, None, 0.05)
    seen = Observation(stream=summary, tokens=Tokens(12, 40_000), answer="s3cr3t", server_seconds={Part.QUEUE: 0.5})
    for _ in range(2):
        house.book(stream, duration=1.5, at=WALL - 3600, observation=seen)
    house.book(stream, Reason.TIMEOUT, detail="again", at=WALL - 60, duration=5.0)
    house.book(stream, Reason.TIMEOUT, detail="and again", at=WALL - 9, duration=5.0)
    house.ledger.planned(stream, 90.0, WALL + 8)
    house.ledger.skip(stream, "overlap", 3)
    house.ledger.judge("chat", Verdict(State.ZOMBIE, Reason.TIMEOUT, "and again", "long", True))
    text = await words(client, "target?name=chat")
    for said in (
        "zombie for 0 s", "health checks say yes, a real request does not come back", "long: no whole answer in time",
        "http://chat.models/v1", "team=x", "server version 0.11", "max model len 131 072",
        "error: no whole answer in time", "ran 9 s ago , next in 8 s", "last 5 runs of long: 3 failed",
        "first token of the last 2 healthy runs of long", "connect 1.00 ms", "first byte 10.0 ms",
        "runs healthy 2 of 5", "every 1m30s", "tokens spent 24 input, 80.0 k output", "failed by timeout 2",
        "skipped: the run before was still going 3", "Transcript of the last failure, 9 s ago", "detail: and again",
        "address: 127.0.0.1", "2 times since 1 min ago", "2 h ago",
    ):  # fmt: skip
        assert said in text, said
    assert "detail: first" not in text, "the transcript is of the last failure"
    assert "s3cr3t" not in text


async def test_trouble_is_the_first_card(client: Client, house: Any) -> None:
    for job, reason in zip(house.watch(probes=(("a", Kind.HEALTH), ("b", Kind.READY), ("c", Kind.INFER))),
                           (None, None, Reason.RESET), strict=True):  # fmt: skip
        house.book(job, reason)
    page = await look(client, "target?name=chat")
    cards = [attrs["data-key"] for tag, attrs in page.tags if tag == "section" and "data-key" in attrs]
    assert cards == ["c", "a", "b"]


async def test_failures_in_a_row_are_one_and_outlive_what_is_healthy(client: Client, house: Any) -> None:
    [job] = house.watch()
    for number in range(100):
        house.book(job, Reason.RESET, at=WALL - 5000 + number)
    for number in range(100):
        house.book(job, at=WALL - 4000 + number)
    house.book(job, Reason.RESET, at=WALL - 60)
    told = await (await client.get("/api/v1/targets/chat")).json()
    assert [run["count"] for run in told["probes"][0]["recent_failures"]] == [100, 1]
    assert "100 times since 1 h 23 min ago" in await words(client, "target?name=chat")
    for number in range(200):  # each another than the one before
        house.book(job, (Reason.RESET, Reason.TIMEOUT)[number % 2], at=WALL - 50 + number / 100)
    told = await (await client.get("/api/v1/targets/chat")).json()
    assert len(told["probes"][0]["recent_failures"]) == RECENT_BAD


async def test_a_name_that_many_share_leads_to_each(client: Client, house: Any) -> None:
    watch(house, State.HEALTHY, State.ERROR)
    text = await words(client, "target?name=chat")
    assert "2 replicas: 1 error, 1 healthy" in text
    assert "chat@10.0.0.1:8000" in text
    assert "the odd one" not in text
    one = await look(client, "target?name=chat%4010.0.0.1%3A8000")
    assert "./?q=chat" in [attrs.get("href") for tag, attrs in one.tags if tag == "a"]


async def test_a_target_that_there_is_not(client: Client) -> None:
    for path in ("/target", "/target?name=gone"):
        answer = await client.get(path)
        assert answer.status == 404
        assert "No such target" in await answer.text()


async def test_training_jobs(client: Client, house: Any) -> None:
    assert "No training job is followed" in await words(client, "training")
    rules = Rules(stall_after=600.0, divergence=Divergence("loss", 2.0, 1))
    made = {name: house.ledger.add_training(name, rules) for name in ("new", "going", "done", "broken", "wild", "old")}
    for name in ("going", "done", "broken", "wild", "old"):
        at = WALL - (700 if name == "old" else 10)
        made[name].take(Reading(step=1234, epoch=1.5, progress=0.254, values=(("loss", 0.25), (HOSTILE[:20], 1e9))), at)
    made["wild"].take(Reading(values=(("loss", 9.0),)), WALL)
    made["done"].finished(Ended.FINISHED)
    made["broken"].finished(Ended.KILLED)
    made["going"].lines(5000)
    made["going"].skipped(7)
    made["old"].since = WALL - 700
    html = await (await client.get("/training")).text()
    assert_inert(html)
    text = await words(client, "training")
    for said in ("6 training jobs", "new nothing told yet", "going running 25 % step 1 234, epoch 1.5 loss 0.25",
                 "10 s ago 5 000 lines read, 7 lines skipped", "done finished", "broken killed", "wild diverged",
                 "old stalled", "1 000 000 000"):  # fmt: skip
        assert said in text, said


@pytest.mark.parametrize(
    ("score", "said"),
    [
        (None, "not complete"),
        (Score("accuracy", {Example.FAILED: 3}), "not complete accuracy 0 of 3"),
        (
            Score("accuracy", {Example.SCORED: 900, Example.FAILED: 100}, 0.5, 0.47, 0.53, 0.8, True, "ab" * 32),
            "below its threshold 0.500 (0.470 to 0.530) accuracy 0.8 900 of 1 000 abababababab",
        ),
        (Score("f1", {Example.SCORED: 3}, 0.9), "good 0.900 f1 3 of 3"),
    ],
)
async def test_evaluations(client: Client, house: Any, score: Score | None, said: str) -> None:
    assert "No evaluation is configured" in await words(client, "evaluations")
    house.watch("odd", probes=(("golden", Kind.EVALUATE),))
    record = house.ledger.targets["odd"]
    evaluated = Evaluated()
    record.evaluations = {"golden": evaluated}
    assert "odd golden has not run yet" in await words(client, "evaluations")
    evaluated.note(score, WALL - 60)
    assert f"odd golden {said} 1 min ago" in await words(client, "evaluations")
    assert f"golden {said} 1 min ago" in await words(client, "target?name=odd")
