"""Server-sent events and newline-delimited JSON: bytes in any cut in, whole events with their stamps out.

Feed what was read, then iterate: parsing happens one event at a time as the caller asks, so a caller that pauses after
some events lets the event loop run, and picks up where it stopped by iterating again.
"""

from collections import deque
from collections.abc import Iterator
from typing import NamedTuple

from exporter.model.failure import Failure, Reason

#: Bytes one event or line may have.
MAX_EVENT = 1 << 20

_BOM = b"\xef\xbb\xbf"


class Event(NamedTuple):
    """One event. `at` is the stamp of the read that completed it; `name` is SSE's `event:` (`""` when not given)."""

    at: float
    data: str
    name: str = ""
    id: str = ""


class _Lines:
    """Cuts bytes into lines, lazily, and bounds what is held back of an unfinished one."""

    __slots__ = ("_carriage", "_lines", "_pending", "_rest", "_started", "_universal", "limit")

    def __init__(self, limit: int, *, universal: bool) -> None:
        self.limit = limit
        self._universal = universal  # CR and CRLF end a line too
        self._pending: deque[tuple[float, bytes]] = deque()
        self._lines: deque[tuple[float, bytes]] = deque()
        self._rest = bytearray()
        self._carriage = False  # the last line ended in CR: an LF that follows belongs to it
        self._started = False

    def feed(self, at: float, data: bytes) -> None:
        self._pending.append((at, data))

    def next(self) -> tuple[float, bytes] | None:
        """The next whole line without its end, and the stamp that completed it."""
        while not self._lines:
            if not self._pending:
                return None
            self._cut(*self._pending.popleft())
        return self._lines.popleft()

    def rest(self) -> bytes:
        """The unfinished last line; forgets it."""
        rest = bytes(self._rest)
        self._rest.clear()
        return rest if self._started else rest.removeprefix(_BOM)

    def _cut(self, at: float, data: bytes) -> None:
        if not self._started:
            data = bytes(self._rest) + data
            self._rest.clear()
            if len(data) < len(_BOM) and _BOM.startswith(data):
                self._rest += data
                return
            self._started = True
            data = data.removeprefix(_BOM)
        if self._carriage and data:
            self._carriage = False
            if data[0] == 10:
                data = data[1:]
        if not data:
            return
        pieces = data.splitlines(keepends=True) if self._universal else data.split(b"\n")
        if self._universal:
            last = pieces[-1]
            self._carriage = last[-1] == 13
            unfinished = b"" if last[-1] in (10, 13) else pieces.pop()
        else:
            unfinished = pieces.pop()
        if pieces:
            if self._rest:
                pieces[0] = bytes(self._rest) + pieces[0]
                self._rest.clear()
            self._lines.extend([(at, piece.rstrip(b"\r\n")) for piece in pieces])
        self._rest += unfinished
        if len(self._rest) > self.limit:
            raise Failure(Reason.TOO_LARGE, f"an event is longer than {self.limit} bytes")


def _text(data: bytes) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise Failure(Reason.MALFORMED, "an event is not valid UTF-8") from None


class SseParser:
    """Server-sent events. Raises `Failure` (too_large, malformed) while iterating."""

    __slots__ = ("_data", "_id", "_lines", "_name", "_size")

    def __init__(self, limit: int = MAX_EVENT) -> None:
        self._lines = _Lines(limit, universal=True)
        self._data: list[bytes] = []
        self._name = ""
        self._id = ""
        self._size = 0

    def feed(self, at: float, data: bytes) -> None:
        """Take what one read brought; `at` is its stamp."""
        self._lines.feed(at, data)

    def __iter__(self) -> Iterator[Event]:
        """Events completed by what was fed so far. Comments and events without data are passed over."""
        while (line := self._lines.next()) is not None:
            event = self._line(*line)
            if event is not None:
                yield event

    def finish(self, at: float) -> Event | None:
        """The last event when the body ended without its blank line; None when nothing is left over.

        Some servers end that way after their end marker. Iterate to the end first.
        """
        rest = self._lines.rest()
        if rest:
            self._line(at, rest)
        return self._dispatch(at)

    def _line(self, at: float, line: bytes) -> Event | None:
        if not line:
            return self._dispatch(at)
        if line[0] == 58:  # a comment
            return None
        self._size += len(line) + 1
        if self._size > self._lines.limit:
            raise Failure(Reason.TOO_LARGE, f"an event is longer than {self._lines.limit} bytes")
        field, _, value = line.partition(b":")
        if value[:1] == b" ":
            value = value[1:]
        if field == b"data":
            self._data.append(value)
        elif field == b"event":
            self._name = _text(value)
        elif field == b"id" and b"\0" not in value:
            self._id = _text(value)
        return None

    def _dispatch(self, at: float) -> Event | None:
        data, name = self._data, self._name
        self._name = ""
        self._size = 0
        if not data:
            return None
        self._data = []
        return Event(at, _text(data[0] if len(data) == 1 else b"\n".join(data)), name, self._id)


class NdjsonParser:
    """Lines of JSON (or of anything): blank ones are passed over. Raises `Failure` (too_large, malformed)."""

    __slots__ = ("_lines",)

    def __init__(self, limit: int = MAX_EVENT) -> None:
        self._lines = _Lines(limit, universal=False)

    def feed(self, at: float, data: bytes) -> None:
        """Take what one read brought; `at` is its stamp."""
        self._lines.feed(at, data)

    def __iter__(self) -> Iterator[Event]:
        """Lines completed by what was fed so far."""
        while (line := self._lines.next()) is not None:
            at, data = line
            if len(data) > self._lines.limit:
                raise Failure(Reason.TOO_LARGE, f"an event is longer than {self._lines.limit} bytes")
            if data.strip():
                yield Event(at, _text(data))

    def finish(self, at: float) -> Event | None:
        """The last line when the body ended without a line break; None when nothing is left over."""
        rest = self._lines.rest()
        return Event(at, _text(rest)) if rest.strip() else None
