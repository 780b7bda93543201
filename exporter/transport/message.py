"""The core that reads one HTTP/1.1 answer: fed (at, bytes), knows no sockets, every bound of it counted."""

from collections import deque
from collections.abc import Sequence
from typing import Any

import httptools

from exporter.contracts import Chunk, Headers
from exporter.model.failure import Failure, Reason
from exporter.transport.faults import Stage, failure_of

#: Bytes of everything before the body, interim answers included.
MAX_HEAD = 65536
MAX_HEADERS = 256
MAX_INTERIM = 16
#: Chunk sizes, chunk extensions and trailers: allowed beside the body, in bytes, and per byte of body.
MAX_OVERHEAD = 65536
OVERHEAD_PER_BYTE = 8

#: Bytes of a stream handed over at a time: a reader comes back, and meets its deadline, in between.
MAX_TAKE = 16384
#: Reads of a stream that are kept for people to look at, and bytes of what turned out to be no HTTP.
OPENING, ODD = 4, 256
#: Bytes of a body above which it is gathered in one piece, and of what is kept of it where the answer failed.
LARGE, KEPT = 65536, 16384

_TLS_RECORDS = (0x15, 0x16)


class _Stop(Exception):
    """Leaves the parser from inside a callback; why is in `Answer.failure`."""


class RawHeaders(Headers):
    """Headers that are decoded when somebody looks: most answers are judged without."""

    __slots__ = ("_raw",)

    def __init__(self, raw: Sequence[tuple[bytes, bytes]] = ()) -> None:
        self._raw = raw

    def __getattr__(self, name: str) -> Any:
        if name != "_items":
            raise AttributeError(name)
        items = tuple((name.decode("latin-1").lower(), value.decode("latin-1")) for name, value in self._raw)
        self._items = items
        return items


class Answer:
    """One answer as it arrives.

    Ends with `done` or with `failure`. `head` turns true once the final head is there. Stamps are those of the reads:
    `first_at` of the first byte, `ended` of the last. With `streaming`, chunks of body wait in `chunks` (one per read)
    until they are taken; otherwise `content()` has the whole body. Body bytes are counted and bounded as received.
    `opening` has the first chunks of a stream, and in place of a head the beginning of what is none.
    """

    __slots__ = (
        "body_bytes", "booked", "chunks", "coding", "done", "ended", "failure", "first_at", "head", "headers",
        "keep_alive", "opening", "queued", "raw_bytes", "status", "streaming", "_gathers", "_head_bytes", "_head_only",
        "_interim", "_max_body", "_parser", "_parts", "_raw_headers", "_until_close",
    )  # fmt: skip

    def __init__(self, max_body: int, head_only: bool = False, streaming: bool = False) -> None:
        self.status = 0
        self.headers: Headers = _NO_HEADERS
        self.coding = ""  #: Content-Encoding in lower case; `""` for identity
        self.head = self.done = self.keep_alive = False
        self.booked = False  #: the exchange is through with it
        self.failure: Failure | None = None
        self.streaming = streaming
        self.chunks: deque[Chunk] | None = deque() if streaming else None
        self.opening: list[Chunk] | None = [] if streaming else None
        self.first_at = self.ended = 0.0
        self.queued = self.body_bytes = self.raw_bytes = 0
        self._raw_headers: list[tuple[bytes, bytes]] = []
        self._parts: list[bytes | bytearray] = []
        self._head_only = head_only
        self._max_body = max_body
        self._gathers = max_body if streaming or max_body < LARGE else LARGE
        self._interim = self._head_bytes = 0
        self._until_close = False
        self._parser: Any = httptools.HttpResponseParser(self)

    def feed(self, at: float, data: bytes | memoryview) -> None:
        """Take what one read brought. What follows the end of the message is not looked at."""
        size = len(data)
        if not self.raw_bytes:
            self.first_at = at
            if data[0] in _TLS_RECORDS:
                self._fail(Reason.PROTOCOL, "the server speaks TLS on this port: use https")
                self.opening = [Chunk(at, bytes(data[:ODD]))]
                return
        self.raw_bytes += size
        self.ended = at
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            self._stopped(error)
            if not self.head:
                self.opening = [Chunk(at, bytes(data[:ODD]))]
        if self.failure is None:
            if self.streaming and self._parts:
                self._queue(at)
            if not self.done:
                self._count(size)
                return
        else:
            self._parts = [bytes(part[:KEPT]) for part in self._parts[:1]]
        self._parser = None  # parser and callbacks refer to each other: do not leave that to the collector

    def eof(self, at: float) -> None:
        """The peer will send no more."""
        if self.done or self.failure is not None:
            return
        if self._until_close and self.head:
            self.ended = at
            self.done = True
        elif self.head:
            self._fail(Reason.TRUNCATED, f"the connection ended in the middle of the body ({self.body_bytes} bytes)")
        elif self._interim:
            self._fail(Reason.PROTOCOL, "the connection ended after an interim (1xx) answer")
        elif self.raw_bytes:
            self._fail(Reason.DISCONNECTED, "closed in the middle of the head of an answer")
        else:
            self._fail(Reason.DISCONNECTED, "closed before an answer")
        self._parser = None

    def lost(self, failure: Failure) -> None:
        """The connection broke, or we gave up."""
        if not self.done and self.failure is None:
            self.failure = failure
            self._parser = None

    def hold(self, body: bytes) -> None:
        """Hold this in place of what was received, which is the same: not twice in memory."""
        self._parts[:] = (body,)

    def drop(self) -> None:
        """Nobody reads it any more, and it is not at its end."""
        self._parser = None

    def content(self) -> bytes | bytearray:
        """The body as received, Content-Encoding still on; a bytearray where it is longer than LARGE."""
        parts = self._parts
        if len(parts) > 1:
            parts[:] = (b"".join(parts),)  # not twice in memory
        return parts[0] if parts else b""

    def fields(self) -> list[tuple[bytes, bytes]]:
        """The headers as they were received, as far as they came."""
        return self._raw_headers

    def beginning(self, limit: int) -> list[Chunk]:
        """The first chunks of the body as received: some `limit` bytes of it, or the first reads of a stream."""
        if self.streaming:
            return list(self.opening or ())
        parts: list[bytes] = []
        for part in self._parts:
            if limit <= 0:
                break
            parts.append(bytes(part[:limit]))
            limit -= len(part)
        return [Chunk(self.first_at, b"".join(parts))] if parts else []

    def take(self) -> list[Chunk]:
        """The first of the chunks that wait, MAX_TAKE bytes or a little more; they then wait no more."""
        taken: list[Chunk] = []
        size = 0
        while self.chunks and size < MAX_TAKE:
            chunk = self.chunks.popleft()
            taken.append(chunk)
            size += len(chunk.data)
        self.queued -= size
        return taken

    def forget(self) -> None:
        """Nobody will take the chunks that wait."""
        if self.chunks:
            self.chunks.clear()
        self.queued = 0

    def _gather(self, data: bytes) -> None:
        """Once a body is large it is one piece that grows, which the allocator asks the system for and gives back. Many
        small pieces would lie among all else, and what twenty large bodies took would never be free as a whole.
        """
        if self.body_bytes > self._max_body:
            raise self._stop(Reason.TOO_LARGE, f"the body is longer than {self._max_body} bytes")
        parts = self._parts
        if parts and isinstance(parts[0], bytearray):
            parts[0] += data
        else:
            parts[:] = (bytearray(b"".join((*parts, data))),)

    def _queue(self, at: float) -> None:
        body = bytes(self.content())
        self._parts = []
        self.queued += len(body)
        if self.chunks is not None and self.opening is not None:
            chunk = Chunk(at, body)
            self.chunks.append(chunk)
            if len(self.opening) < OPENING:
                self.opening.append(chunk)

    def _count(self, size: int) -> None:
        if not self.head:
            self._head_bytes += size
            if self._head_bytes > MAX_HEAD:
                self._fail(Reason.TOO_LARGE, f"the head of the answer is longer than {MAX_HEAD} bytes")
        elif self.raw_bytes - self.body_bytes > MAX_HEAD + MAX_OVERHEAD + OVERHEAD_PER_BYTE * self.body_bytes:
            self._fail(Reason.TOO_LARGE, "chunk extensions or trailers out of all proportion to the body")

    def _stopped(self, error: httptools.HttpParserError) -> None:
        if not self.done and self.failure is None:
            if isinstance(error, httptools.HttpParserCallbackError):
                raise error.__context__ or error
            self.failure = failure_of(error, Stage.EXCHANGE)

    def _fail(self, reason: Reason, detail: str) -> None:
        if self.failure is None:
            self.failure = Failure(reason, detail)

    def _stop(self, reason: Reason, detail: str) -> _Stop:
        self._fail(reason, detail)
        return _Stop()

    # What httptools calls. It looks the names up once, when the parser is made.

    def on_message_begin(self) -> None:
        if self.done:  # whatever this is, nobody asked for it
            self.keep_alive = False

    def on_header(self, name: bytes, value: bytes) -> None:
        if self.head:  # a trailer
            return
        headers = self._raw_headers
        headers.append((name, value))
        if len(headers) > MAX_HEADERS:
            raise self._stop(Reason.TOO_LARGE, f"more than {MAX_HEADERS} headers")

    def on_headers_complete(self) -> None:
        if self.done:
            return
        status: int = self._parser.get_status_code()
        if not 200 <= status < 600:
            self._odd(status)
            return
        self.status = status
        self.headers = RawHeaders(self._raw_headers)
        self.head = self._until_close = True
        for name, value in self._raw_headers:
            match len(name):
                case 14 if name.lower() == b"content-length":
                    self._until_close = False
                case 16 if name.lower() == b"content-encoding":
                    self.coding = value.strip().lower().decode("latin-1").replace("identity", "")
                case 17 if name.lower() == b"transfer-encoding":
                    if value.strip().lower() != b"chunked":
                        raise self._stop(Reason.ENCODING, "a Transfer-Encoding other than chunked")
                    self._until_close = False
        if self._head_only or status in (204, 304):
            # A HEAD answer may name the length of the body it does not have; the parser would wait for it.
            self.done = True

    def on_body(self, data: bytes) -> None:
        if self.done:
            return
        self.body_bytes += len(data)
        if self.body_bytes > self._gathers:
            self._gather(data)
        else:
            self._parts.append(data)

    def on_message_complete(self) -> None:
        if self.head and not self.done:
            self.done = True
            self.keep_alive = self._parser.should_keep_alive()

    def _odd(self, status: int) -> None:
        if status == 101 or not 100 <= status < 200:
            raise self._stop(Reason.PROTOCOL, f"status {status} as an answer")
        self._interim += 1
        if self._interim > MAX_INTERIM:
            raise self._stop(Reason.PROTOCOL, f"more than {MAX_INTERIM} interim (1xx) answers")
        self._raw_headers.clear()


_NO_HEADERS = Headers()
