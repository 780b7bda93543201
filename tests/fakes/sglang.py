"""SGLang's server, from its http_server.py. `/health` generates a token: a test fails by asking for it."""

from collections.abc import Iterable
from typing import Any

from aiohttp import web

from tests.fakes.openai_api import WORDS, OpenAiApi
from tests.fakes.server import sse


class Sglang(OpenAiApi):
    """`old`: the routes' names of versions before 0.5.5. `metrics`: started with `--enable-metrics`."""

    owner = "sglang"

    def __init__(self, model: str = "tiny-llama", *, old: bool = False, metrics: bool = False) -> None:
        super().__init__(model)
        self.old = old
        self.with_metrics = metrics
        self.generated = 0
        self.running, self.waiting, self.tokens = [0, 0], [0, 0], 0
        #: Started with `--incremental-streaming-output`.
        self.incremental = False
        #: What the scheduler says of the request in the end, in place of a reason of the model's.
        self.abort: dict[str, Any] | None = None

    def routes(self) -> Iterable[web.RouteDef]:
        yield from super().routes()
        yield web.post("/generate", self.generate)
        yield web.get("/health", self.health)
        yield web.get("/health_generate", self.health)
        yield web.get("/get_model_info" if self.old else "/model_info", self.model_info)
        yield web.get("/get_server_info" if self.old else "/server_info", self.server_info)
        yield web.get("/get_load" if self.old else "/v1/loads", self.load)
        if self.with_metrics:
            yield web.get("/metrics", self.metrics)

    def entry(self, name: str) -> dict[str, Any]:
        return {**super().entry(name), "root": name, "parent": None, "max_model_len": 4096}

    def error(self, status: int, message: str, **more: Any) -> web.Response:
        """Flat, without `error`."""
        body = {"object": "error", "message": message, "type": "BadRequest", "param": None, "code": status}
        return web.json_response(body, status=status)

    async def generate(self, request: web.Request) -> web.StreamResponse:
        """Its own API: each event holds the text so far and counts as it goes."""
        asked = await request.json()
        if self.failing is not None:
            return self.failing
        if "text" not in asked:
            message = "Either text, input_ids or input_embeds should be provided."
            return web.json_response({"error": {"message": message}}, status=400)
        bound = asked.get("sampling_params", {}).get("max_new_tokens", 128)
        written = WORDS[:bound]
        end: dict[str, Any] = {"type": "stop", "matched": 2}
        if len(written) < len(WORDS):
            end = {"type": "length", "length": bound}
        events = []
        for place, word in enumerate(written):
            last = place == len(written) - 1
            told = {
                "id": "g", "finish_reason": (self.abort or end) if last else None, "prompt_tokens": 9,
                "weight_version": "v7", "completion_tokens": place + 1, "cached_tokens": 2,
                **({"e2e_latency": 0.125} if last else {}),
            }  # fmt: skip
            text = word if self.incremental else "".join(written[: place + 1])
            events.append({"text": text, "output_ids": [7] * (1 if self.incremental else place + 1), "meta_info": told})
        if asked.get("stream"):
            return await sse(request, *events)
        if self.abort is not None:
            return web.json_response({"error": {"message": self.abort["message"]}}, status=self.abort["status_code"])
        return web.json_response({**events[-1], "text": "".join(written)})

    async def health(self, request: web.Request) -> web.Response:
        self.generated += 1
        return web.Response()

    async def model_info(self, request: web.Request) -> web.Response:
        told = {
            "model_path": f"org/{self.model}", "tokenizer_path": f"org/{self.model}", "is_generation": True,
            "preferred_sampling_params": None, "weight_version": "v7",
        }  # fmt: skip
        return web.json_response(told)

    async def server_info(self, request: web.Request) -> web.Response:
        return web.json_response({"model_path": f"org/{self.model}", "internal_states": [{}], "version": "0.5.6"})

    async def load(self, request: web.Request) -> web.Response:
        ranks = list(enumerate(zip(self.running, self.waiting, strict=True)))
        if self.old:
            told = [{"dp_rank": n, "num_reqs": run + wait, "num_waiting_reqs": wait} for n, (run, wait) in ranks]
            return web.json_response(told)
        loads = [
            {"dp_rank": n, "num_running_reqs": run, "num_waiting_reqs": wait, "max_running_requests": 8}
            for n, (run, wait) in ranks
        ]
        return web.json_response({"timestamp": "2026-11-01T00:00:00", "dp_rank_count": len(ranks), "loads": loads})

    async def metrics(self, request: web.Request) -> web.Response:
        labels = f'{{engine_type="unified",model_name="{self.model}",tp_rank="0"}}'
        text = (
            f"sglang:num_running_reqs{labels} {sum(self.running)}\n"
            f"sglang:num_queue_reqs{labels} {sum(self.waiting)}\n"
            f"sglang:generation_tokens_total{labels} {self.tokens}\n"
        )
        return web.Response(text=text)
