"""The questions that cost, asked of any server of the OpenAI API: a whole answer, or a stream of tokens."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from exporter.contracts import Exchange, Headers, Problem
from exporter.model.cost import Cost
from exporter.model.failure import Failure
from exporter.model.job import Kind
from exporter.model.observation import Observation
from exporter.protocols import (
    account,
    address,
    language,
    openai_answer,
    openai_asleep,
    openai_llama,
    openai_numbers,
    openai_request,
    openai_responses,
    openai_sglang,
)
from exporter.protocols.expect import large
from exporter.protocols.family import JSON_HEADERS, Family, encode
from exporter.protocols.language import Form
from exporter.protocols.openai_request import Ask, AskStream
from exporter.protocols.openai_servers import Server
from exporter.protocols.openai_visit import Visit
from exporter.protocols.reading import handle
from exporter.protocols.streaming import Promise, Step
from exporter.protocols.worst_case import worst_case
from exporter.transport.framing import Event, SseParser

#: Keys of what is remembered of a target between runs.
_WITHOUT = "openai.without"
_DONE_SEEN = "openai.done_seen"

#: Times a request is sent again with less in it, when the server names what it does not take.
_CONCESSIONS = 5


class Canaries(Family):
    """A protocol whose infer and stream are OpenAI's."""

    #: Whether a stream must end with `[DONE]`: required, optional, or auto.
    done: str = "auto"
    #: The server as the config names it.
    given: str = "auto"

    def problems(self, kind: Kind) -> Sequence[Problem]:
        """Contradictory requests."""
        return openai_request.problems(self.settings, self.given) if kind.canary else ()

    def cost(self) -> Cost:
        """By the request; vectors and rankings are no tokens."""
        settings: Ask | AskStream = self.settings
        request = openai_request.payload(settings, self.model, stream=isinstance(settings, AskStream), without=())
        return worst_case(request, writes=settings.api not in ("embeddings", "rerank"))

    def visit(self, exchange: Exchange) -> Visit:
        """Dealings with the server in one attempt."""
        return Visit(exchange, self.given, self.base, self.query)

    async def infer(self, exchange: Exchange) -> Observation:
        """A whole answer comes back, and it is what is expected."""
        await self._server(exchange)
        settings: Ask = self.settings
        path = self._path()
        without = self._without(exchange)
        for _ in range(_CONCESSIONS + 1):
            request = openai_request.payload(settings, self.model, stream=False, without=without)
            response = await exchange.request("POST", path, headers=JSON_HEADERS, body=encode(request))
            key = self._refused(response.status, response.body, request)
            if key is None:
                break
            without = (*without, key)
        failure = self._failure(response.status, response.headers, response.body)
        if failure is not None:
            raise failure
        self._remember(exchange, without)
        numbers = settings.api in ("embeddings", "rerank")
        found = await handle(response.body, self._judge, openai_numbers.LARGE if numbers else large(settings.expect))
        if not found.server_seconds:  # an answer that tells in its body tells more
            found = replace(found, server_seconds=account.of_headers(response.headers))
        return found

    async def stream(self, exchange: Exchange) -> Observation:
        """Tokens flow, the stream ends as promised, and it says what is expected."""
        server = await self._server(exchange)
        settings: AskStream = self.settings
        path = self._path()
        without = self._without(exchange)
        form = self._form(exchange, server)
        concession: str | None = None

        def refusal(status: int, headers: Headers, body: bytes) -> Failure | None:
            nonlocal concession
            concession = self._refused(status, body, request)
            return self._failure(status, headers, body)

        for left in reversed(range(_CONCESSIONS + 1)):
            request = openai_request.payload(settings, self.model, stream=True, without=without)
            opening = exchange.stream("POST", path, headers=language.STREAM_HEADERS, body=encode(request))
            concession = None
            try:
                found = await language.follow(exchange, opening, settings, settings.expect, form, refusal)
            except Failure:
                if concession is None or not left:
                    raise
                without = (*without, concession)
            else:
                break
        self._remember(exchange, without)
        return found

    async def _server(self, exchange: Exchange) -> Server:
        """Who is asked. Raises `Asleep` where that would wake its model."""
        visit = self.visit(exchange)
        server = await visit.server_at_hand()
        if not self.wake:
            await openai_asleep.refuse(visit, server, self.model)
        return server

    def _path(self) -> str:
        settings: Ask | AskStream = self.settings
        route = settings.path or openai_request.ROUTES[settings.api]
        if settings.path is None and "/deployments/" in self.base:
            # Azure's older addresses name a deployment, and the version in the query.
            return address.with_query(self.base + route.removeprefix("/v1"), self.query)
        if settings.path is None and settings.api in openai_request.OWN:
            return address.beside(self.base, route, self.query)
        return self.route(route)

    def _form(self, exchange: Exchange, server: Server) -> Form:
        body = self.settings.body
        tools = isinstance(body, dict) and bool(body.get("tools"))
        match self.settings.api:
            case "responses":
                return Form(SseParser(), openai_responses.read, Promise(finish=False), tools)
            case "completion":
                return Form(SseParser(), openai_llama.read, Promise(finish=False))
            case "generate":
                return Form(SseParser(), openai_sglang.Reader(), Promise(done=self.done != "optional"))
        promised = server.done if self.done == "auto" else self.done == "required"
        if promised is None:
            promised = bool(exchange.memory.get(_DONE_SEEN))

        def read(event: Event) -> Step:
            step = openai_answer.read(event)
            if step.done:
                exchange.memory[_DONE_SEEN] = True
            return step

        return Form(SseParser(), read, Promise(done=promised), tools)

    def _judge(self, body: bytes) -> Observation:
        settings: Ask = self.settings
        own = settings.body is not None
        match settings.api:
            case "embeddings":
                return openai_numbers.judge_embeddings(body, settings.expect, None if own else len(settings.input))
            case "rerank":
                return openai_numbers.judge_ranking(body, settings.expect, None if own else len(settings.texts or ()))
            case "responses":
                return language.judge(openai_responses.whole(body), settings.expect)
            case "completion":
                return language.judge(openai_llama.whole(body), settings.expect)
            case "generate":
                return language.judge(openai_sglang.whole(body), settings.expect)
        return language.judge(openai_answer.whole(body), settings.expect)

    def _failure(self, status: int, headers: Headers, body: bytes) -> Failure | None:
        return openai_answer.judge(status, headers, body, model=self.model, path=self._path())

    def _without(self, exchange: Exchange) -> tuple[str, ...]:
        return tuple(exchange.memory.get(_WITHOUT, ()))

    def _remember(self, exchange: Exchange, without: tuple[str, ...]) -> None:
        if without:
            exchange.memory[_WITHOUT] = tuple(dict.fromkeys(without))

    def _refused(self, status: int, body: bytes, request: Any) -> str | None:
        return openai_request.refused(status, body, request, own=self.settings.body is None)
