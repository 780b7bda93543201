"""What fakes of the OpenAI API share: chat, completions, responses and embeddings as OpenAI's API reference has them.

A server of its own inherits this, and deviates where it does.
"""

import base64
import struct
from collections.abc import Iterable
from typing import Any

from aiohttp import web

from tests.fakes.server import FakeServer, sse

WORDS = ("OK", ".", " Fine", ".")


class OpenAiApi(FakeServer):
    """One model. `vectors` are what embeddings come back as. `account` is what an answer says beside all else, as the
    last event of a stream does; `headers` come with whole answers.
    """

    prefix = "/v1"
    owner = "someone"

    def __init__(self, model: str = "tiny-llama") -> None:
        super().__init__()
        self.model = model
        self.vectors = [[0.6, 0.8, 0.0]]
        self.failing: web.Response | None = None
        self.account: dict[str, Any] = {}
        self.headers: dict[str, str] = {}

    def routes(self) -> Iterable[web.RouteDef]:
        yield web.get(f"{self.prefix}/models", self.models)
        yield web.post(f"{self.prefix}/chat/completions", self.chat)
        yield web.post(f"{self.prefix}/completions", self.completions)
        yield web.post(f"{self.prefix}/responses", self.responses)
        yield web.post(f"{self.prefix}/embeddings", self.embeddings)

    def entry(self, name: str) -> dict[str, Any]:
        """One listed model."""
        return {"id": name, "object": "model", "created": 1_760_000_000, "owned_by": self.owner}

    def error(self, status: int, message: str, **more: Any) -> web.Response:
        """An error in OpenAI's form."""
        body = {"message": message, "type": "invalid_request_error", "param": None, "code": None, **more}
        return web.json_response({"error": body}, status=status)

    def unknown(self, name: str) -> web.Response:
        """What is said of a model that is not there."""
        return self.error(404, f"The model `{name}` does not exist.", code="model_not_found")

    def refusal(self, asked: dict[str, Any]) -> web.Response | None:
        """Why a request is not answered; None when it is."""
        if self.failing is not None:
            return self.failing
        name = asked.get("model", self.model)
        return None if name == self.model else self.unknown(name)

    async def models(self, request: web.Request) -> web.Response:
        return web.json_response({"object": "list", "data": [self.entry(self.model)]})

    async def chat(self, request: web.Request) -> web.StreamResponse:
        asked = await request.json()
        if refused := self.refusal(asked):
            return refused
        usage = {"prompt_tokens": 6, "completion_tokens": len(WORDS), "total_tokens": 6 + len(WORDS)}
        if not asked.get("stream"):
            message = {"role": "assistant", "content": "".join(WORDS)}
            choice = {"index": 0, "message": message, "finish_reason": "stop"}
            whole = {"id": "c", "model": self.model, "choices": [choice], "usage": usage, **self.account}
            return web.json_response(whole, headers=self.headers)
        deltas = [{"role": "assistant", "content": ""}, *({"content": word} for word in WORDS)]
        chunks: list[Any] = [{"choices": [{"index": 0, "delta": delta, "finish_reason": None}]} for delta in deltas]
        chunks.append({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
        if (asked.get("stream_options") or {}).get("include_usage"):
            chunks.append({"choices": [], "usage": usage})
        chunks[-1] = {**chunks[-1], **self.account}
        return await sse(request, *self.spoken(chunks), end=self.end())

    def spoken(self, chunks: list[Any]) -> list[Any]:
        """The events of a chat; a server that says them in another way changes them here."""
        return chunks

    def end(self) -> bytes:
        """How a stream of chat or completions ends."""
        return b"data: [DONE]\n\n"

    async def completions(self, request: web.Request) -> web.StreamResponse:
        asked = await request.json()
        if refused := self.refusal(asked):
            return refused
        choice = {"index": 0, "text": "".join(WORDS), "finish_reason": "stop"}
        if not asked.get("stream"):
            return web.json_response({"choices": [choice], "usage": None})
        return await sse(request, {"choices": [choice]}, end=self.end())

    async def responses(self, request: web.Request) -> web.StreamResponse:
        asked = await request.json()
        if refused := self.refusal(asked):
            return refused
        text = {"type": "output_text", "text": "".join(WORDS), "annotations": []}
        done = {
            "id": "resp_1", "object": "response", "status": "completed", "error": None, "incomplete_details": None,
            "output": [{"type": "message", "role": "assistant", "content": [text]}],
            "usage": {
                "input_tokens": 6, "input_tokens_details": {"cached_tokens": 2},
                "output_tokens": 4, "output_tokens_details": {"reasoning_tokens": 1},
            },
            **self.account,
        }  # fmt: skip
        if not asked.get("stream"):
            return web.json_response(done)
        begun = {**done, "status": "in_progress", "output": [], "usage": None}
        events: list[dict[str, Any]] = [
            {"type": "response.created", "response": begun},
            {"type": "response.in_progress", "response": begun},
            {"type": "response.output_item.added", "output_index": 0, "item": {"type": "message", "content": []}},
            {"type": "response.content_part.added", "output_index": 0, "part": {"type": "output_text", "text": ""}},
            *({"type": "response.output_text.delta", "output_index": 0, "delta": word} for word in WORDS),
            {"type": "response.output_text.done", "output_index": 0, "text": text["text"]},
            {"type": "response.completed", "response": done},
        ]
        return await sse(request, *events, end=b"")

    async def embeddings(self, request: web.Request) -> web.StreamResponse:
        asked = await request.json()
        if refused := self.refusal(asked):
            return refused
        texts = asked["input"] if isinstance(asked["input"], list) else [asked["input"]]
        vectors: list[Any] = [self.vectors[place % len(self.vectors)] for place in range(len(texts))]
        if asked.get("encoding_format") == "base64":
            vectors = [base64.b64encode(struct.pack(f"<{len(each)}f", *each)).decode() for each in vectors]
        data = [{"object": "embedding", "index": place, "embedding": each} for place, each in enumerate(vectors)]
        # A batch may come back in any order.
        return web.json_response(
            {
                "object": "list",
                "data": data[::-1],
                "model": self.model,
                "usage": {"prompt_tokens": 3, "total_tokens": 3},
            }
        )
