"""A fake Open Inference (v2) server: one small classifier whose version goes up as time passes."""

import asyncio
import math
from typing import Any

from aiohttp import web

from exporter.demo.mood import Mood, Timeline

FEATURES = 4


class TensorServer:
    """One model behind the Open Inference Protocol. Each finished act of the timeline is a new version."""

    def __init__(self, model: str, timeline: Timeline) -> None:
        self.model = model
        self.timeline = timeline
        self.closing = asyncio.Event()

    @property
    def version(self) -> str:
        """The version that answers now."""
        return str(self.timeline.turns + 1)

    def app(self) -> web.Application:
        """The server as an aiohttp application."""
        app = web.Application()
        app.router.add_get("/v2", self._server)
        app.router.add_get("/v2/health/live", self._live)
        app.router.add_get("/v2/health/ready", self._ready)
        app.router.add_post("/v2/repository/index", self._index)
        for model in ("/v2/models/{model}", "/v2/models/{model}/versions/{version}"):
            app.router.add_get(model, self._model)
            app.router.add_get(f"{model}/ready", self._model_ready)
            app.router.add_post(f"{model}/infer", self._infer)
        return app

    async def _server(self, _: web.Request) -> web.Response:
        return web.json_response({"name": "demo-tensors", "version": "1.0.0", "extensions": ["model_repository"]})

    async def _live(self, _: web.Request) -> web.Response:
        return web.json_response({"live": True})

    async def _ready(self, _: web.Request) -> web.Response:
        ready = self.timeline.mood is not Mood.LOADING
        return web.json_response({"ready": ready}, status=200 if ready else 503)

    async def _index(self, _: web.Request) -> web.Response:
        state = "LOADING" if self.timeline.mood is Mood.LOADING else "READY"
        return web.json_response([{"name": self.model, "version": self.version, "state": state, "reason": ""}])

    async def _model(self, request: web.Request) -> web.Response:
        if (missing := self._missing(request)) is not None:
            return missing
        return web.json_response(
            {
                "name": self.model,
                "versions": [self.version],
                "platform": "sklearn",
                "inputs": [{"name": "x", "datatype": "FP32", "shape": [-1, FEATURES]}],
                "outputs": [{"name": "predict", "datatype": "INT64", "shape": [-1]}],
            }
        )

    async def _model_ready(self, request: web.Request) -> web.Response:
        if (missing := self._missing(request)) is not None:
            return missing
        ready = self.timeline.mood is not Mood.LOADING
        return web.json_response({"name": self.model, "ready": ready}, status=200 if ready else 503)

    async def _infer(self, request: web.Request) -> web.Response:
        if (missing := self._missing(request)) is not None:
            return missing
        try:
            asked = await request.json()
            numbers = _flat(asked["inputs"][0]["data"])
            rows = asked["inputs"][0]["shape"][0]
        except (ValueError, KeyError, IndexError, TypeError):
            return web.json_response({"error": "inputs: one tensor with name, shape, datatype and data"}, status=400)
        if not isinstance(rows, int) or len(numbers) != rows * FEATURES:
            return web.json_response({"error": f"x: expected shape [-1, {FEATURES}]"}, status=400)
        if self.timeline.mood is Mood.HANGING:
            await self.closing.wait()
        await asyncio.sleep(0.008)
        means = (math.fsum(numbers[row * FEATURES : (row + 1) * FEATURES]) / FEATURES for row in range(rows))
        output = {
            "name": "predict",
            "shape": [rows],
            "datatype": "INT64",
            "data": [int(mean > 3) for mean in means],
        }
        answer: dict[str, Any] = {"model_name": self.model, "model_version": self.version, "outputs": [output]}
        if "id" in asked:
            answer["id"] = asked["id"]
        return web.json_response(answer)

    def _missing(self, request: web.Request) -> web.Response | None:
        """The 404 for a model or version that is not here."""
        name, version = request.match_info["model"], request.match_info.get("version")
        if name == self.model and version in (None, self.version):
            return None
        return web.json_response({"error": f"Model {name} version {version or 'any'} not found"}, status=404)


def _flat(data: Any) -> list[float]:
    return [number for item in data for number in _flat(item)] if isinstance(data, list) else [float(data)]
