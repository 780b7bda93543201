"""llama.cpp's own server (`llama-server`), from its README: one model with slots, or the router of many models."""

from collections.abc import Iterable
from typing import Any

from aiohttp import web

from tests.fakes.openai_api import WORDS, OpenAiApi
from tests.fakes.server import sse

#: Routes that answer while the model loads.
_ALWAYS = frozenset({"/health", "/v1/health"})


class LlamaCpp(OpenAiApi):
    """`states` makes it a router: the status of each model, by name. Requests to a model that sleeps wake it."""

    owner = "llamacpp"

    def __init__(self, model: str = "tiny-llama", *, states: dict[str, dict[str, Any]] | None = None) -> None:
        super().__init__(model)
        self.loading = self.sleeping = False
        self.states = states
        self.woken = 0
        self.slots: list[dict[str, Any]] | None = [{"id": 0, "is_processing": False}, {"id": 1, "is_processing": False}]

    def routes(self) -> Iterable[web.RouteDef]:
        yield from super().routes()
        yield web.get("/health", self.health)
        yield web.get("/props", self.props)
        yield web.get("/slots", self.tell_slots)
        yield web.post("/completion", self.completion)

    async def answer(self, request: web.Request, handler: Any) -> web.StreamResponse:
        if self.loading and request.path not in _ALWAYS:
            return self.error(503, "Loading model", type="unavailable_error", code=503)
        # A router loads the model that a GET names, unless it is told not to.
        loads = "model" in request.query and request.query.get("autoload") != "false"
        if request.method == "POST" or request.path == "/slots" or loads:
            self.woken += self.sleeping or self._status(request.query.get("model", self.model)) in (
                "sleeping",
                "unloaded",
            )
        return await super().answer(request, handler)

    def _status(self, name: str) -> str:
        return (self.states or {}).get(name, {}).get("value", "loaded")

    def entry(self, name: str) -> dict[str, Any]:
        return {**super().entry(name), "meta": {"n_ctx_train": 131072, "n_embd": 64, "n_params": 1000}}

    async def models(self, request: web.Request) -> web.Response:
        if self.states is None:
            return await super().models(request)
        data = [{**super(LlamaCpp, self).entry(name), "status": status} for name, status in self.states.items()]
        return web.json_response({"object": "list", "data": data})

    def unknown(self, name: str) -> web.Response:
        return self.error(400, f"model '{name}' not found", code=400)

    def refusal(self, asked: dict[str, Any]) -> web.Response | None:
        """Without a router any name is answered."""
        if self.states is None:
            return self.failing
        return self.failing or (None if asked.get("model") in self.states else self.unknown(asked.get("model", "")))

    async def completion(self, request: web.Request) -> web.StreamResponse:
        """Its own API: one event for each token, the last of them empty, and one that says how it went."""
        asked = await request.json()
        if refused := self.refusal(asked):
            return refused
        if not isinstance(asked.get("prompt"), str):
            return self.error(400, "key 'prompt' not found", code=400)
        written = WORDS[: asked.get("n_predict", len(WORDS))]
        cut = len(written) < len(WORDS)
        last = {
            "index": 0, "content": "", "tokens": [], "id_slot": 0, "stop": True, "model": self.model,
            "tokens_predicted": len(written) + (not cut), "tokens_evaluated": 9, "tokens_cached": 12,
            "truncated": False, "stop_type": "limit" if cut else "eos", "stopping_word": "",
            "timings": {
                "cache_n": 0 if asked.get("cache_prompt") is False else 8, "prompt_n": 9, "prompt_ms": 20.5,
                "predicted_n": 5, "predicted_ms": 80.25,
            },
        }  # fmt: skip
        if not asked.get("stream"):
            return web.json_response({**last, "content": "".join(written)})
        events = [
            {"index": 0, "content": word, "tokens": [5], "stop": False, "id_slot": -1, "tokens_predicted": place + 1,
             "tokens_evaluated": 9}
            for place, word in enumerate([*written, *([] if cut else [""])])
        ]  # fmt: skip
        return await sse(request, *events, last, end=b"")

    async def health(self, request: web.Request) -> web.Response:
        if self.loading:
            return self.error(503, "Loading model", type="unavailable_error", code=503)
        return web.json_response({"status": "ok"})

    async def props(self, request: web.Request) -> web.Response:
        if self.states is not None and "model" not in request.query:
            return web.json_response({"role": "router", "max_instances": 4, "models_autoload": True})
        told = {
            "default_generation_settings": {"n_ctx": 2048, "params": {}}, "total_slots": 2, "model_path": "tiny.gguf",
            "build_info": "b7000-abcdef0", "is_sleeping": self.sleeping,
        }  # fmt: skip
        return web.json_response(told)

    async def tell_slots(self, request: web.Request) -> web.Response:
        if self.slots is None:
            return self.error(501, "This server does not support slots endpoint.", type="not_supported_error", code=501)
        return web.json_response(self.slots)
