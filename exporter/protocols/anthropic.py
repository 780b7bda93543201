"""Anthropic's Messages API, and the servers that speak it: vLLM, Ollama, llama.cpp, LiteLLM and gateways.

Source: Anthropic's API reference (models, messages, streaming, errors), `anthropic-version: 2023-06-01`. The key goes
into a header of its own: `auth: {header: {name: x-api-key, value: ...}}`. There is no health to ask for: that a hosted
API lists its models says nothing.
"""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar
from urllib.parse import quote_plus

from pydantic import Field

from exporter.contracts import Exchange, Headers, Problem, Response
from exporter.model.cost import Cost
from exporter.model.failure import Failure, Reason
from exporter.model.job import Kind, Scope
from exporter.model.observation import Observation, Proposal
from exporter.protocols import answer, anthropic_answer, language
from exporter.protocols.address import segment
from exporter.protocols.expect import large
from exporter.protocols.family import Family, Plain, encode
from exporter.protocols.isolation import TAG
from exporter.protocols.language import Conversation, Form, TokenWaits
from exporter.protocols.listing import names
from exporter.protocols.reading import handle, object_of
from exporter.protocols.streaming import Promise
from exporter.protocols.worst_case import worst_case
from exporter.settings import Settings
from exporter.transport.framing import SseParser

_VERSION = ("anthropic-version", "2023-06-01")
_HEADERS = (_VERSION, ("Content-Type", "application/json"), ("Accept", "application/json"))
_STREAM_HEADERS = (_VERSION, *language.STREAM_HEADERS)

#: Pages of the listing that are followed, and models asked for on each.
_PAGES = 10
_PER_PAGE = 1000


class AskMessages(Conversation):
    """One message to a model."""

    system: str | None = Field(default=None, min_length=1, description="System prompt. Default: none is sent.")
    temperature: float | None = Field(
        default=None, ge=0, le=1, description="Sampling temperature. Default: none is sent."
    )
    tag: str | None = Field(
        default=TAG,
        min_length=1,
        max_length=256,
        description="What marks the request, as its metadata.user_id; null: nothing.",
    )


class AskMessagesStream(TokenWaits, AskMessages):
    """One message whose answer is read token by token."""


class Anthropic(Family):
    """A server of the Messages API."""

    name: ClassVar[str] = "anthropic"
    kinds: ClassVar[Mapping[Kind, type[Settings]]] = {
        Kind.READY: Plain,
        Kind.INFER: AskMessages,
        Kind.STREAM: AskMessagesStream,
        Kind.CATALOGUE: Plain,
        Kind.PROPOSE: Plain,
    }
    default_kinds: ClassVar[tuple[Kind, ...]] = (Kind.READY,)

    def scope(self) -> Scope:
        """Of the model, where one is named."""
        return Scope.MODEL if self.model else Scope.SERVER

    def problems(self, kind: Kind) -> Sequence[Problem]:
        """Contradictory requests."""
        if not kind.canary:
            return ()
        settings: AskMessages = self.settings
        found = language.contradictions(settings)
        if settings.body is None and not self.model:
            found.append(((), "needs the model's name: set `model` on the target"))
        streamed = isinstance(settings.body, dict) and settings.body.get("stream") is True
        if kind is Kind.STREAM and settings.body is not None and not streamed:
            found.append((("body",), "the body of a stream probe needs stream: true"))
        return found

    def cost(self) -> Cost:
        """By the request."""
        return worst_case(self._payload(stream=False))

    async def ready(self, exchange: Exchange) -> Observation:
        """The model is known; without a model, the listing comes."""
        if not self.model:
            await self._page(exchange, "")
            return Observation()
        response = await self._get(exchange, f"/v1/models/{segment(self.model)}")
        value = await object_of(response.body)
        anthropic_answer.refuse_error(value)
        if not isinstance(value.get("id"), str):
            raise Failure(Reason.MALFORMED, f"the answer has no id: {answer.message(response.body)}")
        return Observation()

    async def infer(self, exchange: Exchange) -> Observation:
        """A whole message comes back, and it is what is expected."""
        settings: AskMessages = self.settings
        path = self._path()
        response = await exchange.request("POST", path, headers=_HEADERS, body=encode(self._payload(stream=False)))
        failure = self._refusal(response.status, response.headers, response.body)
        if failure is not None:
            raise failure
        return await handle(
            response.body,
            lambda body: language.judge(anthropic_answer.whole(body), settings.expect),
            large(settings.expect),
        )

    async def stream(self, exchange: Exchange) -> Observation:
        """Tokens flow, the stream ends as promised, and it says what is expected."""
        settings: AskMessagesStream = self.settings
        payload = self._payload(stream=True)
        opening = exchange.stream("POST", self._path(), headers=_STREAM_HEADERS, body=encode(payload))
        form = Form(SseParser(), anthropic_answer.Reader().read, Promise(), tools=bool(_tools(settings.body)))
        return await language.follow(exchange, opening, settings, settings.expect, form, self._refusal)

    async def catalogue(self, exchange: Exchange) -> Observation:
        """Every model of the listing, page by page."""
        found: list[str] = []
        after = ""
        for _ in range(_PAGES):
            entries, after = await self._page(exchange, after)
            found += entries
            if not after:
                break
        return Observation(models=names(found))

    async def propose(self, exchange: Exchange) -> Observation:
        """A short message. Hosted models are paid for by the token, so it is sent less often than elsewhere."""
        if not self.model:
            return Observation()
        settings = {"interval": "5m", "timeout": "30s", "prompt": language.DEFAULT_PROMPT, "max_tokens": 16}
        comment = "a short message that costs about two dozen tokens each time"
        return Observation(proposal=Proposal("stream", settings, comment))

    async def _get(self, exchange: Exchange, route: str) -> Response:
        path = self.route(route)
        response = await exchange.request("GET", path, headers=(_VERSION, ("Accept", "application/json")))
        failure = anthropic_answer.judge(response.status, response.headers, response.body, model=self.model, path=path)
        if failure is not None:
            raise failure
        return response

    async def _page(self, exchange: Exchange, after: str) -> tuple[list[str], str]:
        """Names on one page of the listing, and where the next one begins; `""` on the last."""
        start = f"&after_id={quote_plus(after)}" if after else ""
        response = await self._get(exchange, f"/v1/models?limit={_PER_PAGE}{start}")
        entries, following = await handle(response.body, anthropic_answer.page)
        return entries, following if following != after else ""

    def _path(self) -> str:
        return self.route(self.settings.path or "/v1/messages")

    def _payload(self, *, stream: bool) -> Any:
        settings: AskMessages = self.settings
        if settings.body is not None:
            return settings.body
        request: dict[str, Any] = {"model": self.model, "max_tokens": settings.max_tokens}
        opening = settings.opening()
        if settings.system is not None:
            request["system"] = opening + settings.system
            opening = ""
        request["messages"] = settings.spoken(opening)
        if settings.temperature is not None:
            request["temperature"] = settings.temperature
        if settings.tag is not None:
            request["metadata"] = {"user_id": settings.tag}
        if stream:
            request["stream"] = True
        return request

    def _refusal(self, status: int, headers: Headers, body: bytes) -> Failure | None:
        return anthropic_answer.judge(status, headers, body, model=self.model, path=self._path())


def _tools(body: Any) -> Any:
    return body.get("tools") if isinstance(body, dict) else None
