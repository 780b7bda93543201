"""Streams whose form is up to who wrote the application: no finish reason and no end marker is promised, only the clean
end of the HTTP message.
"""

from collections.abc import Iterator

from pydantic import Field

from exporter.contracts import Exchange, StreamResponse
from exporter.model.failure import Failure
from exporter.model.observation import Observation, Output
from exporter.model.stream import Channel
from exporter.protocols import answer, streaming
from exporter.protocols.reading import parse
from exporter.protocols.stopping import Stopping
from exporter.protocols.streaming import NOTHING, Followed, Framing, Promise, Raw, Reader, Step
from exporter.protocols.text import quote
from exporter.settings import PositiveDuration
from exporter.transport.framing import Event, NdjsonParser, SseParser

#: What such a stream promises.
PROMISE = Promise(finish=False, done=False)

#: How a line of server-sent events may begin.
_FIELDS = (b"data:", b"event:", b"id:", b"retry:", b":")


class Waiting(Stopping):
    """Keys of a probe that reads an answer as it comes."""

    first_token_timeout: PositiveDuration | None = Field(
        default=None, description="Longest wait for the first event. Default: the timeout."
    )
    idle_timeout: PositiveDuration | None = Field(
        default=None, description="Longest wait between events. Default: 10s, or half the timeout if that is less."
    )


async def follow(
    exchange: Exchange, response: StreamResponse, form: tuple[Framing, Reader], waiting: Waiting
) -> Followed:
    """Read a stream to its clean end, or to the moment it breaks off or is waited for too long."""
    framing, reader = form
    limits = streaming.waits(exchange, waiting.first_token_timeout, waiting.idle_timeout, stop_after=waiting.stop_after)
    return await streaming.follow(exchange, response, framing, reader, promise=PROMISE, limits=limits)


def report(followed: Followed, failure: Failure | None) -> Observation:
    """What there is to report of a stream; `failure` where it ended well and is not what is expected."""
    return Observation(
        failure=failure,
        stream=followed.summary,
        tokens=followed.summary.usage,
        answer=quote(followed.text),
        output=Output(text=followed.text),
    )


def by_label(content_type: str) -> tuple[Framing, Reader]:
    """Framing and reader of a stream that is what its content type says; of any other, every read is an event."""
    match content_type:
        case "text/event-stream":
            return SseParser(), read
        case "application/x-ndjson" | "application/ndjson" | "application/json-seq":
            return NdjsonParser(), read
        case "application/jsonl" | "application/jsonlines" | "application/x-jsonlines":  # SageMaker's LLM images
            return NdjsonParser(), read
    return Raw(), read_raw


def by_look(content_type: str) -> tuple[Framing, Reader]:
    """The same for servers that label any text `text/event-stream`, or say nothing: the first bytes decide."""
    if content_type in ("", "text/event-stream"):
        sniffed = _Sniffed()
        return sniffed, sniffed.read
    return by_label(content_type)


class _Sniffed:
    """Server-sent events where the first bytes are the beginning of such, else no framing."""

    __slots__ = ("_held", "_inner")

    def __init__(self) -> None:
        self._held: list[tuple[float, bytes]] = []
        self._inner: SseParser | Raw | None = None

    def feed(self, at: float, data: bytes) -> None:
        """Take what one read brought; `at` is its stamp."""
        if self._inner is not None:
            self._inner.feed(at, data)
            return
        self._held.append((at, data))
        start = b"".join(held for _, held in self._held).lstrip(b"\r\n")
        if start.startswith(_FIELDS):
            self._settle(SseParser())
        elif not any(field.startswith(start) for field in _FIELDS):
            self._settle(Raw())

    def __iter__(self) -> Iterator[Event]:
        """The events that are whole; none until it is clear what they are."""
        return iter(() if self._inner is None else self._inner)

    def finish(self, at: float) -> Event | None:
        """What is left at the end of the message."""
        if self._inner is not None:
            return self._inner.finish(at)
        if not self._held:
            return None
        last, text = self._held[-1][0], b"".join(data for _, data in self._held)
        return Event(last, text.decode("utf-8", "replace"))

    def read(self, event: Event) -> Step:
        """Read an event as what it turned out to be."""
        return read(event) if isinstance(self._inner, SseParser) else read_raw(event)

    def _settle(self, inner: SseParser | Raw) -> None:
        self._inner = inner
        for at, data in self._held:
            inner.feed(at, data)
        self._held.clear()


def read(event: Event) -> Step:
    """One event or line: anything is a token, except pings, errors and OpenAI's end marker."""
    data = event.data
    if event.name == "ping" or not data.strip():
        return NOTHING
    if data.strip() == "[DONE]":
        return Step(done=True)
    if event.name == "error":
        return Step(error=quote(data))
    if data.lstrip().startswith("{"):
        try:
            error = answer.error_text(parse(data))
        except Failure:
            error = ""
        if error:
            return Step(error=quote(error))
    return Step(channels=(Channel.CONTENT,), text=data)


def read_raw(event: Event) -> Step:
    """One read of a stream without framing."""
    return Step(channels=(Channel.CONTENT,), text=event.data)
