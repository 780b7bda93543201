"""What language model protocols share: the keys of a question, how an answer is judged, how a stream is followed."""

from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Any, Literal, Self

from pydantic import Field

from exporter.contracts import Exchange, Headers, Problem, StreamResponse
from exporter.model.failure import Failure, Reason
from exporter.model.observation import Account, Observation, Output
from exporter.model.stream import Channel, Outcome, StreamMeter, Tokens
from exporter.protocols import answer, garbage, isolation, stopping, streaming
from exporter.protocols.expect import TextExpect, TimelyStream, check_text, failed, large
from exporter.protocols.family import Canary
from exporter.protocols.garbage import Sound
from exporter.protocols.reading import handle, json_or_none, parse
from exporter.protocols.stopping import Stopping
from exporter.protocols.streaming import Followed, Framing, Promise, Reader
from exporter.protocols.text import quote
from exporter.protocols.tool_calls import OneToolCall, check_tool
from exporter.protocols.values import check_value
from exporter.settings import Count, PositiveDuration, Text

DEFAULT_PROMPT = "Say OK."

#: Of a request whose answer is to come as server-sent events.
STREAM_HEADERS = (("Content-Type", "application/json"), ("Accept", "text/event-stream"))


class AnswerExpect(TextExpect, Sound):
    """What must hold of what the model said."""

    tool_call: OneToolCall | None = Field(
        default=None,
        description="A tool that must be called, with arguments that are JSON: its name, or {name, arguments, "
        "arguments_json}.",
    )


class AnswerStreamExpect(AnswerExpect, TimelyStream):
    """What must hold of what the model said, and of when."""


class Question(Canary):
    """One question to a language model."""

    prompt: Text | None = Field(
        default=None, description=f'What to say to the model, or {{file: PATH}}. Default: "{DEFAULT_PROMPT}"'
    )
    max_tokens: Count = Field(default=16, description="Most tokens the model may write.")
    cache: Literal["bypass", "warm", "pair"] | None = Field(
        default=None,
        description="What the server may know of the prompt. bypass: nothing, a few random characters stand before it; "
        "warm: all of it, it is sent as it is; pair: both, as two probes, the second with -warm behind its name. "
        "Default: bypass; warm beside body, seed or drift: true.",
    )
    expect: AnswerExpect = Field(default=AnswerExpect(), description="What must hold of the answer.")

    def sampling(self) -> Any:
        """What the request says of chance, as an object that may hold `temperature` and `seed`."""
        own = {key: getattr(self, key, None) for key in ("temperature", "seed")}
        return own if self.body is None else self.body

    @property
    def steady(self) -> bool:
        """Nothing is left to chance, or chance is seeded; and the prompt is the same."""
        given = self.sampling()
        chosen = isinstance(given, dict) and (given.get("temperature") == 0 or given.get("seed") is not None)
        return chosen and not self.varies

    @property
    def varies(self) -> bool:
        """Whether the prompt is another each time."""
        if self.cache is None:
            given = self.sampling()
            return self.body is None and not (isinstance(given, dict) and given.get("seed") is not None)
        return self.cache != "warm"

    def as_written(self) -> Self:
        """The prompt as it is, unless `cache` says otherwise."""
        return self.model_copy(update={"cache": "warm"}) if self.cache is None and self.varies else self

    def opening(self) -> str:
        """What stands before the prompt this time."""
        return isolation.opening() if self.varies else ""

    def words(self) -> str:
        """The prompt to send."""
        return self.opening() + (DEFAULT_PROMPT if self.prompt is None else self.prompt)


class Conversation(Question):
    """One question to a language model, or a whole conversation."""

    messages: list[dict[str, Any]] | None = Field(
        default=None, min_length=1, description="A conversation, in place of a prompt."
    )

    def spoken(self, opening: str) -> list[dict[str, Any]]:
        """The messages to send, with `opening` before them."""
        prompt = DEFAULT_PROMPT if self.prompt is None else self.prompt
        return isolation.opened(self.messages or [{"role": "user", "content": prompt}], opening)


class TokenWaits(Stopping):
    """Keys of a probe that reads its answer token by token."""

    first_token_timeout: PositiveDuration | None = Field(
        default=None, description="Longest wait for the first token. Default: the timeout."
    )
    idle_timeout: PositiveDuration | None = Field(
        default=None, description="Longest wait between tokens. Default: 10s, or half the timeout if that is less."
    )
    expect: AnswerStreamExpect = Field(default=AnswerStreamExpect(), description="What must hold of the answer.")


@dataclass(frozen=True, slots=True)
class Said:
    """A whole answer: what the model said in which channels, and how it ended.

    `finish` is `length` or `content_filter` where it ended so, else any other word.
    """

    text: str
    channels: tuple[Channel, ...]
    finish: str = ""
    usage: Tokens | None = None
    #: Per call: name and arguments of a tool.
    tools: Mapping[int, tuple[str, str]] = field(default_factory=dict)
    #: The answer's JSON.
    value: Any = field(default=None, repr=False)
    #: Where the time went, by the server's own account.
    account: Account = field(default_factory=dict)
    #: What it tells of who answered, as `Observation.info` has it.
    info: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Form:
    """The form of a server's streams: bytes to events, events to steps, and the end it promises."""

    framing: Framing
    read: Reader
    promise: Promise
    #: Whether tools are offered in the request; a server may then hold a call back until it is whole.
    tools: bool = False


#: Keys that a body does not replace.
_BESIDE_BODY = frozenset({*Canary.model_fields, *TokenWaits.model_fields, "api", "expect"})

#: The failure that a status, headers and the beginning of a body stand for; None for 2xx.
Judge = Callable[[int, Headers, bytes], Failure | None]


def contradictions(question: Question) -> list[Problem]:
    """What is contradictory in a question."""
    found: list[Problem] = []
    if isinstance(question, Conversation) and question.prompt is not None and question.messages is not None:
        found.append((("messages",), "found prompt and messages; needs exactly one of them"))
    if question.body is not None:
        given = [key for key in type(question).model_fields if key in question.model_fields_set - _BESIDE_BODY]
        found += [
            ((key,), "found beside body; needs one of them") for key in given if getattr(question, key) is not None
        ]
    return [*found, *stopping.problems(question)]


def judge(said: Said, expect: AnswerExpect) -> Observation:
    """What there is to report of a whole answer."""
    if not said.channels:
        failure: Failure | None = Failure(Reason.EMPTY, "the answer is empty")
    elif said.finish == "content_filter":
        failure = Failure(Reason.EXPECTATION, "the answer was stopped by a content filter")
    else:
        failure = _check(expect, said.text, said.tools)
    output = Output(said.value, said.text, essence=_essence(said.text, said.tools))
    return Observation(
        failure=failure,
        info=said.info,
        tokens=said.usage,
        answer=quote(said.text),
        server_seconds=said.account,
        output=output,
    )


async def follow(
    exchange: Exchange,
    opening: AbstractAsyncContextManager[StreamResponse],
    waits: TokenWaits,
    expect: AnswerExpect,
    form: Form,
    refusal: Judge,
) -> Observation:
    """Read a stream to its end and judge it. Raises `Failure` when the server refused to begin one."""
    async with streaming.begin(exchange, opening, waits.first_token_timeout) as response:
        if not 200 <= response.status < 300:
            body = await response.body()
            raise refusal(response.status, response.headers, body) or Failure(Reason.INTERNAL, "a refusal without one")
        media = response.headers.media_type
        if media in ("application/json", "text/html"):
            return await _no_stream(exchange, response, media)
        limits = streaming.waits(
            exchange,
            waits.first_token_timeout,
            waits.idle_timeout,
            tools=form.tools,
            stop_after=waits.stop_after,
        )
        followed = await streaming.follow(
            exchange, response, form.framing, form.read, promise=form.promise, limits=limits
        )
    return await _report(followed, expect)


async def _report(followed: Followed, expect: AnswerExpect) -> Observation:
    failure = followed.failure
    if failure is None:
        text = followed.text.encode("utf-8", "replace")
        failure = await handle(text, lambda _: _check(expect, followed.text, followed.tools), large(expect))
    summary = followed.summary
    output = Output(text=followed.text, essence=_essence(followed.text, followed.tools))
    return Observation(
        failure=failure,
        info=followed.info,
        stream=summary,
        tokens=summary.usage,
        answer=quote(followed.text),
        server_seconds=followed.account,
        output=output,
    )


def _essence(text: str, tools: Mapping[int, tuple[str, str]]) -> list[Any]:
    return [text, *(tools[index] for index in sorted(tools))]


async def _no_stream(exchange: Exchange, response: StreamResponse, media: str) -> Observation:
    body = await response.body(answer.LOOK)
    error = answer.error_text(json_or_none(body)) if media == "application/json" else ""
    if error:
        outcome = Outcome.ERROR_EVENT
        failure = Failure(Reason.ERROR_EVENT, f"an error with status {response.status}: {quote(error)}")
    else:
        outcome = Outcome.MALFORMED
        failure = Failure(Reason.MALFORMED, f"the answer is {media}, not a stream: {answer.message(body)}")
    return Observation(failure=failure, stream=StreamMeter(response.t0).finish(outcome, exchange.now()))


def _check(expect: AnswerExpect, text: str, tools: Mapping[int, tuple[str, str]]) -> Failure | None:
    # Whoever wrote down the whole answer knows better.
    unsound = None if expect.allow_garbage or expect.equals is not None else garbage.in_text(text)
    complaints = [unsound, check_text(expect, text)]
    if expect.tool_call is not None:
        complaints += check_tool(expect.tool_call, tools)
    if expect.structured:
        try:
            complaints.append(check_value(expect, parse(text)))
        except Failure as failure:
            if failure.reason is not Reason.MALFORMED:
                raise
            quoted = "" if any(complaints) else f": {quote(text, 120)}"
            complaints.append(f"the answer is not JSON{quoted}")
    return failed(complaints)
