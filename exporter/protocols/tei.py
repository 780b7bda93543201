"""Hugging Face's Text Embeddings Inference (TEI): embeddings, rankings and classifications.

Source: text-embeddings-inference, docs/openapi.json and router/src/http. It serves one model, which `/info` names; no
request names it. 424 is its backend that failed, 429 its queue that is full.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar, Literal

from pydantic import Field

from exporter.contracts import Exchange, Problem
from exporter.model.cost import Cost
from exporter.model.failure import Failure, Reason
from exporter.model.job import Kind
from exporter.model.load import Load
from exporter.model.observation import Observation, Output, Proposal
from exporter.protocols import account, answer, embedding, huggingface, identity
from exporter.protocols.embedding import AskMeaning, MeaningExpect
from exporter.protocols.expect import failed
from exporter.protocols.family import JSON_HEADERS, Family, Plain, encode
from exporter.protocols.identity import VersionsMetadata
from exporter.protocols.language import DEFAULT_PROMPT
from exporter.protocols.listing import names
from exporter.protocols.numbers import finite
from exporter.protocols.rankings import RankExpect, check_ranking, read_scores
from exporter.protocols.reading import handle, kind, object_of, string
from exporter.protocols.samples import sums
from exporter.protocols.values import ValueExpect, check_value
from exporter.protocols.vectors import Vector, VectorExpect, check_vectors, parse_numbers, read_vectors
from exporter.protocols.worst_case import worst_case
from exporter.settings import Settings

_ROUTES = {"embed": "/embed", "rerank": "/rerank", "predict": "/predict"}
_CHECKS: Mapping[str, Iterable[str]] = {
    "embed": VectorExpect.model_fields,
    "rerank": RankExpect.model_fields,
    "predict": ValueExpect.model_fields,
}
_NUMBERS = ("max_input_length", "max_batch_tokens", "max_client_batch_size", "max_concurrent_requests")
_DONE = ("te_embed_success", "te_rerank_success", "te_predict_success")


class TeiExpect(MeaningExpect, ValueExpect):
    """What must hold of vectors, of a ranking or of a classification: json and schema go with api predict."""


class TeiInfer(AskMeaning):
    """One request for vectors, a ranking or a classification."""

    api: Literal["embed", "rerank", "predict"] = Field(
        default="embed", description="Which of the server's APIs is asked: the one its model is made for."
    )
    normalize: bool | None = Field(
        default=None,
        description="Whether vectors shall have the length 1, with api embed. Default: as the server does.",
    )
    expect: TeiExpect = Field(default=TeiExpect(), description="What must hold of the answer.")
    truncate: bool | None = Field(
        default=None, description="Whether texts that are too long shall be cut. Default: as the server does."
    )


class Tei(Family):
    """A TEI server."""

    name: ClassVar[str] = "tei"
    kinds: ClassVar[Mapping[Kind, type[Settings]]] = {
        Kind.HEALTH: Plain,
        Kind.READY: Plain,
        Kind.METADATA: VersionsMetadata,
        Kind.INFER: TeiInfer,
        Kind.CATALOGUE: Plain,
        Kind.PROPOSE: Plain,
    }
    default_kinds: ClassVar[tuple[Kind, ...]] = (Kind.HEALTH, Kind.READY, Kind.METADATA)
    tells_load: ClassVar[bool] = True

    def problems(self, kind: Kind) -> Sequence[Problem]:
        """A request that its api does not take."""
        if kind is not Kind.INFER:
            return ()
        settings: TeiInfer = self.settings
        found = embedding.contradictions(settings, settings.api, _CHECKS[settings.api])
        if settings.normalize is not None and settings.api != "embed":
            found.append((("normalize",), f"found beside api {settings.api}; it goes with embed"))
        return found

    def cost(self) -> Cost:
        """By the request; what is answered is no tokens."""
        return worst_case(self._payload(), writes=False)

    async def health(self, exchange: Exchange) -> Observation:
        """The server and its backend are up."""
        await self._get(exchange, "/health")
        return Observation()

    async def ready(self, exchange: Exchange) -> Observation:
        """The server names its model."""
        await self._info(exchange)
        return Observation()

    async def metadata(self, exchange: Exchange) -> Observation:
        """What server and model are."""
        body = await self._info(exchange)
        info, facts = await handle(body, lambda body: huggingface.described(body, *_NUMBERS))
        return identity.report(self.settings, {"server": "tei"} | info, facts, await object_of(body))

    async def infer(self, exchange: Exchange) -> Observation:
        """Vectors, a ranking or a classification come back, and they are what is expected."""
        settings: TeiInfer = self.settings
        path = self.route(settings.path or _ROUTES[settings.api])
        response = await exchange.request("POST", path, headers=JSON_HEADERS, body=encode(self._payload()))
        failure = huggingface.judge(response.status, response.headers, response.body, model=self.model, path=path)
        if failure is not None:
            raise failure
        found = await handle(response.body, self._judge)
        return replace(found, server_seconds=account.of_headers(response.headers))

    async def load(self, exchange: Exchange) -> Load | None:
        """From `/metrics`, where the server has it on the same port."""
        response = await self.get(exchange, "/metrics")
        found = sums(response.body, ("te_queue_size", *_DONE)) if response.status == 200 else {}
        if not found:
            return None
        done = [found[name] for name in _DONE if name in found]
        return Load(waiting=found.get("te_queue_size"), progress=sum(done) if done else None)

    async def catalogue(self, exchange: Exchange) -> Observation:
        """The one model there is."""
        info, _ = await handle(await self._info(exchange), huggingface.described)
        return Observation(models=names([info["model_id"]]))

    async def propose(self, exchange: Exchange) -> Observation:
        """What the model is made for."""
        made_for = (await object_of(await self._info(exchange))).get("model_type")
        settings: dict[str, Any] = {"interval": "1m"}
        if isinstance(made_for, dict) and "reranker" in made_for:
            settings |= {"api": "rerank", **embedding.RANKING}
            return Observation(proposal=Proposal("infer", settings, "two short texts, ranked"))
        if isinstance(made_for, dict) and "classifier" in made_for:
            settings |= {"api": "predict", "input": DEFAULT_PROMPT}
            return Observation(proposal=Proposal("infer", settings, "one short text, classified"))
        settings |= {"api": "embed", "input": DEFAULT_PROMPT}
        return Observation(proposal=Proposal("infer", settings, "one short text, put into a vector"))

    async def _get(self, exchange: Exchange, route: str) -> bytes:
        path = self.route(route)
        response = await exchange.request("GET", path)
        failure = huggingface.judge(response.status, response.headers, response.body, model="", path=path)
        if failure is not None:
            raise failure
        return response.body

    async def _info(self, exchange: Exchange) -> bytes:
        body = await self._get(exchange, "/info")
        await handle(body, huggingface.described)
        return body

    def _payload(self) -> Any:
        settings: TeiInfer = self.settings
        if settings.body is not None:
            return settings.body
        request: dict[str, Any]
        if settings.api == "rerank":
            request = {"query": settings.query, "texts": settings.texts}
        elif settings.api == "predict":
            # A list of two strings would be one pair; a list of lists is a batch.
            request = {"inputs": [[text] for text in settings.input]}
        else:
            request = {"inputs": settings.input}
        for key in ("normalize", "truncate"):
            if (value := getattr(settings, key)) is not None:
                request[key] = value
        return request

    def _judge(self, body: bytes) -> Observation:
        settings: TeiInfer = self.settings
        value = parse_numbers(body)
        answer.refuse_error(value, huggingface.reason_of(value))
        facts: dict[str, float] = {}
        vectors: Sequence[Vector] = ()
        if settings.api == "rerank":
            complaint = check_ranking(settings.expect, read_scores(value, settings.count))
        elif settings.api == "embed":
            vectors = _vectors(value, settings.count)
            facts["dimension"] = float(len(vectors[0]))
            complaint = check_vectors(settings.expect, vectors)
        else:
            _refuse_other(value)
            complaint = check_value(settings.expect, value)
        return Observation(
            failure=failed([complaint]), facts=facts, output=Output(value, vectors=vectors, essence=value)
        )


def _vectors(value: Any, texts: int | None) -> list[Vector]:
    """The vectors of an answer. Raises `Failure` (malformed, empty) unless there is one for each text."""
    if not isinstance(value, list):
        raise Failure(Reason.MALFORMED, f"the answer is {kind(value)}; a list of vectors was expected")
    vectors = read_vectors(value)
    if texts is not None and len(vectors) != texts:
        raise Failure(Reason.MALFORMED, f"{len(vectors)} vectors came for {texts} texts")
    return vectors


def _refuse_other(value: Any) -> None:
    """Raise `Failure` for what is no list of labels with scores, and no list of such lists."""
    rows = value if isinstance(value, list) else [None]
    labels = [label for row in rows for label in (row if isinstance(row, list) else [row])]
    if not labels:
        raise Failure(Reason.EMPTY, "the answer has no label")
    if not all(isinstance(each, dict) and string(each.get("label")) and finite(each.get("score")) for each in labels):
        raise Failure(Reason.MALFORMED, "the answer is not a list of labels, each with a number for its score")
