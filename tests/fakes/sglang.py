"""SGLang's server, from its http_server.py. `/health` generates a token: a test fails by asking for it."""

from collections.abc import Iterable
from typing import Any

from aiohttp import web

from tests.fakes.openai_api import OpenAiApi


class Sglang(OpenAiApi):
    """`old`: the routes' names of versions before 0.5.5. `metrics`: started with `--enable-metrics`."""

    owner = "sglang"

    def __init__(self, model: str = "tiny-llama", *, old: bool = False, metrics: bool = False) -> None:
        super().__init__(model)
        self.old = old
        self.with_metrics = metrics
        self.generated = 0
        self.running, self.waiting, self.tokens = [0, 0], [0, 0], 0

    def routes(self) -> Iterable[web.RouteDef]:
        yield from super().routes()
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
