"""Text Embeddings Inference, from its docs/openapi.json and its router: one model, made for one thing."""

from collections.abc import Iterable
from typing import Any

from aiohttp import web

from tests.fakes.server import FakeServer

#: Types of errors and the status each comes with.
ERRORS = {"unhealthy": 503, "backend": 424, "overloaded": 429, "validation": 413, "tokenizer": 422, "empty": 400}


class Tei(FakeServer):
    """`made_for`: `embedding`, `reranker` or `classifier`; `trouble`: an error that every request meets."""

    def __init__(self, made_for: str = "embedding") -> None:
        super().__init__()
        self.made_for = made_for
        self.healthy = True
        self.queue = 0
        self.done = 0
        self.trouble: tuple[str, str] | None = None
        self.vector: list[Any] = [0.6, 0.8]

    def routes(self) -> Iterable[web.RouteDef]:
        return (
            web.get("/health", self.health),
            web.get("/info", self.info),
            web.get("/metrics", self.metrics),
            web.post("/embed", self.embed),
            web.post("/rerank", self.rerank),
            web.post("/predict", self.predict),
        )

    def refuse(self, kind: str, message: str) -> web.Response:
        """An error with its status."""
        return web.json_response({"error": message, "error_type": kind}, status=ERRORS[kind])

    async def answer(self, request: web.Request, handler: Any) -> web.StreamResponse:
        if request.method == "POST":
            if self.trouble:
                return self.refuse(*self.trouble)
            fits = {"/embed": "embedding", "/rerank": "reranker", "/predict": "classifier"}[request.path]
            if fits != self.made_for:
                return self.refuse("backend", f"Model is not a {fits} model")
        response = await super().answer(request, handler)
        if request.method == "POST":
            response.headers.update({"x-total-time": "12", "x-queue-time": "2", "x-inference-time": "9"})
        return response

    async def health(self, request: web.Request) -> web.Response:
        return web.Response() if self.healthy else self.refuse("unhealthy", "unhealthy")

    async def info(self, request: web.Request) -> web.Response:
        labels = {"id2label": {"0": "LABEL_0"}, "label2id": {"LABEL_0": 0}}
        return web.json_response(
            {
                "model_id": "org/tiny-embedder", "model_sha": "f00d", "model_dtype": "float16",
                "model_type": {self.made_for: {"pooling": "mean"} if self.made_for == "embedding" else labels},
                "max_concurrent_requests": 512, "max_input_length": 512, "max_batch_tokens": 16384,
                "max_client_batch_size": 32, "tokenization_workers": 2, "version": "1.8.2", "sha": None,
            }
        )  # fmt: skip

    async def metrics(self, request: web.Request) -> web.Response:
        return web.Response(text=f"te_queue_size {self.queue}\nte_embed_success {self.done}\n")

    async def embed(self, request: web.Request) -> web.Response:
        inputs = (await request.json())["inputs"]
        if not inputs:
            return self.refuse("validation", "`inputs` cannot be empty")
        texts = [inputs] if isinstance(inputs, str) else inputs
        return web.json_response([self.vector for _ in texts])

    async def rerank(self, request: web.Request) -> web.Response:
        """Best first; later texts are better here."""
        texts = (await request.json())["texts"]
        ranked = [{"index": place, "score": (place + 1) / 10} for place in range(len(texts))]
        return web.json_response(ranked[::-1])

    async def predict(self, request: web.Request) -> web.Response:
        """A list of lists is a batch, a list of two texts a pair."""
        inputs = (await request.json())["inputs"]
        labels = [{"score": 0.9, "label": "joy"}, {"score": 0.1, "label": "grief"}]
        batch = isinstance(inputs, list) and isinstance(inputs[0], list)
        return web.json_response([labels for _ in inputs] if batch else labels)
