"""A model server of the demo whose mood and version a test sets, and what it was asked."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any

from aiohttp import web

from exporter.demo.mood import Mood
from exporter.demo.tensor_server import TensorServer

ROW = [{"name": "x", "shape": [1, 4], "datatype": "FP32", "data": [5.1, 3.5, 1.4, 0.2]}]


class Moody:
    """`refusing(n)`: whether the n-th inference, from 1, is answered with 500. `metadata`: how often it was asked."""

    def __init__(self) -> None:
        self._timeline = SimpleNamespace(mood=Mood.WELL, turns=0)
        self.server = TensorServer("fraud", self._timeline)  # type: ignore[arg-type]
        self.url = ""
        self.infers: list[str] = []
        self.metadata = 0
        self.refusing = lambda number: False

    @property
    def mood(self) -> Mood:
        return self._timeline.mood

    @mood.setter
    def mood(self, mood: Mood) -> None:
        self._timeline.mood = mood

    @property
    def version(self) -> str:
        return self.server.version

    @version.setter
    def version(self, version: str) -> None:
        self._timeline.turns = int(version) - 1

    @property
    def port(self) -> int:
        return int(self.url.rpartition(":")[2])

    def target(self, name: str = "fraud", **extra: Any) -> dict[str, Any]:
        """It as a target of a config, asked five times a second."""
        often = {"interval": "200ms"}
        probes = {"health": often, "ready": often, "infer": {"inputs": ROW, "timeout": "5s", **often}}
        return {"name": name, "url": self.url, "protocol": "open_inference", "model": "fraud", "probes": probes} | extra

    @web.middleware
    async def _asked(self, request: web.Request, handler: Any) -> web.StreamResponse:
        if request.path.endswith("/infer"):
            self.infers.append(self.version)
            if self.refusing(len(self.infers)):
                return web.json_response({"error": "no"}, status=500)
        elif request.path.endswith("/models/fraud"):
            self.metadata += 1
        answer: web.StreamResponse = await handler(request)
        return answer


@asynccontextmanager
async def moody(host: str = "127.0.0.1") -> AsyncIterator[Moody]:
    """One that runs on a free port."""
    made = Moody()
    application = made.server.app()
    application.middlewares.append(made._asked)
    runner = web.AppRunner(application, access_log=None, handler_cancellation=True, shutdown_timeout=0.5)
    await runner.setup()
    try:
        await web.TCPSite(runner, host, 0).start()
        made.url = f"http://{host}:{runner.addresses[0][1]}"
        yield made
    finally:
        made.server.closing.set()
        await runner.cleanup()
