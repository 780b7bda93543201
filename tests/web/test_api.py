import json
import math
from typing import Any

from aiohttp.test_utils import TestClient

from exporter.ledger.drift import Drift
from exporter.model.endpoint import Basic, Endpoint
from exporter.model.failure import Reason
from exporter.model.job import Kind
from exporter.model.observation import Observation
from exporter.model.secret import Secret
from exporter.model.state import State, Verdict
from exporter.model.stream import Channel, Outcome, StreamSummary

from .conftest import WALL  # type: ignore[import-not-found]

Client = TestClient[Any, Any]


async def test_all_targets(client: Client, house: Any) -> None:
    house.watch("b")
    house.watch("a", State.ERROR, reason=Reason.DNS)
    answer = await client.get("/api/v1/targets")
    assert answer.headers["Content-Type"] == "application/json; charset=utf-8"
    told = await answer.json()
    assert told["total"] == 2
    assert told["states"] == {"healthy": 1, "error": 1}
    assert [target["name"] for target in told["targets"]] == ["a", "b"]
    assert await (await client.get("/api/v1/targets?state=healthy&q=B")).json() == {
        "total": 2, "states": {"healthy": 1, "error": 1}, "budget": None, "targets": [told["targets"][1]],
    }  # fmt: skip


async def test_no_target_is_an_empty_list(client: Client) -> None:
    assert await (await client.get("/api/v1/targets")).json() == {
        "total": 0, "states": {}, "budget": None, "targets": [],
    }  # fmt: skip


async def test_a_long_list_is_whole(client: Client, house: Any) -> None:
    for number in range(500):
        house.watch(f"t{number}")
    told = await (await client.get("/api/v1/targets")).json()
    assert {target["name"] for target in told["targets"]} == {f"t{number}" for number in range(500)}


async def test_one_target_in_full(client: Client, house: Any) -> None:
    endpoint = Endpoint("https", "chat.models", 443, "/v1", "key=s3cr3t-query",
                        auth=Basic("u", Secret("inline", "s3cr3t-password")),
                        headers=(("X-Key", Secret("inline", "s3cr3t-header")),))  # fmt: skip
    probes = [("health", Kind.HEALTH), ("stream", Kind.STREAM)]
    health, stream = house.watch("chat", State.UNKNOWN, endpoint=endpoint, model="llama", protocol="openai",
                                 probes=probes, labels={"team": "x"})  # fmt: skip
    summary = StreamSummary(Outcome.COMPLETE, {Channel.CONTENT: 0.25}, (), 0.1, 1.0, 9, None, None)
    house.book(health, observation=Observation(info={"server": "vLLM"}, facts={"max_model_len": 4096, "odd": math.nan}))
    house.book(stream, Reason.RESET, detail="gone")
    house.book(stream, observation=Observation(stream=summary, answer="s3cr3t-answer"), duration=1.5)
    house.ledger.judge("chat", Verdict(State.HEALTHY, verified=True))
    text = await (await client.get("/api/v1/targets/chat")).text()
    assert "s3cr3t" not in text
    assert "NaN" not in text
    told = json.loads(text)
    assert told["url"] == "https://chat.models/v1"
    assert told["labels"] == {"team": "x"}
    assert (told["state"], told["verified"], told["reason"]) == ("healthy", True, None)
    assert told["info"] == {"server": "vLLM"}
    assert told["metadata"] == {"max_model_len": 4096, "odd": None}
    assert told["since"] == "2027-01-15T08:00:00.000Z"
    probe = told["probes"][1]
    assert (probe["name"], probe["kind"], probe["status"]) == ("stream", "stream", "healthy")
    assert (probe["runs"], probe["successes"]) == (2, 1)
    assert probe["failures"] == [{"status": "error", "reason": "reset", "count": 1}]
    assert (probe["ttft_seconds"], probe["duration_seconds"]) == ({"content": 0.25}, 1.5)
    assert (probe["timeout_seconds"], probe["interval_seconds"]) == (5.0, 15.0)
    assert [run["reason"] for run in probe["recent_failures"]] == ["reset"]
    assert len(probe["recent"]) == 1
    assert probe["last_run"] == "2027-01-15T08:00:00.000Z"
    assert WALL == 1_800_000_000


async def test_drift_is_told(client: Client, house: Any) -> None:
    health, _ = house.watch(probes=[("health", Kind.HEALTH), ("infer", Kind.INFER)])
    drift = house.ledger.targets["chat"].probes["infer"].drift = Drift()
    drift.match, drift.gap, drift.changes = False, 0.5, 2
    for version in ("3", "4"):
        house.book(health, observation=Observation(info={"model_version": version}))
    told = (await (await client.get("/api/v1/targets")).json())["targets"][0]
    assert told["metadata_changes"] == {"model_version": 1}
    assert [probe["drift"] for probe in told["probes"]] == [None, {"match": False, "distance": 0.5, "changes": 2}]


async def test_hostile_text_is_json(client: Client, house: Any) -> None:
    name = 'x"},<script>\u2028\\\n'
    house.watch(name, State.ERROR, reason=Reason.MALFORMED, detail=name)
    answer = await client.get("/api/v1/targets")
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert (await answer.json())["targets"][0]["detail"] == name


async def test_an_unknown_target_is_told_as_json(client: Client) -> None:
    answer = await client.get("/api/v1/targets/x")
    assert answer.status == 404
    assert await answer.json() == {"error": "no such target"}


async def test_head_has_no_body(client: Client, house: Any) -> None:
    house.watch("a")
    for path in ("/api/v1/targets", "/metrics", "/"):
        answer = await client.head(path)
        assert answer.status == 200
        assert await answer.read() == b""
