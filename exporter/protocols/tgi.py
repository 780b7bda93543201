"""Hugging Face's Text Generation Inference (TGI), by its own API. Its OpenAI routes are the protocol `openai`'s.

Source: text-generation-inference, docs/openapi.json and router/src. It serves one model, which `/info` names; no
request names it. `/health` is 503 also while its queue is full. Errors of a stream come as events with status 200; the
event that carries the whole text is the end, and no marker follows it. 424 is its backend that failed.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar

from pydantic import Field

from exporter.contracts import Exchange, Headers, Problem
from exporter.model.cost import Cost
from exporter.model.failure import Failure, Reason
from exporter.model.job import Kind
from exporter.model.load import Load
from exporter.model.observation import Observation, Proposal
from exporter.model.stream import Channel, Tokens
from exporter.protocols import account, answer, huggingface, identity, language
from exporter.protocols.expect import large
from exporter.protocols.family import JSON_HEADERS, Family, Plain, encode
from exporter.protocols.identity import VersionsMetadata
from exporter.protocols.language import Form, Question, Said, TokenWaits
from exporter.protocols.listing import names
from exporter.protocols.reading import count, handle, object_of, parse, parse_object, string
from exporter.protocols.samples import sums
from exporter.protocols.streaming import NOTHING, Promise, Step
from exporter.protocols.text import quote
from exporter.protocols.worst_case import worst_case
from exporter.settings import Settings
from exporter.transport.framing import Event, SseParser

_NUMBERS = ("max_input_tokens", "max_total_tokens", "max_concurrent_requests")
_QUEUE, _BATCH, _STEPS = "tgi_queue_size", "tgi_batch_current_size", "tgi_batch_inference_count"


class AskTgi(Question):
    """One text to go on from."""

    temperature: float | None = Field(
        default=None, gt=0, description="Sampling temperature. Default: none is sent, and the likeliest token is taken."
    )
    seed: int | None = Field(default=None, ge=0, description="Sampling seed. Default: none is sent.")

    def sampling(self) -> Any:
        """Without a temperature the likeliest token is taken."""
        if self.body is None:
            return {"temperature": self.temperature or 0, "seed": self.seed}
        return self.body.get("parameters") if isinstance(self.body, dict) else None


class AskTgiStream(TokenWaits, AskTgi):
    """One text to go on from, read token by token."""


class Tgi(Family):
    """A TGI server."""

    name: ClassVar[str] = "tgi"
    kinds: ClassVar[Mapping[Kind, type[Settings]]] = {
        Kind.HEALTH: Plain,
        Kind.READY: Plain,
        Kind.METADATA: VersionsMetadata,
        Kind.INFER: AskTgi,
        Kind.STREAM: AskTgiStream,
        Kind.CATALOGUE: Plain,
        Kind.PROPOSE: Plain,
    }
    default_kinds: ClassVar[tuple[Kind, ...]] = (Kind.HEALTH, Kind.READY, Kind.METADATA)
    tells_load: ClassVar[bool] = True

    def problems(self, kind: Kind) -> Sequence[Problem]:
        """Contradictory requests."""
        return language.contradictions(self.settings) if kind.canary else ()

    def cost(self) -> Cost:
        """By the request."""
        return worst_case(self._payload())

    async def health(self, exchange: Exchange) -> Observation:
        """The server and its shards are up. A full queue looks the same here: then the queue is looked at."""
        path = self.route("/health")
        response = await exchange.request("GET", path)
        failure = huggingface.judge(response.status, response.headers, response.body, model="", path=path)
        if failure is None:
            return Observation()
        if response.status == 503 and failure.reason is Reason.HTTP_STATUS and await self._queues(exchange):
            failure.reason = Reason.OVERLOADED
            failure.detail += "; requests wait in its queue"
        raise failure

    async def ready(self, exchange: Exchange) -> Observation:
        """The server names its model."""
        await self._info(exchange)
        return Observation()

    async def metadata(self, exchange: Exchange) -> Observation:
        """What server and model are."""
        body = await self._info(exchange)
        info, facts = await handle(body, lambda body: huggingface.described(body, *_NUMBERS))
        if (total := facts.pop("max_total_tokens", None)) is not None:
            facts["max_model_len"] = total  # what other servers call it
        return identity.report(self.settings, {"server": "tgi"} | info, facts, await object_of(body))

    async def infer(self, exchange: Exchange) -> Observation:
        """A whole text comes back, and it is what is expected."""
        settings: AskTgi = self.settings
        path = self.route(settings.path or "/generate")
        response = await exchange.request("POST", path, headers=JSON_HEADERS, body=encode(self._payload()))
        failure = self._refusal(response.status, response.headers, response.body)
        if failure is not None:
            raise failure
        found = await handle(
            response.body, lambda body: language.judge(whole(body), settings.expect), large(settings.expect)
        )
        return replace(found, server_seconds=account.of_headers(response.headers))

    async def stream(self, exchange: Exchange) -> Observation:
        """Tokens flow, the text is whole at the end, and it says what is expected."""
        settings: AskTgiStream = self.settings
        path = self.route(settings.path or "/generate_stream")
        opening = exchange.stream("POST", path, headers=language.STREAM_HEADERS, body=encode(self._payload()))
        form = Form(SseParser(), read, Promise(finish=False))
        return await language.follow(exchange, opening, settings, settings.expect, form, self._refusal)

    async def load(self, exchange: Exchange) -> Load | None:
        """From `/metrics`, where the server has it on the same port."""
        response = await self.get(exchange, "/metrics")
        found = sums(response.body, (_QUEUE, _BATCH, _STEPS)) if response.status == 200 else {}
        if not found:
            return None
        return Load(running=found.get(_BATCH), waiting=found.get(_QUEUE), progress=found.get(_STEPS))

    async def catalogue(self, exchange: Exchange) -> Observation:
        """The one model there is."""
        info, _ = await handle(await self._info(exchange), huggingface.described)
        return Observation(models=names([info["model_id"]]))

    async def propose(self, exchange: Exchange) -> Observation:
        """A few tokens, read as they come."""
        settings = {"interval": "1m", "timeout": "30s", "prompt": language.DEFAULT_PROMPT, "max_tokens": 16}
        return Observation(proposal=Proposal("stream", settings, "sixteen tokens at most, read as they come"))

    async def _info(self, exchange: Exchange) -> bytes:
        response = await self.get_ok(exchange, "/info")
        await handle(response.body, huggingface.described)
        return response.body

    async def _queues(self, exchange: Exchange) -> bool:
        try:
            load = await self.load(exchange)
        except Failure:
            return False
        return load is not None and bool(load.waiting)

    def _payload(self) -> Any:
        settings: AskTgi = self.settings
        if settings.body is not None:
            return settings.body
        parameters: dict[str, Any] = {"max_new_tokens": settings.max_tokens, "details": True}
        for key in ("temperature", "seed"):
            if (value := getattr(settings, key)) is not None:
                parameters[key] = value
        if settings.temperature is not None:
            parameters["do_sample"] = True
        return {"inputs": settings.words(), "parameters": parameters}

    def _refusal(self, status: int, headers: Headers, body: bytes) -> Failure | None:
        return huggingface.judge(status, headers, body, model=self.model, path="")


def whole(body: bytes) -> Said:
    """An answer of `/generate`. Raises `Failure` (malformed, error_event, overloaded)."""
    value = parse(body)
    if isinstance(value, list) and len(value) == 1:
        value = value[0]  # the form of the compatible route, POST /
    if not isinstance(value, dict):
        raise Failure(Reason.MALFORMED, f"the answer is not an object: {answer.message(body)}")
    answer.refuse_error(value, huggingface.reason_of(value))
    text = value.get("generated_text")
    if not isinstance(text, str):
        raise Failure(Reason.MALFORMED, f"the answer has no generated_text: {answer.message(body)}")
    details = value.get("details")
    return Said(text, (Channel.CONTENT,) if text else (), _finish(details), _tokens(details), value=value)


def read(event: Event) -> Step:
    """One event of `/generate_stream`. Raises `Failure` (malformed)."""
    data = event.data.strip()
    if not data:
        return NOTHING
    value = parse_object(data)
    error = answer.error_text(value)
    if error or event.name == "error":
        return Step(error=quote(error or data), reason=huggingface.reason_of(value))
    token, details = value.get("token"), value.get("details")
    text = ""
    if isinstance(token, dict) and token.get("special") is not True:
        text = string(token.get("text"))
    return Step(
        channels=(Channel.CONTENT,) if text else (),
        text=text,
        finish=_finish(details),
        done=isinstance(value.get("generated_text"), str),
        usage=_tokens(details),
    )


def _finish(details: Any) -> str:
    return string(details.get("finish_reason")) if isinstance(details, dict) else ""


def _tokens(details: Any) -> Tokens | None:
    written = count(details.get("generated_tokens")) if isinstance(details, dict) else None
    if written is None:
        return None
    return Tokens(input=count(details.get("input_length")) or 0, output=written)
