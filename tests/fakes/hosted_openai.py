"""OpenAI's hosted API, from its API reference: models, its error codes, and what its reasoning models refuse."""

from collections.abc import Iterable
from typing import Any

from aiohttp import web

from tests.fakes.openai_api import OpenAiApi

KEY = "sk-hosted"


class HostedOpenAi(OpenAiApi):
    """`reasons`: a model that thinks, and takes neither `max_tokens` nor `temperature`."""

    owner = "system"

    def __init__(self, model: str = "gpt-4o", *, reasons: bool = False) -> None:
        super().__init__(model)
        self.reasons = reasons

    def routes(self) -> Iterable[web.RouteDef]:
        yield from super().routes()
        yield web.get("/v1/models/{name}", self.one)

    async def answer(self, request: web.Request, handler: Any) -> web.StreamResponse:
        if request.headers.get("Authorization") != f"Bearer {KEY}":
            return self.error(401, "Incorrect API key provided.", code="invalid_api_key")
        response = await super().answer(request, handler)
        if not response.prepared:
            response.headers["openai-version"] = "2020-10-01"
        return response

    async def one(self, request: web.Request) -> web.Response:
        name = request.match_info["name"]
        return web.json_response(self.entry(name)) if name == self.model else self.unknown("?")

    def refusal(self, asked: dict[str, Any]) -> web.Response | None:
        if self.reasons and "max_tokens" in asked:
            message = "Unsupported parameter: 'max_tokens'. Use 'max_completion_tokens' instead."
            return self.error(400, message, param="max_tokens", code="unsupported_parameter")
        if self.reasons and "temperature" in asked:
            message = "Unsupported value: 'temperature' does not support 0.0 with this model."
            return self.error(400, message, param="temperature", code="unsupported_value")
        return super().refusal(asked)
