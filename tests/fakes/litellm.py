"""LiteLLM's proxy, from its documentation. `/health` calls every model behind it: a test fails by asking for it."""

from collections.abc import Iterable
from typing import Any

from aiohttp import web

from tests.fakes.openai_api import OpenAiApi

KEY = "sk-1234"


class LiteLlm(OpenAiApi):
    """Three models, one of them a whole provider. The listing and the models want a key; liveliness wants none."""

    owner = "openai"
    names = ("gpt-4o", "text-embedding-3-small", "anthropic/*")

    def __init__(self) -> None:
        super().__init__("gpt-4o")
        self.database = True
        self.called = 0

    def routes(self) -> Iterable[web.RouteDef]:
        yield from super().routes()
        yield web.get("/health", self.health)
        yield web.get("/health/liveliness", self.alive)
        yield web.get("/health/readiness", self.ready)

    async def answer(self, request: web.Request, handler: Any) -> web.StreamResponse:
        response: web.StreamResponse
        if request.path.startswith("/v1") and request.headers.get("Authorization") != f"Bearer {KEY}":
            response = self.error(401, "Authentication Error, No api key passed in.", type="auth_error", code="401")
        else:
            response = await super().answer(request, handler)
        if not response.prepared:
            response.headers["x-litellm-version"] = "1.80.0"
        return response

    async def models(self, request: web.Request) -> web.Response:
        return web.json_response({"object": "list", "data": [self.entry(name) for name in self.names]})

    def unknown(self, name: str) -> web.Response:
        message = f"{{'error': '/chat/completions: Invalid model name passed in model={name[:3]}. Call `/v1/models`.'}}"
        return self.error(400, message, type="None", param="None", code="400")

    async def health(self, request: web.Request) -> web.Response:
        self.called += len(self.names)
        return web.json_response({"healthy_endpoints": [{}], "unhealthy_endpoints": [], "healthy_count": 1})

    async def alive(self, request: web.Request) -> web.Response:
        return web.json_response("I'm alive!")

    async def ready(self, request: web.Request) -> web.Response:
        if not self.database:
            return web.json_response({"detail": "Service Unhealthy (database not connected)"}, status=503)
        return web.json_response({"status": "healthy", "db": "connected", "litellm_version": "1.80.0"})
