"""The OpenAI API and the servers that speak it: vLLM, SGLang, llama.cpp, Ollama, TGI, LitServe, LiteLLM and others.

Source: OpenAI's API reference (models, chat completions, completions), and what the servers were seen to do. LitServe's
OpenAI spec has no listing of models: there, `/health` is asked instead, once `/info` has shown that it is LitServe.
"""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal

from pydantic import Field

from exporter.contracts import Exchange, Response, StreamResponse
from exporter.model.failure import Failure, Reason
from exporter.model.job import Kind, Scope
from exporter.model.observation import Observation
from exporter.model.stream import Outcome, StreamMeter
from exporter.protocols import address, answer, openai_answer, openai_request, streaming
from exporter.protocols.expect import check_json, check_text, large
from exporter.protocols.family import JSON_HEADERS, Family, Plain, encode
from exporter.protocols.openai_request import AnswerExpect, Ask, AskStream
from exporter.protocols.reading import handle, parse, parse_object
from exporter.protocols.streaming import Promise
from exporter.protocols.text import label, quote
from exporter.settings import Settings
from exporter.transport.framing import NdjsonParser, SseParser

#: Keys of what is remembered of a target between runs.
_WITHOUT = "openai.without"
_DONE_SEEN = "openai.done_seen"
_LITSERVE = "openai.litserve"

#: Times a request is sent again with less in it, when the server names what it does not take.
_CONCESSIONS = 3


class OpenAiOptions(Settings):
    """Keys of a target or module that only this protocol knows."""

    done: Literal["auto", "required", "optional"] = Field(
        default="auto",
        description="Whether a stream must end with [DONE]. auto: once this target was seen to send it, it must.",
    )


class OpenAi(Family):
    """An OpenAI-compatible server."""

    name: ClassVar[str] = "openai"
    kinds: ClassVar[Mapping[Kind, type[Settings]]] = {
        Kind.HEALTH: Plain,
        Kind.READY: Plain,
        Kind.METADATA: Plain,
        Kind.INFER: Ask,
        Kind.STREAM: AskStream,
    }
    default_kinds: ClassVar[tuple[Kind, ...]] = (Kind.HEALTH, Kind.READY, Kind.METADATA)
    options: ClassVar[type[Settings]] = OpenAiOptions

    def scope(self) -> Scope:
        """Of the model, where one is named."""
        return Scope.MODEL if self.model else Scope.SERVER

    def problems(self, kind: Kind) -> Sequence[tuple[tuple[str | int, ...], str]]:
        """Contradictory requests."""
        return openai_request.problems(self.settings, stream=kind is Kind.STREAM) if kind.canary else ()

    async def health(self, exchange: Exchange) -> Observation:
        """The server lists its models, be it none."""
        await self._models(exchange)
        return Observation()

    async def ready(self, exchange: Exchange) -> Observation:
        """The model is listed. A server that lists none keeps its models to itself."""
        self._entry(await self._models(exchange) or [])
        return Observation()

    async def metadata(self, exchange: Exchange) -> Observation:
        """What the listing says of the model, and the server's version where it is cheap to ask."""
        entries = await self._models(exchange)
        if entries is None:
            return Observation(info=await self._litserve_info(exchange))
        entry = self._entry(entries)
        if entry is None:
            return Observation()
        info, facts = openai_answer.describe(entry)
        version_route = {"vllm": "/version", "ollama": "/api/version"}.get(info.get("server", ""))
        if version_route:
            info |= await self._version(exchange, version_route)
        return Observation(info=info, facts=facts)

    async def infer(self, exchange: Exchange) -> Observation:
        """A whole answer comes back, and it is what is expected."""
        settings: Ask = self.settings
        path = self.route(openai_request.route(settings))
        without = self._without(exchange)
        for _ in range(_CONCESSIONS + 1):
            request = openai_request.payload(settings, self.model, stream=False, without=without)
            response = await exchange.request("POST", path, headers=JSON_HEADERS, body=encode(request))
            key = self._refused(response.status, response.body, request)
            if key is None:
                break
            without = (*without, key)
        answer.require(response, model=self.model, path=path)
        self._remember(exchange, without)
        return await handle(response.body, self._judge, large(settings.expect))

    async def stream(self, exchange: Exchange) -> Observation:
        """Tokens flow, the stream ends as promised, and it says what is expected."""
        settings: AskStream = self.settings
        path = self.route(openai_request.route(settings))
        without = self._without(exchange)
        failure = None
        for _ in range(_CONCESSIONS + 1):
            request = openai_request.payload(settings, self.model, stream=True, without=without)
            headers = (("Content-Type", "application/json"), ("Accept", "text/event-stream"))
            opening = exchange.stream("POST", path, headers=headers, body=encode(request))
            async with streaming.begin(exchange, opening, settings.first_token_timeout) as response:
                if 200 <= response.status < 300:
                    self._remember(exchange, without)
                    return await self._follow(exchange, response, settings)
                body = await response.body()
                failure = answer.judge(response.status, response.headers, body, model=self.model, path=path)
            key = self._refused(response.status, body, request)
            if key is None:
                break
            without = (*without, key)
        raise failure or Failure(Reason.INTERNAL, "a stream was refused without a status")

    async def _models(self, exchange: Exchange) -> list[dict[str, Any]] | None:
        """The listing; None for LitServe, which has none, once its own health is good."""
        if not exchange.memory.get(_LITSERVE):
            path = self.route("/v1/models")
            response = await exchange.request("GET", path)
            if response.status != 404 or not await self._is_litserve(exchange):
                # A missing route is no missing model: the path does not hold its name.
                answer.require(response, path=path)
                return await handle(response.body, openai_answer.models)
            exchange.memory[_LITSERVE] = True
        response = await exchange.request("GET", self._above("/health"))
        if response.status == 404:
            del exchange.memory[_LITSERVE]
        answer.require(response)
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

    async def _is_litserve(self, exchange: Exchange) -> bool:
        response = await exchange.request("GET", self._above("/info"))
        return any(route.startswith("/v1/") for route in openai_answer.litserve_routes(response.body))

    async def _litserve_info(self, exchange: Exchange) -> dict[str, str]:
        info = {"server": "litserve"}
        response = await exchange.request("GET", self._above("/info"))
        answer.require(response)
        model = parse_object(response.body).get("model")
        for key, name in (("model_id", "name"), ("model_version", "version")):
            value = model.get(name) if isinstance(model, dict) else None
            if isinstance(value, str) and value:
                info[key] = label(value)
        return info

    async def _version(self, exchange: Exchange, route: str) -> dict[str, str]:
        response = await exchange.request("GET", self._above(route))
        version = _version_of(response)
        return {"server_version": label(version)} if version else {}

    def _above(self, route: str) -> str:
        """The path of a route that is not below `/v1`."""
        base = self.base.removesuffix("/v1")
        return address.with_query(base + route, self.query)

    def _without(self, exchange: Exchange) -> tuple[str, ...]:
        return tuple(exchange.memory.get(_WITHOUT, ()))

    def _remember(self, exchange: Exchange, without: tuple[str, ...]) -> None:
        if without:
            exchange.memory[_WITHOUT] = tuple(dict.fromkeys(without))

    def _refused(self, status: int, body: bytes, request: Any) -> str | None:
        return openai_request.refused(status, body, request, own=self.settings.body is None)

    def _judge(self, body: bytes) -> Observation:
        found = openai_answer.whole(body)
        failure = None
        if not found.channels:
            failure = Failure(Reason.EMPTY, "the answer is empty")
        elif found.finish == "content_filter":
            failure = Failure(Reason.EXPECTATION, "the answer was stopped by a content filter")
        else:
            failure = _complaint(self.settings.expect, found.text, found.tools)
        return Observation(failure=failure, tokens=found.usage, answer=quote(found.text))

    async def _follow(self, exchange: Exchange, response: StreamResponse, settings: AskStream) -> Observation:
        kind = response.headers.get("content-type").partition(";")[0].strip().lower()
        if kind in ("application/json", "text/html"):
            return await self._not_a_stream(exchange, response, kind)
        tools = isinstance(settings.body, dict) and bool(settings.body.get("tools"))
        followed = await streaming.follow(
            exchange,
            response,
            NdjsonParser() if kind.endswith("ndjson") else SseParser(),
            openai_answer.read,
            promise=Promise(done=self._done_promised(exchange)),
            limits=streaming.waits(exchange, settings.first_token_timeout, settings.idle_timeout, tools=tools),
        )
        if followed.done:
            exchange.memory[_DONE_SEEN] = True
        failure = followed.failure
        if failure is None:
            failure = await handle(
                followed.text.encode("utf-8", "replace"),
                lambda _: _complaint(settings.expect, followed.text, followed.tools),
                large(settings.expect),
            )
        return Observation(
            failure=failure,
            stream=followed.summary,
            tokens=followed.summary.usage,
            answer=quote(followed.text),
        )

    def _done_promised(self, exchange: Exchange) -> bool:
        choice = self.options_given.done
        return choice == "required" or (choice == "auto" and bool(exchange.memory.get(_DONE_SEEN)))

    async def _not_a_stream(self, exchange: Exchange, response: StreamResponse, kind: str) -> Observation:
        body = await response.body(answer.LOOK)
        error = ""
        if kind == "application/json":
            try:
                error = answer.error_text(parse(body))
            except Failure:
                error = ""
        outcome = Outcome.ERROR_EVENT if error else Outcome.MALFORMED
        failure = (
            Failure(Reason.ERROR_EVENT, f"an error with status {response.status}: {quote(error)}")
            if error
            else Failure(Reason.MALFORMED, f"the answer is {kind}, not a stream: {answer.message(body)}")
        )
        return Observation(failure=failure, stream=StreamMeter(response.t0).finish(outcome, exchange.now()))


def _complaint(expect: AnswerExpect, text: str, tools: Mapping[int, tuple[str, str]]) -> Failure | None:
    complaint = check_text(expect, text)
    if complaint is None and expect.tool_call is not None:
        complaint = _check_tool(expect.tool_call, tools)
    if complaint is None and expect.json_ is not None:
        try:
            complaint = check_json(expect.json_, parse(text))
        except Failure:
            complaint = f"the answer is not JSON: {quote(text, 120)}"
    return Failure(Reason.EXPECTATION, complaint) if complaint else None


def _check_tool(name: str, tools: Mapping[int, tuple[str, str]]) -> str | None:
    calls = [arguments for called, arguments in tools.values() if called == name]
    if not calls:
        called = ", ".join(called for called, _ in tools.values()) or "none"
        return f"tool {quote(name, 60)} was not called, but {quote(called, 100)}"
    for arguments in calls:
        try:
            parse(arguments or "{}")
        except Failure:
            return f"the arguments of {quote(name, 60)} are not JSON: {quote(arguments, 100)}"
    return None


def _version_of(response: Response) -> str:
    if response.status != 200:
        return ""
    try:
        version = parse_object(response.body).get("version")
    except Failure:
        return ""
    return version if isinstance(version, str) else ""
