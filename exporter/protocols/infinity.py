"""Infinity (michaelfeil/infinity): embeddings and rankings.

Source: infinity_emb/infinity_server.py, and version 0.0.77 as it answers. Routes may stand below a prefix that it was
given at its start (`--url-prefix`), all but `/health`. Where it serves one model, it takes any name for that one.
"""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal

from pydantic import Field

from exporter.contracts import Exchange, Headers, Problem
from exporter.model.cost import Cost
from exporter.model.failure import Failure, Reason
from exporter.model.job import Kind, Scope
from exporter.model.load import Load
from exporter.model.observation import Observation, Proposal
from exporter.protocols import address, answer, embedding, identity
from exporter.protocols.embedding import AskMeaning
from exporter.protocols.family import JSON_HEADERS, Family, Plain, encode
from exporter.protocols.identity import Facts
from exporter.protocols.language import DEFAULT_PROMPT
from exporter.protocols.listing import names
from exporter.protocols.openai_answer import models
from exporter.protocols.openai_numbers import judge_embeddings, judge_ranking
from exporter.protocols.rankings import RankExpect
from exporter.protocols.reading import count, handle, object_of, string
from exporter.protocols.text import label, quote
from exporter.protocols.vectors import VectorExpect
from exporter.protocols.worst_case import worst_case
from exporter.settings import Settings

_CHECKS: Mapping[str, Any] = {"embeddings": VectorExpect.model_fields, "rerank": RankExpect.model_fields}


class InfinityInfer(AskMeaning):
    """One request for vectors, or for a ranking."""

    api: Literal["embeddings", "rerank"] = Field(
        default="embeddings", description="Which of the server's APIs is asked: the one its model is made for."
    )


class Infinity(Family):
    """An Infinity server."""

    name: ClassVar[str] = "infinity"
    kinds: ClassVar[Mapping[Kind, type[Settings]]] = {
        Kind.HEALTH: Plain,
        Kind.READY: Plain,
        Kind.METADATA: Facts,
        Kind.INFER: InfinityInfer,
        Kind.CATALOGUE: Plain,
        Kind.PROPOSE: Plain,
    }
    default_kinds: ClassVar[tuple[Kind, ...]] = (Kind.HEALTH, Kind.READY, Kind.METADATA)
    tells_load: ClassVar[bool] = True

    def scope(self) -> Scope:
        """Of the model, where one is named."""
        return Scope.MODEL if self.model else Scope.SERVER

    def problems(self, kind: Kind) -> Sequence[Problem]:
        """A request that its api does not take."""
        if kind is not Kind.INFER:
            return ()
        return embedding.contradictions(self.settings, self.settings.api, _CHECKS[self.settings.api])

    def cost(self) -> Cost:
        """By the request; what is answered is no tokens."""
        return worst_case(self._payload(), writes=False)

    async def health(self, exchange: Exchange) -> Observation:
        """The server tells the time."""
        path = address.beside(self.base, "/health", self.query)
        response = await exchange.request("GET", path)
        answer.require(response, path=path)
        moment = (await object_of(response.body)).get("unix")
        if not isinstance(moment, int | float) or isinstance(moment, bool):
            raise Failure(Reason.MALFORMED, f"the answer does not tell the time: {answer.message(response.body)}")
        return Observation()

    async def ready(self, exchange: Exchange) -> Observation:
        """The model is listed."""
        self._entry(await self._models(exchange))
        return Observation()

    async def metadata(self, exchange: Exchange) -> Observation:
        """What the listing says of the model."""
        info = {"server": "infinity"}
        entry = self._entry(await self._models(exchange))
        if entry is None:
            return Observation(info=info)
        info["model_id"] = label(entry["id"])
        if backend := string(entry.get("backend")):
            info["platform"] = label(backend)
        return identity.report(self.settings, info, told=entry)

    async def infer(self, exchange: Exchange) -> Observation:
        """Vectors or a ranking come back, and they are what is expected."""
        settings: InfinityInfer = self.settings
        path = self.route(settings.path or f"/{settings.api}")
        response = await exchange.request("POST", path, headers=JSON_HEADERS, body=encode(self._payload()))
        failure = self._refusal(response.status, response.headers, response.body, path)
        if failure is not None:
            raise failure
        return await handle(response.body, self._judge)

    async def load(self, exchange: Exchange) -> Load | None:
        """The model's queue, as the listing tells it."""
        entry = self._entry(await self._models(exchange))
        stats = entry.get("stats") if entry is not None else None
        waiting = count(stats.get("queue_absolute")) if isinstance(stats, dict) else None
        return None if waiting is None else Load(waiting=float(waiting))

    async def catalogue(self, exchange: Exchange) -> Observation:
        """Every model that is served."""
        return Observation(models=names(entry["id"] for entry in await self._models(exchange)))

    async def propose(self, exchange: Exchange) -> Observation:
        """What the model is made for."""
        entry = self._entry(await self._models(exchange))
        skills = entry.get("capabilities") if entry is not None else None
        if not isinstance(skills, list):
            return Observation()
        if "embed" in skills:
            settings: dict[str, Any] = {"interval": "1m", "input": DEFAULT_PROMPT}
            return Observation(proposal=Proposal("infer", settings, "one short text, put into a vector"))
        if "rerank" in skills:
            settings = {"interval": "1m", "api": "rerank", **embedding.RANKING}
            return Observation(proposal=Proposal("infer", settings, "two short texts, ranked"))
        return Observation()

    async def _models(self, exchange: Exchange) -> list[dict[str, Any]]:
        path = self.route("/models")
        response = await exchange.request("GET", path)
        answer.require(response, path=path)
        return await handle(response.body, models)

    def _entry(self, entries: list[dict[str, Any]]) -> dict[str, Any] | None:
        """The model's entry, or the only one. Raises `Failure` (model_not_found) when only others are listed."""
        if not self.model:
            return entries[0] if len(entries) == 1 else None
        entry = next((entry for entry in entries if entry["id"] == self.model), None)
        if entry is None:
            others = quote(", ".join(entry["id"] for entry in entries[:20]), 120) or "none"
            raise Failure(Reason.MODEL_NOT_FOUND, f"{self.model} is not listed, only {others}")
        return entry

    def _payload(self) -> Any:
        settings: InfinityInfer = self.settings
        if settings.body is not None:
            return settings.body
        request: dict[str, Any] = {"model": self.model} if self.model else {}
        if settings.api == "rerank":
            return request | {"query": settings.query, "documents": settings.texts}
        return request | {"input": settings.input}

    def _refusal(self, status: int, headers: Headers, body: bytes, path: str) -> Failure | None:
        """The failure of an answer, None for 2xx. An unknown model is refused with 400, a full queue with 429."""
        failure = answer.judge(status, headers, body, model=self.model, path=path)
        if failure is None:
            return None
        text = body[: answer.LOOK].decode("utf-8", "replace")
        if status == 400 and "Engine for model name" in text and "not found" in text:
            failure.reason = Reason.MODEL_NOT_FOUND
        elif status == 429 and "overloaded" in text:
            failure.reason = Reason.OVERLOADED
        return failure

    def _judge(self, body: bytes) -> Observation:
        settings: InfinityInfer = self.settings
        judge = judge_ranking if settings.api == "rerank" else judge_embeddings
        return judge(body, settings.expect, settings.count)
