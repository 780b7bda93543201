"""Ollama by its own API. Its OpenAI routes are the protocol `openai`'s, and its Anthropic route is `anthropic`'s.

Source: ollama/ollama, docs/api.md and server/. A canary never wakes a model and never keeps it awake, unless the target
says `wake: true`: it first asks which models are in memory, is skipped when its own is not, and else sends the time the
model has left. How that works, and where it has to give in: docs/protocols.md.
"""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from exporter.contracts import Exchange, Headers, Problem
from exporter.model.cost import Cost
from exporter.model.failure import Asleep, Failure, Reason
from exporter.model.job import Kind, Scope
from exporter.model.observation import Observation, Output, Proposal
from exporter.protocols import answer, identity, language, ollama_answer, ollama_request, ollama_residency
from exporter.protocols.expect import failed, large
from exporter.protocols.family import JSON_HEADERS, Family, Plain, encode
from exporter.protocols.identity import VersionsMetadata
from exporter.protocols.language import Form
from exporter.protocols.listing import names
from exporter.protocols.ollama_request import AskOllama, AskOllamaStream
from exporter.protocols.ollama_residency import Loaded, Residency
from exporter.protocols.reading import handle, parse_object, string
from exporter.protocols.streaming import Promise
from exporter.protocols.text import label, quote
from exporter.protocols.values import check_value
from exporter.protocols.vectors import check_vectors, parse_numbers, read_vectors
from exporter.protocols.worst_case import worst_case
from exporter.settings import Settings
from exporter.transport.framing import NdjsonParser

#: What is remembered of a target: seconds its last canary took, and by digest the context a model was made for.
_TOOK = "ollama.took"
_TRAINED = "ollama.trained"

#: Statuses of `/api/ps` that say nothing of residency but of the server: a canary would meet the same.
_SERVERS_OWN = (401, 408, 425, 429)


class Ollama(Family):
    """An Ollama server."""

    name: ClassVar[str] = "ollama"
    kinds: ClassVar[Mapping[Kind, type[Settings]]] = {
        Kind.HEALTH: Plain,
        Kind.READY: Plain,
        Kind.METADATA: VersionsMetadata,
        Kind.INFER: AskOllama,
        Kind.STREAM: AskOllamaStream,
        Kind.CATALOGUE: Plain,
        Kind.PROPOSE: Plain,
    }
    default_kinds: ClassVar[tuple[Kind, ...]] = (Kind.HEALTH, Kind.READY, Kind.METADATA)

    def scope(self) -> Scope:
        """Of the model, where one is named."""
        return Scope.MODEL if self.model else Scope.SERVER

    def problems(self, kind: Kind) -> Sequence[Problem]:
        """Contradictory requests, and a canary for no model."""
        return ollama_request.problems(self.settings, self.model) if kind.canary else ()

    def cost(self) -> Cost:
        """By the request; a vector is no tokens."""
        request = ollama_request.payload(self.settings, self.model, {}, stream=False)
        return worst_case(request, writes=self.settings.api != "embed")

    async def health(self, exchange: Exchange) -> Observation:
        """The server tells its version."""
        response = await self.get_ok(exchange, "/api/version")
        await handle(response.body, ollama_answer.version)
        return Observation()

    async def ready(self, exchange: Exchange) -> Observation:
        """The model is there to be loaded, be it in memory or not."""
        await self._entry(exchange)
        return Observation()

    async def metadata(self, exchange: Exchange) -> Observation:
        """The server's version; which model that is, what it is made of, and whether it is in memory."""
        response = await self.get_ok(exchange, "/api/version")
        info = {"server": "ollama", "server_version": label(await handle(response.body, ollama_answer.version))}
        entry = await self._entry(exchange)
        if entry is None:
            return identity.report(self.settings, info)
        if digest := string(entry.get("digest")):
            info["model_version"] = label(digest.removeprefix("sha256:")[:12])  # as `ollama list` shows it
        shown = await self._shown(exchange)
        more, facts = ollama_answer.described(shown)
        residency = await self._residency(exchange)
        if residency.told:
            facts["loaded"] = float(residency.loaded is not None)
        return identity.report(self.settings, info | more, facts, shown)

    async def infer(self, exchange: Exchange) -> Observation:
        """A whole answer comes back, and it is what is expected."""
        settings: AskOllama = self.settings
        terms = await self._terms(exchange)
        began = exchange.now()
        path = self._path()
        payload = ollama_request.payload(settings, self.model, terms, stream=False)
        response = await exchange.request("POST", path, headers=JSON_HEADERS, body=encode(payload))
        exchange.memory[_TOOK] = exchange.now() - began
        answer.require(response, model=self.model, path=path)
        judge = self._judge_vectors if settings.api == "embed" else self._judge
        return await handle(response.body, judge, large(settings.expect))

    async def stream(self, exchange: Exchange) -> Observation:
        """Tokens flow, the stream ends as promised, and it says what is expected."""
        settings: AskOllamaStream = self.settings
        terms = await self._terms(exchange)
        began = exchange.now()
        payload = ollama_request.payload(settings, self.model, terms, stream=True)
        opening = exchange.stream("POST", self._path(), headers=JSON_HEADERS, body=encode(payload))
        tools = isinstance(settings.body, dict) and bool(settings.body.get("tools"))
        form = Form(NdjsonParser(), ollama_answer.read, Promise(finish=False), tools=tools)
        try:
            return await language.follow(exchange, opening, settings, settings.expect, form, self._refusal)
        finally:
            exchange.memory[_TOOK] = exchange.now() - began

    async def catalogue(self, exchange: Exchange) -> Observation:
        """Every model that is there to be loaded."""
        return Observation(models=names(ollama_residency.name_of(entry) for entry in await self._listed(exchange)))

    async def propose(self, exchange: Exchange) -> Observation:
        """What the model can do."""
        if not self.model:
            return Observation()
        skills = (await self._shown(exchange)).get("capabilities")
        note = "runs only while the model is loaded, and does not keep it there; see wake"
        if isinstance(skills, list) and "completion" not in skills:
            if "embedding" not in skills:
                return Observation()
            settings: dict[str, Any] = {"interval": "1m", "api": "embed", "prompt": language.DEFAULT_PROMPT}
            return Observation(proposal=Proposal("infer", settings, f"one short text, put into a vector; {note}"))
        settings = {"interval": "1m", "timeout": "30s", "prompt": language.DEFAULT_PROMPT, "max_tokens": 16}
        return Observation(proposal=Proposal("stream", settings, f"sixteen tokens at most; {note}"))

    async def _listed(self, exchange: Exchange) -> list[dict[str, Any]]:
        response = await self.get_ok(exchange, "/api/tags")
        return await handle(response.body, ollama_residency.models)

    async def _entry(self, exchange: Exchange) -> dict[str, Any] | None:
        """The model's entry, None when no model is meant. Raises `Failure` (model_not_found) when it is not there."""
        entries = await self._listed(exchange)
        if not self.model:
            return None
        entry = ollama_residency.listed(entries, self.model)
        if entry is None:
            others = quote(", ".join(map(ollama_residency.name_of, entries[:20])), 120) or "none"
            raise Failure(Reason.MODEL_NOT_FOUND, f"{self.model} is not there, only {others}")
        return entry

    async def _shown(self, exchange: Exchange) -> dict[str, Any]:
        response = await self.post_ok(exchange, self.route("/api/show"), {"model": self.model})
        shown = await handle(response.body, parse_object)
        answer.refuse_error(shown)
        return shown

    async def _residency(self, exchange: Exchange) -> Residency:
        """Whether the model is in memory. Raises `Failure` when the server is too unwell to say."""
        path = self.route("/api/ps")
        response = await exchange.request("GET", path)
        if response.status in _SERVERS_OWN or response.status >= 500:
            answer.require(response, path=path)
        if response.status != 200:
            return Residency(told=False)
        return await handle(response.body, lambda body: ollama_residency.find(body, response.headers, self.model))

    async def _terms(self, exchange: Exchange) -> dict[str, Any]:
        """What a canary has to say so that the model stays as long, and as it is. Raises `Asleep`."""
        residency = await self._residency(exchange)
        loaded = residency.loaded
        terms = None if loaded is None else ollama_residency.keep_alive(loaded, exchange.memory.get(_TOOK, 0.0))
        if loaded is not None and terms is not None:
            context = await self._context(exchange, loaded)
            return terms if context is None else terms | {"options": {"num_ctx": context}}
        if self.wake:
            return {}
        if not residency.told:
            raise Asleep(f"{self.model} may not be loaded: /api/ps does not tell")
        raise Asleep(f"{self.model} is not loaded" if loaded is None else f"{self.model} is about to be unloaded")

    async def _context(self, exchange: Exchange, loaded: Loaded) -> int | None:
        """The `num_ctx` a model was loaded with, as far as it can be known: the server tells no more than the model
        was made for, be it asked for that or for more.
        """
        if loaded.context is None:
            return None
        known: tuple[str, int | None] | None = exchange.memory.get(_TRAINED)
        if known is None or known[0] != loaded.digest:
            try:
                known = (loaded.digest, ollama_answer.trained_context(await self._shown(exchange)))
            except Failure as failure:
                if failure.reason is Reason.TIMEOUT:
                    raise
                return None
            exchange.memory[_TRAINED] = known
        trained = known[1]
        return loaded.context if trained is not None and loaded.context < trained else None

    def _path(self) -> str:
        return self.route(ollama_request.route(self.settings))

    def _refusal(self, status: int, headers: Headers, body: bytes) -> Failure | None:
        return answer.judge(status, headers, body, model=self.model, path=self._path())

    def _judge(self, body: bytes) -> Observation:
        return language.judge(ollama_answer.whole(body), self.settings.expect)

    def _judge_vectors(self, body: bytes) -> Observation:
        expect = self.settings.expect
        value = parse_numbers(body)
        answer.refuse_error(value)
        rows = value.get("embeddings") if isinstance(value, dict) else None
        if not isinstance(rows, list):
            raise Failure(Reason.MALFORMED, f"the answer has no embeddings: {answer.message(body)}")
        vectors = read_vectors(rows)
        failure = failed([check_vectors(expect, vectors), check_value(expect, value)])
        facts = {"dimension": float(len(vectors[0]))}
        output = Output(value, vectors=vectors)
        return Observation(failure=failure, tokens=ollama_answer.tokens(value), facts=facts, output=output)
