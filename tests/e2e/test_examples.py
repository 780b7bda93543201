"""Situations whose state depends on how a server words its answers: the whole exporter against fakes of them."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from exporter import app
from exporter.model.failure import Reason
from exporter.model.state import State
from tests.fakes.server import FakeServer
from tests.fakes.torchserve import Management, TorchServe

pytestmark = pytest.mark.slow

OFTEN = {"interval": "200ms"}
IRIS = {"body": {"rows": [[5.1, 3.5, 1.4, 0.2]]}, "expect": {"json": {"path": "classes", "equals": [0]}}, **OFTEN}
TENSOR = [{"name": "x", "shape": [1], "datatype": "FP32", "data": [1.0]}]


class Watching:
    """The exporter in this process, and the states that its one target had."""

    def __init__(self, daemon: app.Daemon) -> None:
        self.daemon = daemon

    @property
    def record(self) -> Any:
        return self.daemon.ledger.targets["t"]

    async def until(self, holds: Callable[[], Any]) -> None:
        async with asyncio.timeout(30):
            while not holds():
                await asyncio.sleep(0.01)

    async def becomes(self, state: State) -> None:
        await self.until(lambda: self.record.state is state)

    def states(self) -> set[State]:
        """Every state that was reached."""
        return {after for _, after in self.record.state_changes}

    def runs(self, probe: str) -> int:
        return int(self.record.probes[probe].runs)


@asynccontextmanager
async def watched(folder: Path, target: dict[str, Any]) -> AsyncIterator[Watching]:
    path = folder / "models.yml"
    path.write_text(json.dumps({"targets": [{"name": "t", **target}]}))
    options = app.Options(config=(path,), listen=(), reload_interval=0.0, shutdown_grace=0.0)
    daemon = app.Daemon(options, on_result=lambda result: None)
    await daemon.start()
    try:
        yield Watching(daemon)
    finally:
        await daemon.stop()


def torchserve(server: TorchServe, management: Any) -> dict[str, Any]:
    probes = {"health": OFTEN, "ready": OFTEN, "infer": IRIS}
    return {
        "url": server.url, "protocol": "torchserve", "model": "iris", "management": management, "probes": probes,
    }  # fmt: skip


@pytest.fixture
async def server() -> AsyncIterator[TorchServe]:
    async with TorchServe() as server:
        yield server


@pytest.fixture
async def management() -> AsyncIterator[Management]:
    async with Management() as management:
        yield management


async def test_torchserve_without_workers_is_loading_where_its_management_port_says_so(
    tmp_path: Path, server: TorchServe, management: Management
) -> None:
    async with watched(tmp_path, torchserve(server, management.url)) as watching:
        await watching.becomes(State.HEALTHY)
        server.refuses, management.workers = True, []
        await watching.becomes(State.LOADING)
        assert watching.record.verdict.reason is Reason.NOT_READY
        asked = watching.runs("infer")
        await watching.until(lambda: watching.runs("infer") > asked + 3)
        assert watching.states() == {State.HEALTHY, State.LOADING}


async def test_torchserve_without_workers_is_a_zombie_where_nobody_may_ask(tmp_path: Path, server: TorchServe) -> None:
    async with watched(tmp_path, torchserve(server, False)) as watching:
        await watching.becomes(State.HEALTHY)
        server.refuses = True
        await watching.becomes(State.ZOMBIE)
        assert watching.record.verdict.reason is Reason.HTTP_STATUS
        assert "has no worker" in watching.record.verdict.detail
        asked = watching.runs("infer")
        await watching.until(lambda: watching.runs("infer") > asked + 3)
        assert watching.states() == {State.HEALTHY, State.ZOMBIE}, "the words are those of a full queue"


@pytest.mark.parametrize(("free", "state"), [(0, State.SATURATED), (40, State.ZOMBIE)])
async def test_torchserve_with_workers_and_the_same_refusal(
    tmp_path: Path, server: TorchServe, management: Management, free: int, state: State
) -> None:
    """Only a queue without room makes it saturated."""
    async with watched(tmp_path, torchserve(server, management.url)) as watching:
        await watching.becomes(State.HEALTHY)
        server.refuses, management.free = True, free
        await watching.becomes(state)
        assert watching.states() == {State.HEALTHY, state}
        server.refuses, management.free = False, 100
        await watching.becomes(State.HEALTHY)


class Inference(FakeServer):
    """Triton, not ready as a whole because another model loads; `refuses`: it cannot take what it is sent."""

    refuses = ""

    def routes(self) -> Iterable[web.RouteDef]:
        yield web.get("/v2/health/live", self._ok)
        yield web.get("/v2/health/ready", self._not_ready)
        yield web.get("/v2/models/m/ready", self._ok)
        yield web.post("/v2/models/m/infer", self._infer)

    async def _ok(self, request: web.Request) -> web.Response:
        return web.Response()

    async def _not_ready(self, request: web.Request) -> web.Response:
        return web.Response(status=400)

    async def _infer(self, request: web.Request) -> web.Response:
        if self.refuses:
            return web.json_response({"error": self.refuses}, status=422)
        output = {"name": "y", "shape": [1], "datatype": "FP32", "data": [1.0]}
        return web.json_response({"model_name": "m", "outputs": [output]})


@pytest.fixture
async def triton() -> AsyncIterator[Inference]:
    async with Inference() as server:
        yield server


def about_m(server: Inference, protocol: str) -> dict[str, Any]:
    probes = {"health": OFTEN, "ready": OFTEN, "infer": {"inputs": TENSOR, **OFTEN}}
    return {"url": server.url, "protocol": protocol, "model": "m", "probes": probes}


async def test_triton_that_loads_another_model(tmp_path: Path, triton: Inference) -> None:
    """Ready asks for the model by default: there is nothing to count."""
    async with watched(tmp_path, about_m(triton, "triton")) as watching:
        await watching.becomes(State.HEALTHY)
        await watching.until(lambda: min(map(watching.runs, ("health", "ready", "infer"))) >= 3)
        assert watching.states() == {State.HEALTHY}
        assert sum(watching.record.disagreements.values()) == 0
        assert watching.record.verdict.verified


async def test_an_input_that_is_wrong_is_quoted(tmp_path: Path, triton: Inference) -> None:
    triton.refuses = f"expected [2], found {'x' * 300} that nobody reads"
    async with watched(tmp_path, about_m(triton, "open_inference")) as watching:
        await watching.becomes(State.UNHEALTHY)
        await watching.until(lambda: watching.runs("infer") >= 3)
        verdict = watching.record.verdict
        assert (verdict.reason, verdict.probe) == (Reason.HTTP_STATUS, "infer")
        assert "422" in verdict.detail
        assert f"expected [2], found {'x' * 100}" in verdict.detail
        assert "nobody reads" not in verdict.detail
        assert watching.states() == {State.UNHEALTHY}
