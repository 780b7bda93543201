"""A fake OpenAI-compatible server with the manners of vLLM: models, chat, completions, streaming."""

import asyncio
import json
import math
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from aiohttp import web
from aiohttp.typedefs import Handler

from exporter.demo.mood import Mood, Timeline

WORDS = ("OK", ".", " All", " tokens", " are", " in", " the", " right", " place", " and", " in", " order", ".")
#: How many words a stalling stream sends before it falls silent.
BEFORE_STALL = 4


@dataclass(frozen=True, slots=True)
class Voice:
    """The pace of a model, in seconds. A model that thinks says some tokens of reasoning first."""

    first_token: float = 0.06
    gap: float = 0.02
    slow_factor: float = 5.0
    thinks: bool = False


class ChatServer:
    """One model behind the OpenAI API. `timeline` says how it feels; `closing` frees handlers that hang."""

    def __init__(self, model: str, timeline: Timeline, voice: Voice | None = None) -> None:
        self.model = model
        self.timeline = timeline
        self.voice = voice or Voice()
        self.closing = asyncio.Event()
        self.running = 0

    def app(self) -> web.Application:
        """The server as an aiohttp application."""
        app = web.Application(middlewares=[self._feelings])
        app.router.add_get("/health", self._health)
        app.router.add_get("/version", self._version)
        app.router.add_get("/v1/models", self._models)
        app.router.add_get("/metrics", self._metrics)
        app.router.add_post("/v1/chat/completions", self._chat)
        app.router.add_post("/v1/completions", self._completions)
        return app

    @web.middleware
    async def _feelings(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        mood = self.timeline.mood
        if mood is Mood.LOADING:
            return _error(503, "Loading model", "unavailable_error")
        if mood is Mood.BROKEN:
            return _error(500, "CUDA error: an illegal memory access was encountered", "InternalServerError")
        if request.method != "POST":
            return await handler(request)
        if mood is Mood.BUSY:
            headers = {"Retry-After": "2"}
            return _error(429, "Too many requests: the queue is full", "rate_limit_error", headers)
        self.running += 1
        try:
            if mood is Mood.HANGING:
                await self.closing.wait()
                return _error(503, "The server is shutting down", "unavailable_error")
            return await handler(request)
        finally:
            self.running -= 1

    async def _health(self, _: web.Request) -> web.Response:
        return web.Response()

    async def _version(self, _: web.Request) -> web.Response:
        return web.json_response({"version": "0.11.2"})

    async def _models(self, _: web.Request) -> web.Response:
        entry = {
            "id": self.model,
            "object": "model",
            "created": 1_760_000_000,
            "owned_by": "vllm",
            "root": f"demo/{self.model}",
            "parent": None,
            "max_model_len": 8192,
        }
        return web.json_response({"object": "list", "data": [entry]})

    async def _metrics(self, _: web.Request) -> web.Response:
        labels = f'{{model_name="{self.model}",engine="0"}}'
        lines = [
            "# TYPE vllm:num_requests_running gauge",
            f"vllm:num_requests_running{labels} {self.running}",
            "# TYPE vllm:num_requests_waiting gauge",
            f"vllm:num_requests_waiting{labels} 0",
        ]
        return web.Response(text="\n".join(lines) + "\n")

    async def _chat(self, request: web.Request) -> web.StreamResponse:
        return await self._answer(request, chat=True)

    async def _completions(self, request: web.Request) -> web.StreamResponse:
        return await self._answer(request, chat=False)

    async def _answer(self, request: web.Request, *, chat: bool) -> web.StreamResponse:
        try:
            asked = await request.json()
        except ValueError:
            return _error(400, "The body is not JSON", "BadRequestError")
        if not isinstance(asked, dict) or not asked.get("messages" if chat else "prompt"):
            return _error(400, f"{'messages' if chat else 'prompt'} is required", "BadRequestError")
        name = asked.get("model") or self.model
        if name != self.model:
            return _error(404, f"The model `{name}` does not exist.", "NotFoundError")
        wanted = asked.get("max_completion_tokens", asked.get("max_tokens"))
        limit = wanted if isinstance(wanted, int) and wanted > 0 else math.inf
        words, cut = _words(self.voice.thinks and chat, limit)
        usage = {"prompt_tokens": 6, "completion_tokens": len(words), "total_tokens": 6 + len(words)}
        talk = _Talk(self, chat, words, "length" if cut else "stop", usage)
        if asked.get("stream"):
            return await talk.stream(request, bool((asked.get("stream_options") or {}).get("include_usage")))
        return await talk.whole()

    @property
    def pace(self) -> float:
        """By how much everything takes longer than usual."""
        return self.voice.slow_factor if self.timeline.mood is Mood.SLOW else 1.0


class _Talk:
    """One answer, whole or word by word. `words` holds (channel, text)."""

    def __init__(
        self, server: ChatServer, chat: bool, words: Sequence[tuple[str, str]], finish: str, usage: dict[str, int]
    ) -> None:
        self.server = server
        self.chat = chat
        self.words = words
        self.finish = finish
        self.usage = usage
        self.head: dict[str, Any] = {
            "id": "chatcmpl-demo" if chat else "cmpl-demo",
            "object": "chat.completion" if chat else "text_completion",
            "created": int(time.time()),
            "model": server.model,
        }

    async def whole(self) -> web.Response:
        voice = self.server.voice
        await asyncio.sleep((voice.first_token + voice.gap * (len(self.words) - 1)) * self.server.pace)
        text = {channel: "".join(word for name, word in self.words if name == channel) for channel, _ in self.words}
        said = {"message": {"role": "assistant", "content": None, **text}} if self.chat else {"text": text["content"]}
        choice = {"index": 0, **said, "finish_reason": self.finish}
        return web.json_response({**self.head, "choices": [choice], "usage": self.usage})

    async def stream(self, request: web.Request, include_usage: bool) -> web.StreamResponse:
        stalls = self.server.timeline.mood is Mood.STALLING
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream; charset=utf-8"})
        # A client that leaves in the middle is its own business.
        with suppress(ConnectionResetError):
            await response.prepare(request)
            await self._speak(response, stalls, include_usage)
        return response

    async def _speak(self, response: web.StreamResponse, stalls: bool, include_usage: bool) -> None:
        voice, pace = self.server.voice, self.server.pace
        if self.chat:
            await response.write(self._event({"role": "assistant", "content": ""}))
        await asyncio.sleep(voice.first_token * pace)
        for number, (channel, word) in enumerate(self.words):
            if stalls and number == BEFORE_STALL:
                await self.server.closing.wait()
            if number:
                await asyncio.sleep(voice.gap * pace)
            await response.write(self._event({channel: word} if self.chat else word))
        await response.write(self._event({} if self.chat else "", self.finish))
        if include_usage:
            await response.write(_sse({**self._chunk_head(), "choices": [], "usage": self.usage}))
        await response.write(b"data: [DONE]\n\n")

    def _chunk_head(self) -> dict[str, Any]:
        return {**self.head, "object": "chat.completion.chunk"} if self.chat else self.head

    def _event(self, said: dict[str, str] | str, finish: str | None = None) -> bytes:
        content = {"delta": said} if self.chat else {"text": said}
        return _sse({**self._chunk_head(), "choices": [{"index": 0, **content, "finish_reason": finish}]})


def _words(thinks: bool, limit: float) -> tuple[list[tuple[str, str]], bool]:
    thoughts = [("reasoning", word) for word in ("They", " want", " OK", ".")] if thinks else []
    words = [*thoughts, *(("content", word) for word in WORDS)]
    return (words[: int(limit)], True) if len(words) > limit else (words, False)


def _sse(value: dict[str, Any]) -> bytes:
    return b"data: " + json.dumps(value).encode() + b"\n\n"


def _error(status: int, message: str, kind: str, headers: dict[str, str] | None = None) -> web.Response:
    body = {"error": {"message": message, "type": kind, "param": None, "code": status}}
    return web.json_response(body, status=status, headers=headers)
