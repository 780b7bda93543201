"""A container after SageMaker's contract: `/ping` and `/invocations`, and whatever answers its author chose."""

import json

from aiohttp import web

from tests.fakes.server import FakeServer


class SageMaker(FakeServer):
    """Adds the numbers of one line of CSV, or of `{"row": [...]}`. `ready` False: it still loads."""

    def __init__(self) -> None:
        super().__init__()
        self.ready = True
        self.throttled = False

    def routes(self) -> list[web.RouteDef]:
        return [web.get("/ping", self._ping), web.post("/invocations", self._invoke)]

    async def _ping(self, request: web.Request) -> web.Response:
        return web.Response(status=200 if self.ready else 503)

    async def _invoke(self, request: web.Request) -> web.StreamResponse:
        if self.throttled:
            return web.Response(status=429, text="Too many requests")
        body = await request.text()
        if request.content_type == "text/csv":
            try:
                return web.Response(text=f"{sum(map(float, body.split(','))):g}\n", content_type="text/csv")
            except ValueError:
                return web.Response(status=400, text="not numbers")
        if request.content_type != "application/json":
            return web.Response(status=415, text=f"{request.content_type} is not supported")
        asked = json.loads(body)
        if asked.get("stream"):
            return await self._stream(request)
        return web.json_response({"predictions": [sum(asked["row"])]})

    async def _stream(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "application/jsonlines"})
        await response.prepare(request)
        for word in ("OK", " then"):
            await response.write(json.dumps({"outputs": [word]}).encode() + b"\n")
        return response
