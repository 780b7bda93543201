"""TorchServe's management port with the calls that change something, and Ollama's, as versions 0.12 and 0.17 answer."""

import json
from typing import Any

from aiohttp import web

from tests.fakes.server import FakeServer


class Workers(FakeServer):
    """TorchServe. `archives` are the versions in its store by name; `versions` has the workers of each of `iris`."""

    def __init__(self) -> None:
        super().__init__()
        self.archives = {"iris-8.0.mar": "8.0"}
        self.versions = {"7.0": 1}
        self.default: str | None = "7.0"
        self.dies = False  #: workers do, while they start

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get("/models/iris", self._one),
            web.get("/models/iris/all", self._all),
            web.post("/models", self._register),
            web.put("/models/iris/{version}/set-default", self._set_default),
            web.put("/models/iris/{version}", self._scale),
            web.delete("/models/iris/{version}", self._unregister),
        ]

    def _describe(self, version: str) -> Any:
        workers = [{"id": str(9000 + at), "status": "READY"} for at in range(self.versions[version])]
        return {"modelName": "iris", "modelVersion": version, "minWorkers": self.versions[version], "workers": workers}

    async def _one(self, request: web.Request) -> web.Response:
        if self.default is None:
            return _error(404, "ModelNotFoundException", "Model not found: iris")
        return web.json_response([self._describe(self.default)])

    async def _all(self, request: web.Request) -> web.Response:
        if not self.versions:
            return _error(404, "ModelNotFoundException", "Model not found: iris")
        return web.json_response([self._describe(version) for version in self.versions])

    async def _register(self, request: web.Request) -> web.Response:
        version = self.archives.get(request.query["url"])
        if version is None:
            return _error(404, "ModelNotFoundException", f"Model not found at: {request.query['url']}")
        if version in self.versions:
            return _error(409, "ConflictStatusException", f"Model version {version} is already registered")
        self.versions[version] = int(request.query["initial_workers"])
        self.default = self.default or version
        return web.json_response({"status": f'Model "iris" Version: {version} registered with 0 initial workers.'})

    async def _scale(self, request: web.Request) -> web.Response:
        version = request.match_info["version"]
        if version not in self.versions:
            return _error(404, "ModelVersionNotFoundException", f"Model version: {version} does not exist")
        if self.dies:
            return _error(500, "InternalServerException", "Failed to start workers for model iris version: 8.0")
        self.versions[version] = int(request.query["min_worker"])
        return web.json_response({"status": "Workers scaled"})

    async def _set_default(self, request: web.Request) -> web.Response:
        self.default = request.match_info["version"]
        return web.json_response({"status": "Default version successfully updated"})

    async def _unregister(self, request: web.Request) -> web.Response:
        version = request.match_info["version"]
        if version == self.default and len(self.versions) > 1:
            return _error(403, "InvalidModelVersionException", "Cannot remove default version for model iris")
        del self.versions[version]
        self.default = self.default if self.versions else None
        return web.json_response({"status": 'Model "iris" unregistered'})


class Library(FakeServer):
    """Ollama. `models` are digests by name; a pull brings `pulled`, or with `error` fails inside a 200."""

    def __init__(self) -> None:
        super().__init__()
        self.models = {"bot:3": "old"}
        self.pulled = "new"
        self.error = ""

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get("/api/tags", self._tags),
            web.post("/api/copy", self._copy),
            web.post("/api/pull", self._bring),
            web.post("/api/create", self._bring),
            web.delete("/api/delete", self._delete),
        ]

    async def _tags(self, request: web.Request) -> web.Response:
        entries = [{"name": name, "model": name, "digest": digest} for name, digest in self.models.items()]
        return web.json_response({"models": entries})

    async def _copy(self, request: web.Request) -> web.Response:
        body = await request.json()
        if body["source"] not in self.models:
            return web.json_response({"error": f'model "{body["source"]}" not found'}, status=404)
        self.models[body["destination"]] = self.models[body["source"]]
        return web.Response()

    async def _bring(self, request: web.Request) -> web.Response:
        if self.error:
            return web.json_response({"error": self.error})
        self.models[(await request.json())["model"]] = self.pulled
        return web.json_response({"status": "success"})

    async def _delete(self, request: web.Request) -> web.Response:
        del self.models[(await request.json())["model"]]
        return web.Response()


def _error(code: int, kind: str, text: str) -> web.Response:
    body = json.dumps({"code": code, "type": kind, "message": text})
    return web.Response(status=code, text=body, content_type="application/json")
