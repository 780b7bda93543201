"""Runs of a tracking server that answers as MLflow's REST API 2.0 says; the real one is in tests/real."""

import base64
import json
import math
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import web

from exporter.model.endpoint import Basic, Bearer, Service
from exporter.model.secret import Secret
from exporter.model.training import Outcome, Reading
from exporter.training.sources import Ended, Open, Pause, backoff, mlflow
from exporter.training.sources.mlflow import Mlflow
from tests.training.reading import Told, reading

pytestmark = pytest.mark.slow


class Tracking:
    """One run. `pages`: whether the store has pages of history; `break_at`: the question after which it fails once."""

    def __init__(self) -> None:
        self.status = "RUNNING"
        self.points: dict[str, list[dict[str, Any]]] = {}
        self.pages = True
        self.asked: list[str] = []
        self.authorization: set[str | None] = set()
        self.break_at = 0
        self.url = ""
        self.echo = False
        self.odd: Any = None

    def log(self, key: str, value: float, step: int, at: int = 1_700_000_000_000) -> None:
        number: float | str = (
            value if math.isfinite(value) else {"nan": "NaN", "inf": "Infinity"}.get(str(value), "-Infinity")
        )
        self.points.setdefault(key, []).append({"key": key, "value": number, "timestamp": at + step, "step": step})

    async def run(self, request: web.Request) -> web.Response:
        self.authorization.add(request.headers.get("Authorization"))
        if self.odd is not None:
            return web.json_response(self.odd)
        if request.query["run_id"] != "abc":
            message = f"sent {request.headers['Authorization']}" if self.echo else "Run 'nope' not found"
            return web.json_response({"error_code": "RESOURCE_DOES_NOT_EXIST", "message": message}, status=404)
        metrics = [points[-1] for points in self.points.values()]
        run = {"info": {"run_id": "abc", "status": self.status}, "data": {"metrics": metrics}}
        return web.json_response({"run": run})

    async def history(self, request: web.Request) -> web.Response:
        self.asked.append(f"{request.query['metric_key']} {request.query.get('page_token', '')}".strip())
        if self.break_at and len(self.asked) == self.break_at:
            return web.Response(status=503)
        if not self.pages:
            return web.json_response({"error_code": "INVALID_PARAMETER_VALUE", "message": "no pages"}, status=400)
        token = request.query.get("page_token")
        start = json.loads(base64.b64decode(token))["offset"] if token else 0
        end = start + int(request.query["max_results"])
        points = self.points[request.query["metric_key"]]
        answer: dict[str, Any] = {"metrics": points[start:end]}
        if end < len(points):
            answer["next_page_token"] = base64.b64encode(json.dumps({"offset": end}).encode()).decode()
        return web.json_response(answer)


@asynccontextmanager
async def serving(tracking: Tracking) -> AsyncIterator[None]:
    app = web.Application()
    app.add_routes(
        [
            web.get("/base/api/2.0/mlflow/runs/get", tracking.run),
            web.get("/base/api/2.0/mlflow/metrics/get-history", tracking.history),
        ]
    )
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    tracking.url = f"http://127.0.0.1:{runner.addresses[0][1]}/base"
    yield
    await runner.cleanup()


@pytest.fixture
async def tracking(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Tracking]:
    monkeypatch.setattr(mlflow, "INTERVAL", 0.02)
    monkeypatch.setattr(mlflow, "ENDED", 0.05)
    monkeypatch.setattr(mlflow, "_PAGE", 3)
    monkeypatch.setattr(backoff.Backoff, "next", lambda self: 0.02)
    made = Tracking()
    async with serving(made):
        yield made


def source(tracking: Tracking, run: str = "abc", **more: Any) -> Mlflow:
    return Mlflow(Service(tracking.url, **more), run)


def losses(told: Told) -> list[float]:
    return [value for values in told.values for name, value in values.reading.values if name == "loss"]


async def test_every_point_once(tracking: Tracking) -> None:
    logged: list[float] = []
    async with reading(source(tracking)) as told:
        for step in range(25):
            tracking.log("loss", 1 / (step + 1), step)
            logged.append(1 / (step + 1))
            if step % 4 == 0:  # several between two questions, one, or none
                await told.until(lambda told: losses(told) == logged)
        await told.until(lambda told: losses(told) == logged)
        # A page is asked for again while it is not full, and never from the beginning.
        assert len([asked for asked in tracking.asked if asked == "loss"]) <= 4
        assert told.events[0] == Open()
        assert not told.of(Pause)


async def test_points_of_one_step_are_one_reading(tracking: Tracking) -> None:
    for step in range(2):
        tracking.log("loss", 0.5, step)
        tracking.log("accuracy", 0.75, step)
        tracking.log("epoch", step / 2, step)
    async with reading(source(tracking)) as told:
        await told.until(lambda told: len(told.values) == 2)
        assert told.values[1].reading == Reading(step=1, epoch=0.5, values=(("loss", 0.5), ("accuracy", 0.75)))
        assert told.values[1].at == 1_700_000_000.001


async def test_numbers_that_are_not_finite(tracking: Tracking) -> None:
    for step, value in enumerate((math.nan, math.inf, -math.inf)):
        tracking.log("loss", value, step)
    async with reading(source(tracking)) as told:
        await told.until(lambda told: len(losses(told)) == 3)
        assert [str(value) for value in losses(told)] == ["nan", "inf", "-inf"]
        asked = len(tracking.asked)
        tracking.log("other", 1.0, 0)
        await told.until(lambda told: len(told.values) == 4)
        assert tracking.asked[asked:] == ["other"]  # NaN has not changed


@pytest.mark.parametrize(
    ("status", "outcome"), [("FINISHED", Outcome.FINISHED), ("FAILED", Outcome.FAILED), ("KILLED", Outcome.KILLED)]
)
async def test_the_end_and_a_run_that_is_resumed(tracking: Tracking, status: str, outcome: Outcome) -> None:
    tracking.log("loss", 0.5, 0)
    async with reading(source(tracking)) as told:
        await told.until(lambda told: told.values)
        assert not told.of(Ended)
        tracking.log("loss", 0.25, 1)
        tracking.status = status
        await told.until(lambda told: told.of(Ended))
        assert losses(told) == [0.5, 0.25]  # what came before the end was told before it
        tracking.status = "RUNNING"
        tracking.log("loss", 0.1, 2)
        await told.until(lambda told: len(losses(told)) == 3)
        tracking.status = status
        await told.until(lambda told: len(told.of(Ended)) == 2)
        assert told.of(Ended) == [Ended(outcome)] * 2


async def test_a_store_without_pages_tells_the_newest(tracking: Tracking) -> None:
    tracking.pages = False
    async with reading(source(tracking)) as told:
        for step in range(3):
            tracking.log("loss", float(step), step)
            await told.until(lambda told, step=step: losses(told) == [float(each) for each in range(step + 1)])


async def test_what_fails_in_the_middle_is_read_again(tracking: Tracking) -> None:
    for name in ("a", "loss", "z"):
        tracking.log(name, 0.5, 0)
    tracking.break_at = 2
    async with reading(source(tracking)) as told:
        await told.until(lambda told: told.values)
        assert told.pauses == ["http_status: the server answers 503"]
        assert told.values[0].reading.values == (("a", 0.5), ("loss", 0.5), ("z", 0.5))
        assert len(told.values) == 1


async def test_troubles(tracking: Tracking) -> None:
    async with reading(source(tracking, run="nope")) as told:
        await told.until(lambda told: told.pauses)
        assert told.pauses[0] == "http_status: the server answers 404: Run 'nope' not found"


RUN = {"info": {"status": "RUNNING"}, "data": {"metrics": [{"key": "loss", "value": 1, "timestamp": 1, "step": 0}]}}
ODD: list[Any] = [
    [], {}, {"run": None}, {"run": {"info": {}}}, {"run": {**RUN, "data": {"metrics": 7}}},
    {"run": {**RUN, "data": {"metrics": [{"key": "loss"}]}}},
    {"run": {**RUN, "data": {"metrics": [{"key": "loss", "value": "x", "timestamp": 1}]}}},
    {"run": {**RUN, "data": {"metrics": [{"key": "loss", "value": 1, "timestamp": math.inf}]}}},
    {"run": {**RUN, "data": {"metrics": [{"key": "loss", "value": None, "timestamp": 1}]}}},
]  # fmt: skip


@pytest.mark.parametrize("odd", ODD, ids=json.dumps)
async def test_answers_that_are_none(tracking: Tracking, odd: Any) -> None:
    tracking.odd = odd
    async with reading(source(tracking)) as told:
        await told.until(lambda told: told.pauses)
        assert told.pauses[0].startswith("malformed: the answer ")


async def test_credentials(tracking: Tracking) -> None:
    async with reading(source(tracking, auth=Basic("u", Secret("inline", "s3cr3t")))) as told:
        await told.until(lambda told: told.events)
    assert tracking.authorization == {"Basic dTpzM2NyM3Q="}


async def test_a_server_that_echoes_credentials(tracking: Tracking) -> None:
    secret = Secret("inline", "s3cr3t-token-of-ours")
    tracking.echo = True
    for way in ({"auth": Bearer(secret)}, {"headers": (("Authorization", secret),)}):
        async with reading(source(tracking, run="nope", **way)) as told:
            await told.until(lambda told: told.pauses)
            assert "<hidden>" in told.pauses[0]
            assert "s3cr3t" not in repr(told.events)
