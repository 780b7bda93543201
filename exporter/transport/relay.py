"""Between grpcio and the wire: grpcio speaks HTTP/2 into a socket of this process, and the bytes go on over our own
connection, so that name, address, TLS, stamps and faults are the same as for HTTP.
"""

import asyncio
from collections.abc import Callable
from time import perf_counter
from typing import Any

from exporter.model.failure import Failure, Reason
from exporter.transport import frames
from exporter.transport.account import Account
from exporter.transport.connection import Connection
from exporter.transport.frames import Frame, Frames

#: Bytes a frame may have when nothing else was agreed on, and grpcio agrees on nothing else (RFC 9113, 4.2).
MAX_FRAME = 16384
#: Bytes of everything that is not a message: allowed beside it, and per byte of it.
MAX_OVERHEAD = 131_072
OVERHEAD_PER_BYTE = 8
#: Frames of a server: allowed for a call, and one more for so many bytes of message. Each costs the loop some time.
MAX_FRAMES, BYTES_PER_FRAME = 256, 32
_TLS_RECORDS = (0x15, 0x16)
_ANSWER = (frames.DATA, frames.HEADERS, frames.RST_STREAM)


class Relay(asyncio.Protocol):
    """One HTTP/2 connection, its frames stamped as they pass. Calls follow one another on it.

    A `Connection` feeds it with what comes from the server; for the loop it is the protocol of grpcio's end. Booked is
    only time in which the server has something to do: from the first byte of the connection to the server's greeting,
    and from a call's first byte to the end of its answer.
    """

    streaming = head = False
    chunks = None

    files = 3  #: its own, and both ends of the socket on which grpcio meets it

    def __init__(self, account: Account, max_body: int) -> None:
        self.channel: Any = None  #: grpcio's; it closes when nobody holds it any more
        self.failure: Failure | None = None
        self.queued = 0
        self.going_away = False
        self.joined = False  #: grpcio came to its end
        self.greeted = False  #: the server showed that it speaks HTTP/2
        self.on_lost: Callable[[Relay], None] | None = None
        self._connection: Connection | None = None
        self._account = account
        self.max_body = max_body
        self._local: asyncio.Transport | None = None
        self._early: list[bytes] = []
        self._ours = Frames(frames.PREFACE)
        self._theirs = Frames()
        self.expect(account)

    def expect(self, account: Account) -> None:
        """A call begins; it is booked on `account`."""
        self._account = account
        self._stream = 0
        self._closing = False
        self._prefix = b""
        self.done = False  #: the server ended the call itself
        self.asked_at = self.first_at = self.ended = 0.0
        self.raw_bytes = self.body_bytes = self._frames = 0

    def carry(self, connection: Connection) -> None:
        """The connection that was opened with this as its reader."""
        self._connection = connection

    @property
    def address(self) -> str:
        """Of the server."""
        return self._connection.address if self._connection is not None else ""

    @property
    def compressed(self) -> bool:
        """Whether the answer's message is."""
        return self._prefix[:1] == b"\1"

    @property
    def usable(self) -> bool:
        """Whether another call may be made."""
        connection = self._connection
        alive = connection is not None and connection.usable and self._local is not None
        return alive and self.failure is None and not self.going_away

    def abort(self) -> None:
        """Drop everything at once. Safe to call twice."""
        self._account.end(perf_counter())
        self.on_lost = self.channel = None
        if self._connection is not None:
            self._connection.abort()
        if self._local is not None:
            self._local.abort()

    # What the connection to the server calls.

    def feed(self, at: float, data: bytes | memoryview) -> None:
        """Take what one read brought."""
        if not self.greeted and data[0] in _TLS_RECORDS:
            self._fail(at, Reason.PROTOCOL, "the server speaks TLS on this port: use grpcs")
            return
        self.raw_bytes += len(data)
        for frame in self._theirs.feed(data):
            self._answered(at, frame)
            if self.failure is not None:
                return
        if self.raw_bytes - self.body_bytes > MAX_OVERHEAD + OVERHEAD_PER_BYTE * self.body_bytes:
            self._fail(at, Reason.TOO_LARGE, "headers and other frames out of all proportion to the message")
        elif self._local is None:
            self._early.append(bytes(data))
        else:
            self._local.write(bytes(data))
            self.queued = self._local.get_write_buffer_size()

    def eof(self, at: float) -> None:
        """The server will send no more."""
        cut = self.first_at and "closed in the middle of an answer"
        self._fail(at, Reason.DISCONNECTED, cut or "closed before an answer")

    def lost(self, failure: Failure) -> None:
        """The connection broke, or never came up."""
        if self.failure is None:
            self.failure = failure
        if not self.done:
            self._account.end(perf_counter())
        if self._local is not None:
            self._local.close()
        if self.on_lost is not None:
            self.on_lost(self)

    # What the loop calls for grpcio's end.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._local = transport  # type: ignore[assignment]
        self.joined = True
        for data in self._early:
            self._local.write(data)  # type: ignore[union-attr]
        self._early.clear()
        if self.failure is not None:
            self._local.close()  # type: ignore[union-attr]

    def data_received(self, data: bytes) -> None:
        if self._connection is None:
            return
        calls = [frame for frame in self._ours.feed(data) if frame.kind == frames.HEADERS and not frame.whole]
        at = self._connection.send(data, self)
        if calls:
            self._stream = calls[-1].stream
        if calls or not (self.greeted or self.asked_at):
            self._account.begin(at)
            self.asked_at = at

    def resume_writing(self) -> None:
        self.queued = 0
        if self._connection is not None:
            self._connection.drained()

    def connection_lost(self, exc: Exception | None) -> None:
        self._local = None
        if self._connection is not None:
            self._connection.abort()

    # Inside.

    def _answered(self, at: float, frame: Frame) -> None:
        self._frames += frame.whole
        if self._frames > MAX_FRAMES + self.body_bytes // BYTES_PER_FRAME:
            self._fail(at, Reason.TOO_LARGE, "more frames than any answer of this length has")
            return
        if not self.greeted:
            if frame.kind != frames.SETTINGS or frame.stream:
                self._fail(at, Reason.PROTOCOL, "the server does not speak HTTP/2 on this port, as gRPC needs it")
            elif frame.whole:
                self.greeted = True
                if self.asked_at:
                    self._book("first_byte", at, self.asked_at)
        elif frame.kind == frames.GOAWAY:
            self.going_away = True
        elif self._stream and frame.stream == self._stream and not self.done:
            self._told(at, frame)

    def _told(self, at: float, frame: Frame) -> None:
        """A frame of the call that is going on."""
        kind = frame.kind
        if not frame.whole:
            if not self.first_at and kind in _ANSWER:
                self.first_at = at
                self._account.phase("first_byte", at - self.asked_at)
            if frame.length > MAX_FRAME:
                self._fail(at, Reason.PROTOCOL, f"a frame is longer than {MAX_FRAME} bytes")
            if kind == frames.DATA:
                self.body_bytes += frame.length
                self._account.response_bytes = (self._account.response_bytes or 0) + frame.length
                if self.body_bytes > self.max_body + frames.FIRST:
                    self._fail(at, Reason.TOO_LARGE, f"the answer is longer than {self.max_body} bytes")
            return
        if kind == frames.DATA and frame.length:
            self._took(at, frame)
        elif kind == frames.HEADERS and frame.flags & frames.END_STREAM:
            self._closing = True
        open_block = kind in (frames.HEADERS, frames.CONTINUATION) and not frame.flags & frames.END_HEADERS
        if kind == frames.RST_STREAM or (self._closing and not open_block):
            self.done = True
            self.ended = at
            self._book("transfer", at, self.first_at)

    def _took(self, at: float, frame: Frame) -> None:
        """A part of the answer's message. Of a second one grpcio would say nothing, and wait for ever."""
        self._prefix += frame.first[: frames.FIRST - len(self._prefix)]
        whole = frames.FIRST + int.from_bytes(self._prefix[1:], "big")
        if len(self._prefix) == frames.FIRST and self.body_bytes > whole:
            self._fail(at, Reason.PROTOCOL, "not valid gRPC: more than one message in the answer")

    def _book(self, phase: str, at: float, since: float) -> None:
        self._account.phase(phase, at - since)
        self._account.end(at)

    def _fail(self, at: float, reason: Reason, detail: str) -> None:
        self._account.end(at)
        self.lost(Failure(reason, detail))
