"""The thin driver under an answer: one connection on the event loop, plain or TLS, stamped as its callbacks run."""

import asyncio
import ssl
from collections.abc import Callable, Sized
from time import perf_counter
from typing import Protocol

from exporter.model.failure import Failure, Reason
from exporter.transport.account import Account
from exporter.transport.faults import Stage, failure_of
from exporter.transport.tls import Session
from exporter.transport.turns import turns

#: Bytes of one read. Small, so that one connection's flood of tiny pieces is parsed in turns with everything else.
READ = 16384
#: Bytes of body that may wait for a reader before reading from the socket pauses.
HIGH_WATER = 65_536

# Callbacks run to their end one at a time, and nobody keeps what was read: one buffer serves all connections.
_BUFFER = memoryview(bytearray(READ))


class Reader(Protocol):
    """What a connection feeds with what it reads, such as an answer."""

    done: bool  #: it needs no more
    failure: Failure | None

    @property
    def streaming(self) -> bool:
        """Whether somebody waits for every piece of it, once its `head` is there."""

    @property
    def head(self) -> bool:
        """Whether what comes first is there."""

    @property
    def chunks(self) -> Sized | None:
        """What waits to be taken."""

    @property
    def queued(self) -> int:
        """Bytes that wait to be taken; past HIGH_WATER reading pauses."""

    def feed(self, at: float, data: bytes | memoryview) -> None:
        """One read; `data` is good until this returns."""

    def eof(self, at: float) -> None:
        """The peer will send no more."""

    def lost(self, failure: Failure) -> None:
        """The connection broke, or we gave up."""


class Connection(asyncio.BufferedProtocol):
    """One connection. Errors are kept, never raised into the loop; whoever waits is woken and looks."""

    files = 1
    #: uvloop looks for it first; to find none would be an exception for each connection.
    data_received = None
    stamped = False  #: its reads may have the kernel's stamps, and it tells an account of that

    __slots__ = (
        "address", "answer", "certificate_not_after", "lost", "made", "on_lost", "shaken", "usable", "_closing",
        "_failure", "_loop", "_pausing", "_tls", "_transport", "_waiter",
    )  # fmt: skip

    def __init__(
        self, loop: asyncio.AbstractEventLoop, session: Session | None = None, reader: Reader | None = None
    ) -> None:
        self._loop = loop
        self._transport: asyncio.Transport | None = None
        self._tls = session  # known from the start: some servers speak first
        self._waiter: asyncio.Future[None] | None = None
        self._failure: Failure | None = None
        self._pausing = False
        self._closing = False
        self.answer = reader
        self.address = ""
        self.made = 0.0  #: stamp of the established connection
        self.shaken = 0.0  #: stamp of the end of the handshake, good or bad
        self.lost = False
        self.usable = True  #: another request may be sent
        self.certificate_not_after: float | None = None
        self.on_lost: Callable[[Connection], None] | None = None

    # What the loop calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.made = perf_counter()
        self._transport = transport  # type: ignore[assignment]
        if self._closing:
            self._transport.abort()  # type: ignore[union-attr]

    def get_buffer(self, sizehint: int) -> memoryview:
        return _BUFFER

    def buffer_updated(self, nbytes: int, arrived: float = 0.0) -> None:
        """A read; `arrived` is the stamp of its bytes, where something knows it better than that they are here now."""
        at = perf_counter()
        if self._closing:
            return
        data = _BUFFER[:nbytes]
        if self._tls is None:
            self._received(arrived or at, data)
        else:
            self._received_tls(at, data)
        answer = self.answer
        if answer is not None and (nbytes == READ or answer.queued > HIGH_WATER):
            self._pause(perf_counter() - at)

    def eof_received(self) -> bool:
        at = perf_counter()
        self._ended(at)
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost = True
        self.usable = False
        if self.on_lost is not None:
            self.on_lost(self)
        if self._closing:
            self.answer = None  # which may know this connection
            return
        at = perf_counter()
        if exc is None:
            self._ended(at)
        else:
            stage = Stage.HANDSHAKE if self._tls is not None and not self._tls.established else Stage.EXCHANGE
            self._fail(failure_of(exc, stage) or Failure(Reason.INTERNAL, type(exc).__name__))
        self.wake()

    # What the exchange calls.

    def go_on(self, session: Session | None, reader: Reader | None, beyond: bytes) -> None:
        """A tunnel stands: what follows, and what came `beyond` its answer, is from its other end."""
        self._tls = session
        self.answer = reader
        if beyond and session is not None:
            self._received_tls(perf_counter(), memoryview(beyond))
        elif beyond:
            self._received(perf_counter(), beyond)

    async def handshake(self) -> None:
        """Bring up the connection's TLS session. Raises `Failure`."""
        session = self._tls
        if session is None:
            return
        if self._failure is None:
            self._write(self._shake(session, b""))
        while not session.established and self._failure is None:
            await self.moved()
        self.certificate_not_after = session.not_after()
        if self._failure is not None:
            raise self._failure

    def send(self, data: bytes, answer: Reader) -> float:
        """Write a request; what comes is fed to `answer`. Returns the stamp of the moment before the first byte."""
        self.answer = answer
        at = perf_counter()
        if self._tls is None:
            if self._transport is not None and not self.lost:
                self._transport.write(data)
        else:
            try:
                data = self._tls.encrypt(data)
            except ssl.SSLError as error:
                self._fail(failure_of(error, Stage.EXCHANGE))
            else:
                self._write(data)
        if self._failure is not None:
            answer.lost(self._failure)
        return at

    def serve(self, account: Account) -> None:
        """Requests of another account follow; for one that is `stamped`."""

    def moved(self) -> "asyncio.Future[None]":
        """Await it to wait until the answer moved on: its head, a chunk, its end or a failure. What is there already is
        not waited for again: look before.
        """
        waiter = self._waiter = self._loop.create_future()
        return waiter

    def drained(self) -> None:
        """The reader took what waited: read on."""
        if self._pausing:
            self._resume()

    def fail(self, failure: Failure) -> None:
        """Give up for a reason of ours, such as a deadline."""
        self._fail(failure)
        self.wake()

    def abort(self) -> None:
        """Drop the connection at once, whatever the peer does. Safe to call twice."""
        self._closing = True
        self.usable = False
        if self._transport is not None:
            self._transport.abort()

    # Inside.

    def wake(self) -> None:
        """Let whoever waits look again."""
        waiter, self._waiter = self._waiter, None
        if waiter is not None and not waiter.done():
            waiter.set_result(None)

    def _write(self, data: bytes) -> None:
        if data and not self.lost and self._transport is not None:
            self._transport.write(data)

    def _received(self, at: float, data: bytes | memoryview) -> None:
        answer = self.answer
        if answer is None:
            # Nobody asked anything: whatever this is, the next answer could not be told from it.
            self._fail(Failure(Reason.PROTOCOL, "bytes before the request"))
            self.abort()
            return
        answer.feed(at, data)
        if answer.failure is not None:
            self.abort()
        elif answer.streaming:
            if not (answer.head or answer.done):
                return
        elif not answer.done:
            return
        self.wake()

    def _received_tls(self, at: float, data: memoryview) -> None:
        tls = self._tls
        assert tls is not None  # noqa: S101
        if not tls.established:
            self._write(self._shake(tls, data))
            if not tls.established:
                return
            data = data[:0]
            self.wake()
        try:
            plain, closed = tls.decrypt(data)
        except ssl.SSLError as error:
            self._fail(failure_of(error, Stage.EXCHANGE))
            self.abort()
            self.wake()
            return
        self._write(tls.outgoing())
        if plain:
            self._received(at, plain)
        if closed and not self._closing:
            self._ended(at)

    def _shake(self, tls: Session, data: bytes | memoryview) -> bytes:
        try:
            out = tls.handshake(data)
        except ssl.SSLError as error:
            out = tls.outgoing()
            self._fail(failure_of(error, Stage.HANDSHAKE))
            self.wake()
        self.shaken = perf_counter()
        return out

    def _ended(self, at: float) -> None:
        if self._tls is not None and not self._tls.established and self._failure is None and not self._closing:
            self._tls.end()
            self._shake(self._tls, b"")
        answer = self.answer
        if answer is not None:
            answer.eof(at)
        if self._failure is None:
            self._failure = Failure(Reason.DISCONNECTED, "closed before an answer")
        self.usable = False
        self.wake()

    def _fail(self, failure: Failure | None) -> None:
        if failure is None:
            failure = Failure(Reason.INTERNAL, "an error without a row in the table")
        if self._failure is None:
            self._failure = failure
        self.usable = False
        if self.answer is not None:
            self.answer.lost(failure)

    def _pause(self, cost: float) -> None:
        """Let others have their turn, and the reader of a stream catch up. The read took `cost` seconds.

        When a read was full more is waiting, and uvloop would read on at once, up to 32 times.
        """
        if not self._pausing and not self._closing and self._transport is not None:
            self._pausing = True
            self._transport.pause_reading()
            turns.after(cost, self._resume)

    def _resume(self) -> None:
        answer = self.answer
        if not self._pausing or (answer is not None and answer.queued > HIGH_WATER):
            return
        self._pausing = False
        if self._transport is not None and not self._closing and not self._transport.is_closing():
            self._transport.resume_reading()
