"""The loop that follows a token stream: chunks in, one outcome out. docs/streams.md says what the outcomes mean.

A protocol brings a framing (bytes to events) and a reader (event to `Step`), and says which end its server promises.
"""

import asyncio
from codecs import getincrementaldecoder
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Protocol

from exporter.contracts import Chunk, Exchange, Expired, StreamResponse
from exporter.model.failure import Failure, Reason
from exporter.model.observation import Account
from exporter.model.stream import Channel, Outcome, StreamMeter, StreamSummary, TokenEvent, Tokens
from exporter.protocols.reading import LARGE, handle
from exporter.transport.framing import Event
from exporter.transport.turns import turns

#: Seconds a server has for its end marker once it gave a finish reason.
DONE_WAIT = 2.0
#: The idle timeout is at most this many seconds unless the probe says otherwise.
IDLE = 10.0
#: Events, and bytes, that are read before other tasks may run.
BURST_EVENTS = 16
BURST_BYTES = 16 * 1024


class Framing(Protocol):
    """Turns bytes into events, lazily. Iterating and `finish` raise `Failure` for bytes that cannot be framed."""

    def feed(self, at: float, data: bytes) -> None: ...
    def __iter__(self) -> Iterator[Event]: ...
    def finish(self, at: float) -> Event | None: ...


class Raw:
    """No framing: every read that brought body bytes is one event."""

    __slots__ = ("_decoder", "_events")

    def __init__(self) -> None:
        self._decoder = getincrementaldecoder("utf-8")("replace")
        self._events: deque[Event] = deque()

    def feed(self, at: float, data: bytes) -> None:
        """Take what one read brought; `at` is its stamp."""
        if data:
            self._events.append(Event(at, self._decoder.decode(data)))

    def __iter__(self) -> Iterator[Event]:
        """What was fed so far."""
        while self._events:
            yield self._events.popleft()

    def finish(self, at: float) -> Event | None:
        """Nothing is ever left over."""
        return None


@dataclass(frozen=True, slots=True)
class Step:
    """What one event says. An event may say nothing (a comment, a ping, progress), and that is no token event."""

    channels: tuple[Channel, ...] = ()
    text: str = ""
    #: What the reasoning channel carries. Only a listener wants it; checks look at the content.
    reasoning: str = ""
    finish: str = ""
    done: bool = False
    usage: Tokens | None = None
    error: str = ""
    #: What the error means: a server that began a stream may still say that it has no room.
    reason: Reason = Reason.ERROR_EVENT
    #: Pieces of tool calls: index, name, arguments.
    tools: tuple[tuple[int, str, str], ...] = ()
    #: Where the time went, by the server's own account.
    account: Account = field(default_factory=dict)
    #: What it tells of who answers, as `Observation.info` has it.
    info: Mapping[str, str] = field(default_factory=dict)

    def said(self, channel: Channel) -> str:
        """The text of one channel; of a tool call, what came of its arguments."""
        if channel is Channel.TOOL:
            return "".join(arguments for _, _, arguments in self.tools)
        return self.reasoning if channel is Channel.REASONING else self.text


#: Reads one event. Raises `Failure` (malformed) when the event is not what the protocol sends.
Reader = Callable[[Event], Step]

NOTHING = Step()


@dataclass(frozen=True, slots=True)
class Promise:
    """The end a server promises: a finish reason, an end marker. Without them, the clean end of the message."""

    finish: bool = True
    done: bool = True


@dataclass(frozen=True, slots=True)
class Waits:
    """How long a stream is followed. Seconds until the first token event, between token events, and from finish reason
    to end marker.
    """

    first_token: float
    idle: float
    done: float = DONE_WAIT
    #: Token events after which there is enough of it; None: all there are.
    stop_after: int | None = None


@dataclass(slots=True)
class Followed:
    """A stream and what was read from it. `failure` is None for a healthy outcome."""

    summary: StreamSummary
    failure: Failure | None
    text: str
    finish: str
    done: bool
    #: Joined per index: name and arguments of each tool call.
    tools: dict[int, tuple[str, str]]
    #: The server's own account of the time, the last one it told.
    account: Account
    #: The last it told of who answers.
    info: Mapping[str, str] = field(default_factory=dict)


def waits(
    exchange: Exchange,
    first_token: float | None,
    idle: float | None,
    *,
    tools: bool = False,
    stop_after: int | None = None,
) -> Waits:
    """The waits in force, from a probe's own settings and what is left of the attempt.

    A server may hold a tool call back until all of it is there, so with `tools` the idle timeout is the attempt's.
    """
    timeout = max(0.0, exchange.deadline - exchange.now())
    if idle is None:
        idle = timeout if tools else min(IDLE, timeout / 2)
    return Waits(first_token=timeout if first_token is None else first_token, idle=idle, stop_after=stop_after)


@asynccontextmanager
async def begin(
    exchange: Exchange, opening: AbstractAsyncContextManager[StreamResponse], first_token: float | None
) -> AsyncIterator[StreamResponse]:
    """Enter a stream. Raises `Failure` (timeout_first_token) when not even the head of the answer comes in time."""
    if first_token is not None and exchange.now() + first_token >= exchange.deadline:
        first_token = None
    async with AsyncExitStack() as stack:
        try:
            async with asyncio.timeout(first_token):
                response = await stack.enter_async_context(opening)
        except TimeoutError:
            raise Failure(Reason.TIMEOUT_FIRST_TOKEN, f"no answer within {first_token:.3g} s") from None
        yield response


async def follow(
    exchange: Exchange, answer: StreamResponse, framing: Framing, read: Reader, *, promise: Promise, limits: Waits
) -> Followed:
    """Read a stream to its end, or to the moment one of its promises is broken. Never raises `Failure`."""
    stream = _Stream(exchange, answer, framing, read, promise, limits)
    outcome, failure, ended = await stream.run()
    if outcome in _CUT and not stream.finish:
        stream.meter.usage = None  # some servers count as they go: that is no count of what the answer costs
    return Followed(
        summary=stream.meter.finish(outcome, ended),
        failure=failure,
        text="".join(stream.text),
        finish=stream.finish,
        done=stream.done,
        tools={index: (name, "".join(parts)) for index, (name, parts) in stream.tools.items()},
        account=stream.account,
        info=stream.info,
    )


End = tuple[Outcome, Failure | None, float]

#: Outcomes that leave it unknown what the server went on to write.
_CUT = frozenset({Outcome.DISCONNECTED, Outcome.STALLED, Outcome.TIMEOUT, Outcome.STOPPED})


@dataclass(slots=True)
class _Stream:
    exchange: Exchange
    answer: StreamResponse
    framing: Framing
    read: Reader
    promise: Promise
    limits: Waits
    meter: StreamMeter = field(init=False)
    text: list[str] = field(default_factory=list)
    tools: dict[int, tuple[str, list[str]]] = field(default_factory=dict)
    account: Account = field(default_factory=dict)
    info: Mapping[str, str] = field(default_factory=dict)
    finish: str = ""
    finish_at: float | None = None
    done: bool = False

    def __post_init__(self) -> None:
        self.meter = StreamMeter(self.answer.t0)

    async def run(self) -> End:
        while True:
            until = self._until()
            try:
                chunks = await self.answer.next(until)
            except Expired:
                return self._expired(until)
            except Failure as failure:
                return self._lost(failure)
            if chunks is None:
                return await self._closed(self.exchange.now())
            end = await self._chunks(chunks)
            if end is not None:
                return end
            # Bytes that bring no token do not buy more time: comments and pings may flow for ever.
            until = self._until()
            if chunks[-1].at >= until:
                return self._expired(until)
            if self.exchange.now() >= self.exchange.deadline:
                return self._overrun(chunks[-1].at)

    async def _chunks(self, chunks: Sequence[Chunk]) -> End | None:
        events = size = 0
        began = self.exchange.now()
        for chunk in chunks:
            size += len(chunk.data)
            try:
                self.framing.feed(chunk.at, chunk.data)
                for event in self.framing:
                    small = len(event.data) <= LARGE
                    end = self._event(event.at, self.read(event) if small else await self._step(event))
                    if end is not None:
                        return end
                    events += 1
                    if events >= BURST_EVENTS:
                        events = 0
                        began = await self._pause(began)
                        if began >= self.exchange.deadline:
                            return self._overrun(chunk.at)
            except Failure as failure:
                return (Outcome.MALFORMED, failure, chunk.at)
            except TimeoutError:
                return self._overrun(chunk.at)
            if size >= BURST_BYTES:  # whatever it was: comments are no events
                size = 0
                began = await self._pause(began)
        return None

    async def _pause(self, began: float) -> float:
        """Let others go on, after work since `began`; the moment at which this one's turn has come again."""
        await turns.pause(self.exchange.now() - began)
        return self.exchange.now()

    async def _step(self, event: Event) -> Step:
        """What an event says, without holding up the loop for one that is large. Raises `TimeoutError` at the deadline:
        others may have as large ones.
        """
        async with asyncio.timeout(self.exchange.deadline - self.exchange.now()):
            return await handle(event.data.encode(), lambda _: self.read(event))

    async def _closed(self, at: float) -> End:
        try:
            last = self.framing.finish(at)
            end = None if last is None else self._event(at, await self._step(last))
        except Failure as failure:
            return (Outcome.MALFORMED, failure, at)
        except TimeoutError:
            return self._overrun(at)
        return end or self._ended(at)

    def _event(self, at: float, step: Step) -> End | None:
        if step.channels:
            self._token(at, step)
        if step.text:
            self.text.append(step.text)
        for index, name, arguments in step.tools:
            known, parts = self.tools.setdefault(index, (name, []))
            parts.append(arguments)
            if name and not known:
                self.tools[index] = (name, parts)
        self._note(at, step)
        if step.error:
            return (Outcome.ERROR_EVENT, Failure(step.reason, step.error), at)
        if step.done:
            self.done = True
            return self._ended(at)
        if self.limits.stop_after is not None and self.meter.token_events >= self.limits.stop_after:
            return (Outcome.STOPPED, None, at)
        return None

    def _note(self, at: float, step: Step) -> None:
        """What it tells beside what the model says."""
        if step.usage is not None:
            self.meter.usage = step.usage
        if step.account:
            self.account = step.account
        if step.info:
            self.info = step.info
        if step.finish and self.finish_at is None:
            self.finish, self.finish_at = step.finish, at

    def _token(self, at: float, step: Step) -> None:
        self.meter.token(at, step.channels)
        listener = self.exchange.on_token
        if listener is not None:
            for channel in step.channels:
                listener(TokenEvent(at - self.meter.t0, channel, step.said(channel)))

    def _until(self) -> float:
        """The moment at which the silence that is going on now is too long."""
        if self.finish_at is not None:
            limit = self.finish_at + self.limits.done
        elif self.meter.last_at is not None:
            limit = self.meter.last_at + self.limits.idle
        else:
            limit = self.answer.t0 + self.limits.first_token
        return min(limit, self.exchange.deadline)

    def _expired(self, until: float) -> End:
        if self.finish_at is not None and until < self.exchange.deadline:
            return self._ended(until, marker=False)
        last = self.meter.last_at
        if last is None:
            waited = until - self.answer.t0
            failure = Failure(Reason.TIMEOUT_FIRST_TOKEN, f"no token within {waited:.3g} s of the request")
            return (Outcome.TIMEOUT, failure, until)
        if self.finish_at is None and until >= last + self.limits.idle:
            failure = Failure(
                Reason.STALLED, f"no token for {until - last:.3g} s after {self.meter.token_events} token events"
            )
            return (Outcome.STALLED, failure, until)
        return (Outcome.TIMEOUT, self._unfinished(busy=until - last < self.limits.idle), until)

    def _overrun(self, read: float) -> End:
        """The deadline came while there was still something to read: what came until `read` was. That we are slow, or
        a flood is long, is no silence of the server's.
        """
        last, until = self.meter.last_at, self.exchange.deadline
        if last is None or read >= last + self.limits.idle:
            return self._expired(until)
        return (Outcome.TIMEOUT, self._unfinished(busy=True), until)

    def _unfinished(self, *, busy: bool) -> Failure:
        detail = f"not finished in time after {self.meter.token_events} token events"
        return Failure(Reason.TIMEOUT, detail, busy=busy)

    def _lost(self, failure: Failure) -> End:
        now = self.exchange.now()
        match failure.reason:
            case Reason.TIMEOUT:
                return self._expired(max(now, self.exchange.deadline))
            case Reason.RESET:
                return (Outcome.DISCONNECTED, failure, now)
            case Reason.TOO_LARGE | Reason.ENCODING | Reason.MALFORMED:
                return (Outcome.MALFORMED, failure, now)
        cut = Failure(Reason.TRUNCATED, f"the stream was cut after {self.meter.token_events} token events")
        return (Outcome.DISCONNECTED, cut, now)

    def _ended(self, at: float, *, marker: bool = True) -> End:
        """The end of the message, the end marker, or (`marker` False) the end of our patience for it."""
        if not self.meter.token_events:
            return (Outcome.EMPTY, Failure(Reason.EMPTY, "the stream ended without a token"), at)
        if self.promise.finish and not self.finish:
            failure = Failure(Reason.INCOMPLETE, "the stream ended without a finish reason")
            return (Outcome.NO_FINISH_REASON, failure, at)
        if not self.done and (self.promise.done or not marker):
            return (Outcome.NO_DONE, Failure(Reason.INCOMPLETE, "the stream ended without its end marker"), at)
        match self.finish:
            case "content_filter":
                failure = Failure(Reason.EXPECTATION, "the answer was stopped by a content filter")
                return (Outcome.CONTENT_FILTER, failure, at)
            case "length":
                return (Outcome.LENGTH, None, at)
        return (Outcome.COMPLETE, None, at)
