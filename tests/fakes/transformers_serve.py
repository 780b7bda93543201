"""`transformers serve`, pinned to a local model, from its source (5.23) and from what it was seen to do."""

from collections.abc import Iterable
from typing import Any

from aiohttp import web

from tests.fakes.openai_api import OpenAiApi


class TransformersServe(OpenAiApi):
    """`cached`: what was downloaded, which is all it lists. `broken_cache`: nothing ever was."""

    def __init__(self, model: str = "/models/tiny") -> None:
        super().__init__(model)
        self.cached: tuple[str, ...] = ()
        self.broken_cache = self.cb_dead = False

    def routes(self) -> Iterable[web.RouteDef]:
        yield from super().routes()
        yield web.get("/health", self.health)
        yield web.get("/openapi.json", self.openapi)

    async def models(self, request: web.Request) -> web.Response:
        if self.broken_cache:
            return web.Response(status=500, text="Internal Server Error")
        data = [{"owned_by": "org", "id": name, "object": "model", "created": 1.7e9} for name in self.cached]
        return web.json_response({"object": "list", "data": data})

    def unknown(self, name: str) -> web.Response:
        detail = f"Server is pinned to '{self.model}'; requested '{name[:2]}'."
        return web.json_response({"detail": detail}, status=400)

    async def health(self, request: web.Request) -> web.Response:
        if self.cb_dead:
            return web.json_response({"status": "unhealthy", "reason": "cb_worker_dead"}, status=503)
        return web.json_response({"status": "ok"})

    async def openapi(self, request: web.Request) -> web.Response:
        routes = ("/v1/chat/completions", "/v1/responses", "/load_model", "/reset", "/v1/models", "/health")
        return web.json_response(
            {"openapi": "3.1.0", "info": {"title": "FastAPI"}, "paths": {route: {} for route in routes}}
        )

    def spoken(self, chunks: list[Any]) -> list[Any]:
        """Usage comes with the finish reason."""
        usage = next((chunk["usage"] for chunk in chunks if not chunk["choices"]), None)
        told = [chunk for chunk in chunks if chunk["choices"]]
        return [*told[:-1], {**told[-1], "usage": usage}]

    async def responses(self, request: web.Request) -> web.StreamResponse:
        """A stream, unless that is denied."""
        asked = await request.json()
        if asked.get("stream") is False:
            return await super().responses(request)
        return web.Response(text='data: {"type":"response.created"}\n\n', content_type="text/event-stream")

    def end(self) -> bytes:
        """Nothing."""
        return b""
