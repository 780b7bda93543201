"""TorchServe's inference and management ports, with the answers version 0.12 was seen to give."""

import json
from typing import Any

from aiohttp import web

from tests.fakes.server import FakeServer

_NO_WORKER = (
    'Model "{}" has no worker to serve inference request. Please use scale workers API to add workers. If this is a '
    "sequence inference, please check if it is closed, or expired; or exceeds maxSequenceJobQueueSize"
)
_NO_KEY = "Token Authorization failed. Token either incorrect, expired, or not provided correctly"


class _Port(FakeServer):
    """What both ports share. `token` is the key it wants, "" for none."""

    token = ""

    async def answer(self, request: web.Request, handler: Any) -> web.StreamResponse:
        wanted = f"Bearer {self.token}"
        if self.token and request.method != "OPTIONS" and request.headers.get("Authorization") != wanted:
            return _error(400, "InvalidKeyException", _NO_KEY)
        return await super().answer(request, handler)


class Management(_Port):
    """The management port. `workers` are the states of the workers of `iris`."""

    def __init__(self) -> None:
        super().__init__()
        self.workers = ["READY"]
        self.free, self.pending = 100, 0
        self.names = ["iris", "words"]

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get("/models", self._models),
            web.get("/models/{name}", self._model),
            web.get("/models/{name}/{version}", self._model),
        ]

    async def _models(self, request: web.Request) -> web.Response:
        start = int(request.query.get("next_page_token", 0))
        page: dict[str, Any] = {} if start + 100 >= len(self.names) else {"nextPageToken": str(start + 100)}
        page["models"] = [{"modelName": name, "modelUrl": f"{name}.mar"} for name in self.names[start : start + 100]]
        return _pretty(page)

    async def _model(self, request: web.Request) -> web.Response:
        name, version = request.match_info["name"], request.match_info.get("version", "7.0")
        if name != "iris":
            return _error(404, "ModelNotFoundException", f"Model not found: {name}")
        if version != "7.0":
            text = f"Model version: {version} does not exist for model: {name}"
            return _error(404, "ModelVersionNotFoundException", text)
        workers = [{"id": str(9000 + at), "status": state, "gpu": False} for at, state in enumerate(self.workers)]
        queue = {"remainingCapacity": self.free, "pendingRequests": self.pending}
        about = {"modelName": name, "modelVersion": version, "runtime": "python", "batchSize": 4}
        return _pretty([about | {"workers": workers, "jobQueueStatus": queue}])


class TorchServe(_Port):
    """The inference port. `refuses`: with a full queue or without a worker, which it does not tell apart."""

    def __init__(self) -> None:
        super().__init__()
        self.status = "Healthy"
        self.refuses = False

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get("/ping", self._ping),
            web.options("/", self._describe),
            web.post("/predictions/{name}", self._predict),
            web.post("/predictions/{name}/{version}", self._predict),
        ]

    async def _ping(self, request: web.Request) -> web.Response:
        return _pretty({"status": self.status}, 500 if self.status == "Unhealthy" else 200)

    async def _describe(self, request: web.Request) -> web.Response:
        return _pretty({"openapi": "3.0.1", "info": {"title": "TorchServe APIs", "version": "0.12.0"}, "paths": {}})

    async def _predict(self, request: web.Request) -> web.StreamResponse:
        name = request.match_info["name"]
        if name not in ("iris", "words"):
            return _error(404, "ModelNotFoundException", f"Model not found: {name}")
        if self.refuses:
            return _error(503, "ServiceUnavailableException", _NO_WORKER.format(name))
        body = await request.read()
        if name == "words":
            response = web.StreamResponse(headers={"ts_stream_next": "true", "Content-Type": ""}, reason="")
            await response.prepare(request)
            for word in (b"OK", b" then"):
                await response.write(word)
            return response
        try:
            classes = [0 if row[2] < 2.45 else 1 for row in json.loads(body)["rows"]]
        except (ValueError, KeyError, IndexError):
            return _error(503, "InternalServerException", "Prediction failed")
        return web.Response(body=json.dumps({"classes": classes}, indent=2).encode(), headers={"Content-Type": ""})


def _pretty(value: Any, status: int = 200) -> web.Response:
    return web.Response(status=status, text=json.dumps(value, indent=2), content_type="application/json")


def _error(status: int, kind: str, text: str) -> web.Response:
    return _pretty({"code": status, "type": kind, "message": text}, status)
