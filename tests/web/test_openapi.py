"""/openapi.json against what is served: every path, and the form of every JSON answer."""

import json
import math
import re
from typing import Any

import pytest
from aiohttp.test_utils import TestClient
from jsonschema import Draft202012Validator

from exporter.ledger import Evaluated
from exporter.ledger.drift import Drift
from exporter.model.cost import Allowance, Balance, Cost
from exporter.model.endpoint import Endpoint
from exporter.model.failure import Reason
from exporter.model.job import Kind
from exporter.model.observation import Observation, Part
from exporter.model.score import Outcome as Example
from exporter.model.score import Score
from exporter.model.state import State, StateChange, Verdict
from exporter.model.stream import Channel, Outcome, StreamSummary
from exporter.web import events, openapi

from .conftest import WALL, make_result  # type: ignore[import-not-found]

pytestmark = pytest.mark.slow

Client = TestClient[Any, Any]


def furnish(house: Any) -> None:
    """Targets of which everything is known that can be, and some of which nothing is."""
    probes = (("health", Kind.HEALTH), ("stream", Kind.STREAM), ("golden", Kind.EVALUATE))
    health, stream, _ = house.watch("chat", State.UNKNOWN, probes=probes, model="llama", labels={"team": "x"})
    summary = StreamSummary(Outcome.COMPLETE, {Channel.CONTENT: 0.25}, (0.1,), 0.1, 1.0, 9, None, 0.05)
    house.book(health, observation=Observation(info={"server": "vLLM"}, facts={"odd": math.nan, "slots": 2}))
    for reason in (Reason.RESET, Reason.RESET, Reason.TIMEOUT):
        house.book(stream, reason, detail="gone")
    house.book(stream, observation=Observation(stream=summary, server_seconds={Part.QUEUE: 0.5}))
    house.ledger.planned(stream, 15.0, WALL + 8)
    house.ledger.skip(health, "asleep", paused=True)
    house.ledger.balance("chat", Balance(Allowance(100, None, 3600.0), Cost(93, 5), WALL + 60))
    house.ledger.rest("chat", WALL + 60)
    record = house.ledger.targets["chat"]
    record.certificate_not_after = WALL + 1
    record.probes["stream"].drift = Drift()
    score = Score("accuracy", {Example.SCORED: 3}, 0.5, 0.1, 0.9, 0.8, below=True, dataset="ab" * 32)
    evaluated = Evaluated()
    evaluated.note(score, WALL)
    record.evaluations = {"golden": evaluated}
    house.watch("new", State.UNKNOWN)
    for number, state in enumerate((State.HEALTHY, State.ERROR, State.HEALTHY)):
        place = f"10.0.0.{number}:8000"
        house.watch(f"many@{place}", state, group="many", address=place, model="llama",
                    endpoint=Endpoint("http", "many.svc", 8000, addresses=(f"10.0.0.{number}",)),
                    reason=Reason.RESET if state is State.ERROR else None)  # fmt: skip


#: (method, path, body): each JSON answer that there is to be had, with the status it has.
ASKED = [
    ("get", "/api/v1/targets", None, 200),
    ("get", "/api/v1/targets?limit=1&state=error&q=many", None, 200),
    ("get", "/api/v1/targets?limit=0&state=x&cursor=y", None, 400),
    ("get", "/api/v1/targets/chat", None, 200),
    ("get", "/api/v1/targets/new", None, 200),
    ("get", "/api/v1/targets/many", None, 200),
    ("get", "/api/v1/targets/many%4010.0.0.1%3A8000", None, 200),
    ("get", "/api/v1/targets/none", None, 404),
    ("post", "/api/v1/targets/chat/probe", None, 202),
    ("post", "/api/v1/targets/chat/probe?probe=none", None, 400),
    ("post", "/api/v1/targets/none/probe", None, 404),
    ("get", "/api/v1/events?kind=x", None, 400),
    ("get", "/api/v1/gate?select=target=new", None, 503),
    ("post", "/api/v1/gate?select=target=new", None, 503),
    ("get", "/api/v1/gate?select=x", None, 400),
    ("post", "/api/v1/maintenance", {"targets": ["chat"], "for": "1m", "comment": "new GPU"}, 201),
    ("post", "/api/v1/maintenance", {"targets": ["none"]}, 400),
    ("get", "/api/v1/maintenance", None, 200),
    ("delete", "/api/v1/maintenance/none", None, 404),
    ("get", "/ready/chat", None, 503),
    ("get", "/ready/many", None, 200),
    ("get", "/openapi.json", None, 200),
]


@pytest.mark.parametrize(("method", "path", "body", "status"), ASKED, ids=[f"{one[0]} {one[1]}" for one in ASKED])
async def test_answers_are_as_described(
    client: Client, house: Any, method: str, path: str, body: Any, status: int
) -> None:
    furnish(house)
    answer = await client.request(method, path, json=body, headers={"Accept": "application/json"})
    assert answer.status == status
    assert answer.content_type == "application/json"
    described = operation(method, path)["responses"][str(status)]["content"]["application/json"]["schema"]
    check(described, await answer.json())


async def test_maintenance_that_is_ended(client: Client, house: Any) -> None:
    furnish(house)
    made = await (await client.post("/api/v1/maintenance", json={"targets": ["chat"], "for": "1m"})).json()
    told = await (await client.get("/api/v1/maintenance")).json()
    assert len(told["announced"]) == 1
    check({"$ref": "#/components/schemas/Maintenances"}, told)
    answer = await client.delete(f"/api/v1/maintenance/{made['id']}")
    check({"$ref": "#/components/schemas/Ended"}, await answer.json())


def test_events_are_as_described(house: Any) -> None:
    [job] = house.watch()
    verdict = Verdict(State.ERROR, Reason.RESET, "gone", "health")
    for seen in (events.run(make_result(job)), events.run(make_result(job, Reason.RESET, detail="x"))):
        check({"$ref": "#/components/schemas/Run"}, json.loads(json.dumps(seen)))
    for change in (StateChange("a", "", State.UNKNOWN, verdict, WALL), StateChange("a", "m", State.ERROR,
                   Verdict(State.HEALTHY, verified=True), WALL)):  # fmt: skip
        check({"$ref": "#/components/schemas/StateChange"}, json.loads(json.dumps(events.state(change))))


def test_every_path_is_described_and_no_other(client: Client) -> None:
    served: dict[str, set[str]] = {}
    for route in client.app.router.routes():
        path = route.resource.canonical if route.resource is not None else ""
        if route.method != "HEAD" and not path.startswith("/static/"):
            served.setdefault(path.replace("{target}", "{name}"), set()).add(route.method.lower())
    assert served == {path: set(methods) for path, methods in openapi.description()["paths"].items()}


def test_it_is_whole() -> None:
    """Every reference leads somewhere, every schema is one, and every parameter of a path is told."""
    told = openapi.description()
    for schema in told["components"]["schemas"].values():
        Draft202012Validator.check_schema(schema)
    used = set(re.findall(r'"#/components/schemas/(\w+)"', json.dumps(told)))
    spoken = {"StateChange", "Run"}  # data of events, which OpenAPI cannot tie to their stream
    assert used | spoken == set(told["components"]["schemas"])
    for path, methods in told["paths"].items():
        for described in methods.values():
            given = {one["name"] for one in described.get("parameters", ()) if one["in"] == "path"}
            assert given == set(re.findall(r"{(\w+)}", path)), path
            assert described["summary"]


def operation(method: str, asked: str) -> dict[str, Any]:
    """The description of what was asked: the path with the fewest parameters that fits."""
    path = asked.partition("?")[0]
    paths = openapi.description()["paths"]
    fitting = [one for one in paths if re.fullmatch(re.sub(r"{\w+}", "[^/]+", one), path)]
    found: dict[str, Any] = paths[min(fitting, key=lambda one: one.count("{"))][method]
    return found


def check(schema: dict[str, Any], value: Any) -> None:
    """Whether a value is what a schema says."""
    whole = {**schema, "components": openapi.description()["components"]}
    problems = [f"{list(one.path)}: {one.message}" for one in Draft202012Validator(whole).iter_errors(value)]
    assert problems == []
