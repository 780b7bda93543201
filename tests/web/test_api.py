import json
import math
from typing import Any

import pytest
from aiohttp.test_utils import TestClient

from exporter.ledger.drift import Drift
from exporter.model.endpoint import Basic, Endpoint
from exporter.model.failure import Reason
from exporter.model.job import Kind
from exporter.model.observation import Observation
from exporter.model.secret import Secret
from exporter.model.state import State, Verdict
from exporter.model.stream import Channel, Outcome, StreamSummary
from exporter.web import api
from exporter.web.server import MAX_BODY

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
    assert [target["name"] for target in told["targets"]] == ["b", "a"]
    assert await (await client.get("/api/v1/targets?state=healthy&q=B")).json() == {
        "total": 2, "found": 1, "states": {"healthy": 1, "error": 1}, "budget": None, "next": None,
        "targets": [told["targets"][0]],
    }  # fmt: skip


async def test_pages_show_each_target_once_whatever_comes_and_goes(client: Client, house: Any) -> None:
    for number in range(10):
        house.watch(f"t{number}", State.ERROR if number % 2 else State.HEALTHY)
    seen, cursor = [], "0"
    while cursor is not None:
        told = await (await client.get(f"/api/v1/targets?limit=3&cursor={cursor}")).json()
        seen += [target["name"] for target in told["targets"]]
        cursor = told["next"]
        house.ledger.remove("t0", "health")  # gone after it was shown
        house.ledger.remove("t5", "health")  # gone before
        house.watch(f"late{len(seen)}")
    assert seen[:9] == [f"t{number}" for number in (0, 1, 2, 3, 4, 6, 7, 8, 9)]
    assert len(seen) == len(set(seen))
    told = await (await client.get("/api/v1/targets?limit=2&state=error")).json()
    assert (told["found"], len(told["targets"]), told["next"] is None) == (4, 2, False)


async def test_an_answer_has_a_bound_though_nobody_sets_one(
    monkeypatch: pytest.MonkeyPatch, client: Client, house: Any
) -> None:
    monkeypatch.setattr(api, "MOST", 5)
    for number in range(6):
        house.watch(f"t{number}")
    told = await (await client.get("/api/v1/targets")).json()
    assert (told["total"], len(told["targets"])) == (6, 5)
    assert len((await (await client.get(f"/api/v1/targets?cursor={told['next']}")).json())["targets"]) == 1


async def test_what_is_asked_wrongly_is_said_all_at_once(client: Client) -> None:
    answer = await client.get("/api/v1/targets?state=bad&limit=1001&cursor=-1")
    assert answer.status == 400
    told = await answer.json()
    assert told["error"] == "bad parameters"
    assert [problem.partition(":")[0] for problem in told["problems"]] == ["state", "limit", "cursor"]


async def test_what_goes_wrong_is_told_as_json(monkeypatch: pytest.MonkeyPatch, client: Client, house: Any) -> None:
    for path, status in (("/api/v1/nothing", 404), ("/api/v1/maintenance/x", 405)):
        answer = await client.get(path)
        assert (answer.status, answer.content_type) == (status, "application/json")
        assert set(await answer.json()) == {"error"}
    assert answer.headers["Allow"] == "DELETE"
    for headers, status in (({"Content-Encoding": "gzip"}, 415), ({}, 413)):
        answer = await client.post("/api/v1/maintenance", data=b"x" * (MAX_BODY + 1), headers=headers)
        assert (answer.status, answer.content_type) == (status, "application/json")
        assert "read here" in (await answer.json())["error"]
    house.watch("broken")
    monkeypatch.setattr(api, "target", None)
    answer = await client.get("/api/v1/targets/broken")
    assert (answer.status, await answer.json()) == (
        500,
        {"error": "internal error; the exporter's log has the details"},
    )


async def test_no_target_is_an_empty_list(client: Client) -> None:
    assert await (await client.get("/api/v1/targets")).json() == {
        "total": 0, "found": 0, "states": {}, "budget": None, "next": None, "targets": [],
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
