"""A log that a server tells over HTTP: server-sent events, or lines (NDJSON and plain text alike).

What it is follows from the answer: `text/event-stream` is a stream of events, each a line or several; an answer with a
Content-Length is a document that grows, and is asked for again; anything else is a stream of lines.

Sources: HTML Living Standard, 9.2 (server-sent events); RFC 9110, 14 (ranges).
"""

import asyncio
import re
import time
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from dataclasses import dataclass
from typing import ClassVar

from exporter.model.endpoint import Service
from exporter.model.failure import Failure, Reason
from exporter.training.sources import Anew, Event, Gap, Open, Pause, Text
from exporter.training.sources.backoff import Backoff
from exporter.training.sources.server import stream
from exporter.transport import Transport
from exporter.transport.calls import Flow
from exporter.transport.framing import SseParser

#: Seconds between two looks at a document that grows.
AGAIN = 5.0
#: A stream that lasted for so many seconds was a good one: the next failure is the first.
_LASTED = 30.0
#: Events handed over at a time.
_EVENTS = 100
_NUMBER = re.compile(r"[0-9]{1,18}")


@dataclass(frozen=True, slots=True)
class Http:
    """Implements `Source` for the log at the server's own url."""

    pressing: ClassVar[bool] = True

    server: Service

    @property
    def shown(self) -> str:
        """The url without its query."""
        return self.server.shown

    async def events(self, transport: Transport) -> AsyncGenerator[Event, None]:
        """See `Source`. A stream that ends is asked for again, from the last event that had an id."""
        place, backoff = _Place(), Backoff()
        while True:
            began, why = time.monotonic(), "the stream ended"
            try:
                async with (
                    stream(self.server, transport, self.server.url, self._sent(place)) as flow,
                    aclosing(_read(flow, place)) as events,
                ):
                    async for event in events:
                        yield event
            except Failure as failure:
                why = str(failure)
                if not place.document:
                    yield Gap()
            else:
                if place.document:
                    backoff.reset()
                    await asyncio.sleep(AGAIN)
                    continue
            if time.monotonic() - began >= _LASTED:
                backoff.reset()
            yield Pause(why, reconnects=True)
            await asyncio.sleep(backoff.next())

    def _sent(self, place: "_Place") -> dict[str, str]:
        sent = {"Accept": "text/event-stream, */*;q=0.9", "Cache-Control": "no-store"}
        if place.event_id:
            sent["Last-Event-ID"] = place.event_id
        if place.document and place.ranges and place.read:
            sent["Range"] = f"bytes={place.read}-"
        return sent


class _Place:
    """Where reading goes on."""

    __slots__ = ("document", "event_id", "ranges", "read")

    def __init__(self) -> None:
        self.event_id = ""
        #: Whether it is a document, whether it can be had in part, and the bytes of it that were read.
        self.document = False
        self.ranges = False
        self.read = 0


async def _read(flow: Flow, place: _Place) -> AsyncGenerator[Event, None]:
    if flow.status not in (200, 206) and not (place.document and flow.status == 416):
        raise Failure(Reason.HTTP_STATUS, f"the server answers {flow.status}", http_status=flow.status)
    yield Open()
    if place.document and _length(flow) < place.read:
        place.read = 0
        yield Gap()
        yield Anew(sure=False)
    if flow.status == 416:  # there is nothing after what was read
        return
    if flow.headers.get("content-type").partition(";")[0].strip().lower() == "text/event-stream":
        place.document = False
        async for text in _events(flow, place):
            yield text
        return
    place.document = _NUMBER.fullmatch(flow.headers.get("content-length")) is not None
    skip = 0
    if flow.status == 200 and place.document:
        place.ranges = flow.headers.get("accept-ranges").strip().lower() == "bytes"
        skip = place.read
    async for piece in flow.pieces():
        fresh, skip = piece[skip:], max(0, skip - len(piece))
        if fresh:
            place.read += len(fresh) if place.document else 0
            yield Text(fresh, time.time())
    if not place.document:
        # An end that was announced is the end of a line; a connection that was closed may have cut one.
        chunked = "chunked" in flow.headers.get("transfer-encoding").lower()
        yield Text(b"\n", time.time()) if chunked else Gap()


async def _events(flow: Flow, place: _Place) -> AsyncIterator[Text]:
    """Events as lines, some at a time: their parsing must not hold up the loop."""
    parser = SseParser()
    lines: list[str] = []
    async for piece in flow.pieces():
        parser.feed(0.0, piece)
        for event in parser:
            lines.append(event.data)
            place.event_id = event.id or place.event_id
            if len(lines) >= _EVENTS:
                yield _text(lines)
                lines.clear()
                await asyncio.sleep(0)
        if lines:
            yield _text(lines)
            lines.clear()


def _text(lines: list[str]) -> Text:
    return Text(("\n".join(lines) + "\n").encode(), time.time())


def _length(flow: Flow) -> int:
    """The length of the whole document, as the answer tells it (`bytes 0-9/N`, `bytes */N`); else as long as ever."""
    whole = flow.headers.get("content-length") if flow.status == 200 else ""
    length = whole or flow.headers.get("content-range").rpartition("/")[2].strip()
    return int(length) if _NUMBER.fullmatch(length) else 1 << 62
