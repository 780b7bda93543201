"""Text Generation Inference, from its docs/openapi.json and its router: one model, its own API."""

from collections.abc import Iterable
from typing import Any

from aiohttp import web

from tests.fakes.server import FakeServer, sse

#: Types of errors and the status each comes with where the answer is no stream.
ERRORS = {"validation": 422, "generation": 424, "overloaded": 429, "incomplete_generation": 500}


class Tgi(FakeServer):
    """`trouble`: an error that every generation meets; `after`: events before it, or the cut, in a stream."""

    def __init__(self) -> None:
        super().__init__()
        self.healthy = True
        self.queue = 0
        self.running = 0
        self.steps = 0
        self.trouble: tuple[str, str] | None = None
        self.after: int | None = None
        self.tokens: tuple[tuple[str, bool], ...] = (("O", False), ("K.", False), ("</s>", True))
        self.shows_metrics = True

    def routes(self) -> Iterable[web.RouteDef]:
        return (
            web.get("/health", self.health),
            web.get("/info", self.info),
            web.get("/metrics", self.metrics),
            web.post("/generate", self.generate),
            web.post("/generate_stream", self.generate_stream),
        )

    async def health(self, request: web.Request) -> web.Response:
        if self.healthy:
            return web.Response()
        return web.json_response({"error": "unhealthy", "error_type": "healthcheck"}, status=503)

    async def info(self, request: web.Request) -> web.Response:
        return web.json_response(
            {
                "model_id": "org/tiny", "model_sha": "f00d", "model_pipeline_tag": "text-generation",
                "max_concurrent_requests": 128, "max_input_tokens": 4095, "max_total_tokens": 4096,
                "validation_workers": 2, "router": "text-generation-router", "version": "3.3.6", "sha": None,
                "docker_label": None,
            }
        )  # fmt: skip

    async def metrics(self, request: web.Request) -> web.Response:
        if not self.shows_metrics:
            return web.Response(status=404)
        lines = [
            "# TYPE tgi_queue_size gauge",
            f"tgi_queue_size {self.queue}",
            "# TYPE tgi_batch_current_size gauge",
            f"tgi_batch_current_size {self.running}",
            "# TYPE tgi_batch_inference_count counter",
            f'tgi_batch_inference_count{{method="prefill"}} {self.steps}',
            f'tgi_batch_inference_count{{method="decode"}} {self.steps}',
        ]
        return web.Response(text="\n".join(lines) + "\n")

    async def generate(self, request: web.Request) -> web.Response:
        asked = await request.json()
        if self.trouble:
            return web.json_response(self.error(), status=ERRORS[self.trouble[0]])
        if asked["parameters"].get("temperature") == 0:
            message = "Input validation error: `temperature` must be strictly positive"
            return web.json_response({"error": message, "error_type": "validation"}, status=422)
        text = "".join(text for text, special in self.tokens if not special)
        headers = {"x-queue-time": "3", "x-inference-time": "40", "x-total-time": "44", "x-validation-time": "1"}
        return web.json_response({"generated_text": text, "details": self.details()}, headers=headers)

    async def generate_stream(self, request: web.Request) -> web.StreamResponse:
        """Whatever goes wrong comes as an event, from the first one on: the status is 200 by then."""
        return await sse(request, *self.events(), end=b"")

    def events(self) -> Iterable[dict[str, Any]]:
        whole = "".join(text for text, special in self.tokens if not special)
        for place, (text, special) in enumerate(self.tokens):
            if place == self.after or (self.trouble and self.after is None):
                if self.trouble:
                    yield self.error()
                return
            last = place == len(self.tokens) - 1
            yield {
                "index": place + 1,
                "token": {"id": place, "text": text, "logprob": -0.1, "special": special},
                "generated_text": whole if last else None,
                "details": {**self.details(), "input_length": 5} if last else None,
            }

    def details(self) -> dict[str, Any]:
        return {"finish_reason": "eos_token", "generated_tokens": len(self.tokens), "seed": None}

    def error(self) -> dict[str, str]:
        assert self.trouble is not None
        kind, message = self.trouble
        return {"error": message, "error_type": kind}
