"""Anthropic's Messages API, from its reference: listing in pages, messages, streams, and errors."""

import json
from collections.abc import Iterable
from typing import Any

from aiohttp import web

from tests.fakes.server import FakeServer, sse

#: Types of errors and the status each comes with.
ERRORS = {
    "invalid_request_error": 400,
    "authentication_error": 401,
    "billing_error": 402,
    "permission_error": 403,
    "not_found_error": 404,
    "request_too_large": 413,
    "rate_limit_error": 429,
    "api_error": 500,
    "timeout_error": 504,
    "overloaded_error": 529,
}


def named(value: dict[str, Any]) -> bytes:
    """An event, which bears the name of its type."""
    return f"event: {value['type']}\ndata: {json.dumps(value)}\n\n".encode()


def error(kind: str, message: str) -> dict[str, Any]:
    """An error, as it stands in a body and in a stream."""
    return {"type": "error", "error": {"type": kind, "message": message}, "request_id": "req_1"}


class Anthropic(FakeServer):
    """`trouble`: an error that every message meets; `breaks`: a stream goes wrong (event, cut, stop, reason)."""

    key = "sk-ant-secret"

    def __init__(self, *models: str) -> None:
        super().__init__()
        self.models = models or ("claude-a",)
        self.page = 2
        self.trouble: tuple[str, str] | None = None
        self.breaks = ""
        self.thinks = False

    def routes(self) -> Iterable[web.RouteDef]:
        return (
            web.get("/v1/models", self.listing),
            web.get("/v1/models/{model}", self.entry),
            web.post("/v1/messages", self.message),
        )

    async def answer(self, request: web.Request, handler: Any) -> web.StreamResponse:
        if request.headers.get("x-api-key") != self.key:
            return self.refuse("authentication_error", "invalid x-api-key")
        if request.headers.get("anthropic-version") != "2023-06-01":
            return self.refuse("invalid_request_error", "anthropic-version: header is required")
        return await super().answer(request, handler)

    def refuse(self, kind: str, message: str) -> web.Response:
        """An error with its status."""
        return web.json_response(error(kind, message), status=ERRORS[kind])

    async def listing(self, request: web.Request) -> web.Response:
        after = request.query.get("after_id", "")
        start = self.models.index(after) + 1 if after else 0
        size = min(self.page, int(request.query.get("limit", "20")))
        names = self.models[start : start + size]
        data = [
            {"type": "model", "id": name, "display_name": name.title(), "created_at": "2026-01-01"} for name in names
        ]
        more = start + size < len(self.models)
        return web.json_response({"data": data, "has_more": more, "first_id": names[0], "last_id": names[-1]})

    async def entry(self, request: web.Request) -> web.Response:
        name = request.match_info["model"]
        if name not in self.models:
            return self.refuse("not_found_error", f"model: {name}")
        return web.json_response({"type": "model", "id": name, "display_name": name.title()})

    async def message(self, request: web.Request) -> web.StreamResponse:
        asked = await request.json()
        if self.trouble:
            return self.refuse(*self.trouble)
        if asked.get("model") not in self.models:
            return self.refuse("not_found_error", f"model: {asked.get('model')}")
        if not isinstance(asked.get("messages"), list) or "max_tokens" not in asked:
            return self.refuse("invalid_request_error", "messages: Field required")
        if asked.get("stream"):
            return await sse(request, *self.events(asked), end=b"")
        usage = {"input_tokens": 10, "cache_read_input_tokens": 4, "output_tokens": 3}
        return web.json_response(
            {
                "id": "msg_1", "type": "message", "role": "assistant", "model": asked["model"],
                "content": [{"type": "text", "text": "OK."}], "stop_reason": "end_turn", "usage": usage,
            }
        )  # fmt: skip

    def events(self, asked: dict[str, Any]) -> Iterable[bytes]:
        """A stream, broken as `breaks` says."""
        usage = {"input_tokens": 10, "cache_read_input_tokens": 4, "output_tokens": 1}
        message = {"id": "msg_1", "type": "message", "model": asked["model"], "content": [], "usage": usage}
        yield named({"type": "message_start", "message": message})
        yield named({"type": "ping"})
        if self.thinks:
            yield from self.block(0, "thinking", "thinking_delta", "thinking", "Hm", "m.")
        if asked.get("tools"):
            start = {"type": "tool_use", "id": "toolu_1", "name": asked["tools"][0]["name"], "input": {}}
            parts = ("", '{"city":', ' "Bern"}')
            yield from self.block(1, "tool_use", "input_json_delta", "partial_json", *parts, start=start)
        else:
            yield from self.block(1, "text", "text_delta", "text", "O", "K.")
        if self.breaks == "event":
            yield named(error("overloaded_error", "Overloaded"))
            return
        if self.breaks == "cut":
            return
        reason = None if self.breaks == "reason" else "tool_use" if asked.get("tools") else "end_turn"
        yield named({"type": "message_delta", "delta": {"stop_reason": reason}, "usage": {"output_tokens": 6}})
        if self.breaks != "stop":
            yield named({"type": "message_stop"})

    def block(
        self, index: int, kind: str, delta: str, key: str, *parts: str, start: dict[str, Any] | None = None
    ) -> Iterable[bytes]:
        """A block of content, piece by piece."""
        begun = start or {"type": kind, key: ""}
        yield named({"type": "content_block_start", "index": index, "content_block": begun})
        for part in parts:
            yield named({"type": "content_block_delta", "index": index, "delta": {"type": delta, key: part}})
        yield named({"type": "content_block_stop", "index": index})
