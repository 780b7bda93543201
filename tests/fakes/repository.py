"""A server with a model repository: MLServer's answers, or with `triton` Triton's in explicit mode.

After triton-inference-server/server, docs/protocol/extension_model_repository.md, and what MLServer 1.7.1 and Triton
2.51 were seen to answer.
"""

import asyncio
import json
from typing import Any

from aiohttp import web

from tests.fakes.server import FakeServer


class Repository(FakeServer):
    """`versions` are what the repository has of `iris`, `loaded` those that are served. `fails`: a load does. `hangs`:
    a load is begun and never answered; with `loads` it is carried out all the same. `token`: what calls must carry.
    """

    def __init__(self, *, triton: bool = False) -> None:
        super().__init__()
        self.triton = triton
        self.versions = ["7"]
        self.loaded: list[str] = []
        self.loading = False
        self.fails = 0
        self.hangs = self.loads = False
        self.token = ""
        self.index = True
        self.policy: list[str] | None = None

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get("/v2", self._about),
            web.post("/v2/repository/index", self._index),
            web.get("/v2/models/iris", self._model),
            web.get("/v2/models/iris/ready", self._ready),
            web.get("/v2/models/iris/versions/{version}/ready", self._ready),
            web.get("/v2/models/iris/config", self._config),
            web.post("/v2/repository/models/{name}/load", self._load),
            web.post("/v2/repository/models/{name}/unload", self._unload),
        ]

    async def answer(self, request: web.Request, handler: Any) -> web.StreamResponse:
        if self.token and request.headers.get("Authorization") != f"Bearer {self.token}":
            return web.json_response({"error": "denied, as is " + request.headers.get("Authorization", "")}, status=401)
        return await super().answer(request, handler)

    async def _about(self, request: web.Request) -> web.Response:
        name = "triton" if self.triton else "mlserver"
        return web.json_response({"name": name, "version": "1", "extensions": ["model_repository"]})

    async def _index(self, request: web.Request) -> web.Response:
        if not self.index:
            return web.json_response({"detail": "Not Found"}, status=404)
        if self.triton:
            entries: list[Any] = [{"name": "iris", "version": each, "state": "READY"} for each in self.loaded]
            return web.json_response([*(entries or [{"name": "iris"}]), {"name": "words", "version": "1"}])
        state = "UNKNOWN" if self.loading else "READY" if self.loaded else "UNAVAILABLE"
        return web.json_response(
            [{"name": "iris", "version": each, "state": state, "reason": ""} for each in self.versions]
        )

    async def _model(self, request: web.Request) -> web.Response:
        if not self.loaded:
            return web.json_response({"error": "Model iris not found"}, status=404)
        return web.json_response({"name": "iris", "versions": self.loaded, "platform": "", "inputs": [], "outputs": []})

    async def _ready(self, request: web.Request) -> web.Response:
        version = request.match_info.get("version")
        if not self.loading and (version in self.loaded if version else self.loaded):
            return web.Response() if self.triton else web.json_response({"name": "iris", "ready": True})
        return web.json_response({"error": "Model iris not found"}, status=400 if self.triton else 404)

    async def _config(self, request: web.Request) -> web.Response:
        if not self.triton or not self.loaded:
            return web.json_response({"error": "Request for unknown model: 'iris' is not found"}, status=404)
        return web.json_response(
            {"name": "iris", "backend": "python", "version_policy": {"latest": {"num_versions": 1}}}
        )

    async def _load(self, request: web.Request) -> web.StreamResponse:
        if self.hangs:
            if self.loads:
                self.loaded = list(self.versions)
            await self.hang()
        if self.fails:
            text = 'Traceback (most recent call last):\n  File "x.py", line 1\nRuntimeError: no such file\n'
            return web.Response(status=self.fails, text=text)
        if self.triton:
            given = (await request.json()).get("parameters", {}).get("config")
            wanted = json.loads(given)["version_policy"]["specific"]["versions"] if given else None
            self.policy = None if wanted is None else [str(each) for each in wanted]
            self.loaded = self.versions[-1:] if self.policy is None else self.policy
        else:
            self.loaded = list(self.versions)
        await asyncio.sleep(0)
        return web.Response()

    async def _unload(self, request: web.Request) -> web.Response:
        self.loaded = []
        return web.Response()
