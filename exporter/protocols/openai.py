"""The OpenAI API and the servers that speak it, told apart: vLLM, SGLang, llama.cpp, NIM, hosted ones and others.

Source: OpenAI's API reference (models, chat completions, completions, responses, embeddings), the servers' own code and
documentation, and what they were seen to do. What each offers beside `/v1` is in openai_servers.py.
"""

from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Literal

from pydantic import Field

from exporter.contracts import Exchange, Response
from exporter.model.failure import Asleep, Failure, Reason
from exporter.model.job import Kind, Scope
from exporter.model.load import Load
from exporter.model.observation import Observation
from exporter.protocols import (
    answer,
    identity,
    listing,
    openai_about,
    openai_answer,
    openai_asleep,
    openai_propose,
    openai_servers,
)
from exporter.protocols.address import segment
from exporter.protocols.family import Plain, UrlPath
from exporter.protocols.identity import VersionsMetadata
from exporter.protocols.openai_about import Told
from exporter.protocols.openai_canary import Canaries
from exporter.protocols.openai_request import Ask, AskStream
from exporter.protocols.openai_servers import GENERIC, HOSTED, Server
from exporter.protocols.openai_visit import Visit, absent
from exporter.protocols.reading import handle, object_of, parse_object
from exporter.protocols.text import quote
from exporter.settings import Settings

#: Hosted APIs have no health to ask for, and a listing that comes says nothing.
_HOSTED = (".openai.com", ".openai.azure.com", ".services.ai.azure.com", ".cognitiveservices.azure.com")


class OpenAiOptions(Settings):
    """Keys of a target or module that only this protocol knows."""

    done: Literal["auto", "required", "optional"] = Field(
        default="auto",
        description="Whether a stream must end with [DONE]. auto: as the server is known to do, else once this target "
        "was seen to send it.",
    )
    server: openai_servers.Name = Field(
        default="auto",
        description="The server behind the API, which decides how health, readiness, metadata and load are asked for. "
        "auto: learned from what it answers.",
    )


class Health(Settings):
    """A question for the server's health."""

    path: UrlPath | None = Field(
        default=None,
        description="Path to ask in place of the server's own, such as /health of SGLang, which generates a token: "
        "give that a timeout of 25s or more.",
    )


class OpenAi(Canaries):
    """A server of the OpenAI API."""

    name: ClassVar[str] = "openai"
    kinds: ClassVar[Mapping[Kind, type[Settings]]] = {
        Kind.HEALTH: Health,
        Kind.READY: Plain,
        Kind.METADATA: VersionsMetadata,
        Kind.INFER: Ask,
        Kind.STREAM: AskStream,
        Kind.CATALOGUE: Plain,
        Kind.PROPOSE: Plain,
    }
    default_kinds: ClassVar[tuple[Kind, ...]] = (Kind.HEALTH, Kind.READY, Kind.METADATA)
    options: ClassVar[type[Settings]] = OpenAiOptions
    tells_load: ClassVar[bool] = True

    def __init__(self, *, options: Settings, **given: Any) -> None:
        super().__init__(options=options, **given)
        self.done = getattr(options, "done", "auto")
        self.given = getattr(options, "server", "auto")

    @classmethod
    def kinds_at(cls, host: str) -> tuple[Kind, ...]:
        """Without health at hosts that are known to have none."""
        hosted = host.lower().rstrip(".").endswith(_HOSTED)
        return tuple(kind for kind in cls.default_kinds if not (hosted and kind is Kind.HEALTH))

    def scope(self) -> Scope:
        """Of the model, where one is named."""
        return Scope.MODEL if self.model else Scope.SERVER

    async def health(self, exchange: Exchange) -> Observation:
        """The server says that it is well; where it has no route for that, it lists its models, be it none."""
        visit = self.visit(exchange)
        path = getattr(self.settings, "path", None)
        if path is not None:
            answer.require(await visit.get(path))
        elif await self._own(visit, Kind.HEALTH) is None:
            await visit.entries()
        return Observation()

    async def ready(self, exchange: Exchange) -> Observation:
        """The model is listed, and ready where the server tells. A server that lists none keeps them to itself."""
        visit = self.visit(exchange)
        server = await visit.server()
        if server.models and self.model:
            await self._alone(visit, server)
            return Observation()
        said = await self._own(visit, Kind.READY)
        if said is not None and not (await visit.server()).listed:
            return Observation()
        try:
            entry = self._entry(await visit.entries())
        except Failure as failure:
            # Before that is believed: transformers serve lists what it has downloaded, and not what it serves.
            if failure.reason is not Reason.MODEL_NOT_FOUND or (await visit.server(thorough=True)).listed:
                raise
            return await self.ready(exchange)
        if entry is not None:
            _require_loaded(entry)
        return Observation()

    async def metadata(self, exchange: Exchange) -> Observation:
        """What the listing says of the model, and what the server tells of itself where it is cheap to ask."""
        visit = self.visit(exchange)
        server = await visit.server(thorough=True)
        entry = None
        if server.models and self.model:
            entry = await self._alone(visit, server)
        elif server.lists:
            entry = self._entry(await visit.entries())
        info, facts = openai_about.of_entry(entry) if entry is not None else ({}, {})
        described = dict(entry or {})
        if server.name not in (GENERIC, HOSTED):
            info["server"] = server.name
        for about in server.about:
            for route in about.routes:
                told = await self._told(visit, route, about.read)
                if told is not None:
                    info |= told[0]
                    facts |= told[1]
                    described |= told[2]
                    break
        return identity.report(self.settings, info, facts, described)

    async def load(self, exchange: Exchange) -> Load | None:
        """Requests at work and waiting, from the first route that tells."""
        visit = self.visit(exchange)
        server = await visit.server()
        if server.name == "llama.cpp" and not self.wake:
            try:
                await openai_asleep.refuse(visit, server, self.model)
            except Asleep:
                return None  # a question about its slots could wake it too
        for source in server.load:
            if visit.lacks(source.route):
                continue
            route = source.route
            if source.of_model and self.model:
                route = f"{route}?model={segment(self.model)}&autoload=false"
            response = await visit.get(route)
            if not visit.lacks(source.route, response):
                answer.require(response)
                load = await handle(response.body, source.read)
                if load is not None:
                    return load
        return None

    async def catalogue(self, exchange: Exchange) -> Observation:
        """Every model listed, LoRA adapters among them; nothing where the server has no list."""
        visit = self.visit(exchange)
        server = await visit.server()
        if not server.lists:
            return Observation()
        ids = (entry["id"] for entry in await visit.entries())
        # LiteLLM's `NAME/*` is a whole provider.
        return Observation(models=listing.names(name for name in ids if not name.endswith("/*")))

    async def propose(self, exchange: Exchange) -> Observation:
        """A short chat, or a text to embed, as the model is for the one or the other."""
        if not self.model:
            return Observation()
        visit = self.visit(exchange)
        server = await visit.server(thorough=True)
        entry = openai_answer.lists(await visit.entries(), self.model) if server.lists else None
        return Observation(proposal=openai_propose.propose(entry, self.model))

    async def _own(self, visit: Visit, kind: Kind) -> Response | None:
        """The good answer of a server's own route; None where it has none. Raises `Failure` for any other answer."""
        server = await visit.server()
        while route := server.ready if kind is Kind.READY else server.health:
            response = await visit.get(route)
            if absent(response) or b'"healthy_endpoints"' in response.body[: answer.LOOK]:
                other = await visit.instead(server)
                if other is not None:
                    server = other
                    continue
            failure = answer.judge(response.status, response.headers, response.body)
            if failure is None:
                return response
            if kind is Kind.READY and response.status == 503 and server.loading:
                raise Failure(Reason.NOT_READY, failure.detail, http_status=503, retry_after=failure.retry_after)
            raise failure
        return None

    async def _alone(self, visit: Visit, server: Server) -> dict[str, Any]:
        """The model's entry by a route of its own. Raises `Failure`, model_not_found where there is none."""
        route = f"{server.models}/{segment(self.model)}"
        response = await visit.get(route)
        failure = openai_answer.judge(
            response.status, response.headers, response.body, model=self.model, path=visit.path(route)
        )
        if failure is None:
            return {"id": self.model, **await object_of(response.body)}
        if failure.reason is not Reason.MODEL_NOT_FOUND:
            raise failure
        try:
            entry = openai_answer.lists(await visit.entries(), self.model)
        except Failure:
            raise failure from None
        if entry is None:
            raise failure
        return entry  # only the route is missing

    async def _told(
        self, visit: Visit, route: str, read: Callable[[bytes], Told]
    ) -> tuple[dict[str, str], dict[str, float], dict[str, Any]] | None:
        """Labels and numbers of an answer, and the answer; None where none came that can be read."""
        response = await visit.aside(route)
        if response is None or response.status != 200:
            return None
        try:
            return await handle(response.body, lambda body: (*read(body), parse_object(body)))
        except Failure:
            return None

    def _entry(self, entries: list[dict[str, Any]]) -> dict[str, Any] | None:
        """The model's entry, or the only one. Raises `Failure` (model_not_found) when only others are listed."""
        if not self.model:
            return entries[0] if len(entries) == 1 else None
        entry = openai_answer.lists(entries, self.model)
        if entry is None and entries:
            others = quote(", ".join(entry["id"] for entry in entries[:20]), 120)
            raise Failure(Reason.MODEL_NOT_FOUND, f"{self.model} is not listed, only {others}")
        return entry


def _require_loaded(entry: dict[str, Any]) -> None:
    """Raise where llama.cpp's router says that a model is not to be had. One that sleeps is woken by a request."""
    state = openai_asleep.status_of(entry)
    status = entry.get("status")
    if isinstance(status, dict) and status.get("failed") is True:
        raise Failure(
            Reason.ERROR_EVENT, f"the model failed to load, exit code {quote(str(status.get('exit_code')), 20)}"
        )
    if state in ("loading", "downloading"):
        raise Failure(Reason.NOT_READY, f"the model is {state}")
