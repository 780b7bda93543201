"""NVIDIA NIM for language models, from its API reference: vLLM within, behind routes of its own."""

from collections.abc import Iterable
from typing import Any

from aiohttp import web

from tests.fakes.openai_api import OpenAiApi


class Nim(OpenAiApi):
    """`loaded`: the model can be asked. Liveness needs none."""

    owner = "vllm"

    def __init__(self, model: str = "meta/llama-3.1-8b-instruct") -> None:
        super().__init__(model)
        self.loaded = True

    def routes(self) -> Iterable[web.RouteDef]:
        yield from super().routes()
        yield web.get("/v1/health/live", self.live)
        yield web.get("/v1/health/ready", self.ready)
        yield web.get("/v1/metadata", self.metadata)
        yield web.get("/v1/version", self.version)
        yield web.get("/v1/metrics", self.metrics)

    def entry(self, name: str) -> dict[str, Any]:
        return {**super().entry(name), "root": name, "parent": None, "max_model_len": 131072, "permission": []}

    async def live(self, request: web.Request) -> web.Response:
        return web.json_response({"object": "health.response", "message": "Service is live."})

    async def ready(self, request: web.Request) -> web.Response:
        if self.loaded:
            return web.json_response({"object": "health.response", "message": "Service is ready."})
        return web.json_response({"object": "health.response", "message": "Service is down."}, status=503)

    async def metadata(self, request: web.Request) -> web.Response:
        told = {
            "version": "2.0.1", "assetInfo": [], "licenseInfo": {"name": "NVIDIA", "path": "/opt/nim/LICENSE"},
            "modelInfo": [{"modelUrl": "ngc://nim/meta/llama", "shortName": "llama-3.1-8b-instruct:hf-8c22764"}],
        }  # fmt: skip
        return web.json_response(told)

    async def version(self, request: web.Request) -> web.Response:
        return web.json_response({"release": "2.0.1", "api": "1.0.0"})

    async def metrics(self, request: web.Request) -> web.Response:
        return web.Response(text='num_requests_running{model_name="m"} 1\nnum_requests_waiting{model_name="m"} 4\n')
