"""vLLM's OpenAI server (`vllm serve`, 0.11 and later), from its entrypoints and its metrics."""

from collections.abc import Iterable
from typing import Any

from aiohttp import web

from tests.fakes.openai_api import OpenAiApi


class Vllm(OpenAiApi):
    """Two engines behind one API server. `dead`: the engine died, and only then does `/health` say so."""

    owner = "vllm"

    def __init__(self, model: str = "tiny-llama") -> None:
        super().__init__(model)
        self.dead = False
        self.adapters: tuple[str, ...] = ()
        self.running = [0, 0]
        self.waiting = [0, 0]
        self.tokens = 0
        #: `VLLM_SERVER_DEV_MODE` alone shows it.
        self.sleeping: bool | None = None

    def routes(self) -> Iterable[web.RouteDef]:
        yield from super().routes()
        yield web.get("/health", self.health)
        yield web.get("/version", self.version)
        yield web.get("/metrics", self.metrics)
        yield web.get("/is_sleeping", self.is_sleeping)
        yield web.post("/v1/rerank", self.rerank)

    def entry(self, name: str) -> dict[str, Any]:
        more = {"root": f"org/{name}", "parent": None, "max_model_len": 4096, "permission": [{"id": "modelperm-1"}]}
        return {**super().entry(name), **more}

    def unknown(self, name: str) -> web.Response:
        return self.error(404, f"The model `{name}` does not exist.", type="NotFoundError", code=404)

    async def models(self, request: web.Request) -> web.Response:
        adapters = [{**self.entry(name), "root": f"/adapters/{name}", "parent": self.model} for name in self.adapters]
        return web.json_response({"object": "list", "data": [self.entry(self.model), *adapters]})

    async def health(self, request: web.Request) -> web.Response:
        return web.Response(status=503 if self.dead else 200)

    async def version(self, request: web.Request) -> web.Response:
        return web.json_response({"version": "0.11.2"})

    async def is_sleeping(self, request: web.Request) -> web.Response:
        if self.sleeping is None:
            return web.json_response({"detail": "Not Found"}, status=404)
        return web.json_response({"is_sleeping": self.sleeping})

    async def metrics(self, request: web.Request) -> web.Response:
        lines = ["# HELP vllm:num_requests_running Number of requests in model execution batches."]
        for name, values in (("running", self.running), ("waiting", self.waiting)):
            lines.append(f"# TYPE vllm:num_requests_{name} gauge")
            lines += [
                f'vllm:num_requests_{name}{{engine="{engine}",model_name="{self.model}"}} {float(value)}'
                for engine, value in enumerate(values)
            ]
        lines += [
            "# TYPE vllm:iteration_tokens_total histogram",
            f'vllm:iteration_tokens_total_bucket{{engine="0",le="+Inf",model_name="{self.model}"}} 7.0',
            f'vllm:iteration_tokens_total_sum{{engine="0",model_name="{self.model}"}} {float(self.tokens)}',
        ]
        return web.Response(text="\n".join(lines) + "\n")

    async def rerank(self, request: web.Request) -> web.Response:
        asked = await request.json()
        scores = [1 / (2 + place) for place in range(len(asked["documents"]))]
        results = [
            {"index": place, "document": {"text": asked["documents"][place]}, "relevance_score": score}
            for place, score in sorted(enumerate(scores), key=lambda each: -each[1])
        ]
        return web.json_response({"id": "r", "model": self.model, "usage": {"total_tokens": 9}, "results": results})
