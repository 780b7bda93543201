"""A second driver under the same answers: plain TCP on a socket of our own, whose reads bring the kernel's stamps.

The transports of the event loops read with recv(2) and drop what comes beside the bytes. This one reads with recvmsg(2)
and is to its `Connection` what they are: all that makes bytes into answers, turns and failures is the same code.
"""

import asyncio
import errno
import os
import socket
import struct
from contextlib import suppress
from time import perf_counter
from typing import Any

from exporter.model.observation import Stamps
from exporter.transport.account import Account
from exporter.transport.clocks import ROOM, Clocks, ask_for_stamps
from exporter.transport.connection import Connection

_LOOP, _KERNEL = Stamps.LOOP, Stamps.KERNEL

#: `tcpi_rcv_ooopack` in Linux's struct tcp_info: packets that came before their turn.
_OVERTAKERS, _OVERTAKERS_AT = struct.Struct("=I"), 224
_TCP_INFO_BYTES = 256


class Kernel:
    """Opens connections whose reads have the kernel's stamps. `counts`: as those of `Clocks`."""

    __slots__ = ("_clocks", "_holder")

    def __init__(self, counts: dict[str, int]) -> None:
        self._clocks = Clocks(counts)
        # The kernel stamps packets as long as one socket wants it, and takes its time to begin.
        self._holder: socket.socket | None = None
        with suppress(OSError):  # short of descriptors, the first reads may be without
            self._holder = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            ask_for_stamps(self._holder)

    def close(self) -> None:
        """Let the kernel stop stamping for us."""
        if self._holder is not None:
            self._holder.close()

    def connection(self, loop: asyncio.AbstractEventLoop, account: Account) -> Connection:
        """One that is to be connected, for the requests of an account."""
        return StampedConnection(loop, account)

    async def connect(self, loop: asyncio.AbstractEventLoop, connection: Connection, address: str, port: int) -> None:
        """Connect to an address, an IP literal with a zone or without. Raises OSError."""
        family, place = _place(address, port)
        sock = socket.socket(family, socket.SOCK_STREAM)
        transport = StampedTransport(loop, sock, connection, self._clocks)
        try:
            sock.setblocking(False)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            ask_for_stamps(sock)
            code = sock.connect_ex(place)
            if code == errno.EINPROGRESS:
                await transport.connected()
            elif code:
                raise OSError(code, os.strerror(code))
            else:
                transport.begin()
        except BaseException:
            transport.abort()
            raise


class StampedConnection(Connection):
    """A connection whose transport knows when bytes arrived; it tells the account it serves whose stamps it has."""

    __slots__ = ("_account",)

    stamped = True

    def __init__(self, loop: asyncio.AbstractEventLoop, account: Account) -> None:
        super().__init__(loop)
        self._account = account

    def serve(self, account: Account) -> None:
        self._account = account

    def buffer_updated(self, nbytes: int, arrived: float = 0.0) -> None:
        self._account.stamped(_KERNEL if arrived else _LOOP)
        super().buffer_updated(nbytes, arrived)

    def eof_received(self) -> bool:
        if self.answer is not None and not self.answer.done:
            self._account.stamped(_LOOP)  # that it ended is an answer's end, and the kernel does not say when it did
        return super().eof_received()


class StampedTransport(asyncio.Transport):
    """What an event loop's own transport is, over a socket that it watches for us. The protocol never pauses writing:
    what the kernel does not take of a request is kept until it does.
    """

    __slots__ = (
        "_after", "_clocks", "_closing", "_connection", "_fd", "_loop", "_overtakers", "_paused", "_queue", "_sock",
        "_waiter",
    )  # fmt: skip

    def __init__(
        self, loop: asyncio.AbstractEventLoop, sock: socket.socket, connection: Connection, clocks: Clocks
    ) -> None:
        super().__init__()
        self._loop = loop
        self._sock = sock
        self._fd = sock.fileno()
        self._connection: Connection | None = connection
        self._clocks = clocks
        self._queue = bytearray()
        self._waiter: asyncio.Future[None] | None = None
        self._paused = True  # nothing is read before it is connected
        self._closing = False
        self._after = 0.0  # what is read next cannot have arrived before
        self._overtakers = 0

    # Connecting.

    async def connected(self) -> None:
        """Wait until the connection is there. Raises OSError."""
        waiter = self._waiter = self._loop.create_future()
        self._loop.add_writer(self._fd, self._established)
        await waiter

    def begin(self) -> None:
        """It is there."""
        connection = self._connection
        if connection is not None:
            connection.connection_made(self)
            self._after = connection.made
            self.resume_reading()

    def _established(self) -> None:
        code = self._sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        waiter, self._waiter = self._waiter, None
        if not code:
            self.begin()  # before nobody looks for writing any more: uvloop then keeps its watcher
        self._loop.remove_writer(self._fd)
        if waiter is not None and not waiter.done():
            if code:
                waiter.set_exception(OSError(code, os.strerror(code)))
            else:
                waiter.set_result(None)

    # What a connection calls.

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return self._sock if name == "socket" else default

    def is_closing(self) -> bool:
        return self._closing

    def is_reading(self) -> bool:
        return not (self._closing or self._paused)

    def pause_reading(self) -> None:
        if self.is_reading():
            self._paused = True
            self._loop.remove_reader(self._fd)

    def resume_reading(self) -> None:
        if self._paused and not self._closing:
            self._paused = False
            self._loop.add_reader(self._fd, self._read)

    def write(self, data: bytes | bytearray | memoryview) -> None:
        if self._closing:
            return
        self._after = perf_counter()
        if self._queue:
            self._queue += data
            return
        try:
            sent = self._sock.send(data)
        except (BlockingIOError, InterruptedError):
            sent = 0
        except OSError as error:
            self._lose(error)
            return
        if sent < len(data):
            self._queue += memoryview(data)[sent:]
            self._loop.add_writer(self._fd, self._write_on)

    def close(self) -> None:
        """Read no more, and end when what was written is with the kernel."""
        if self._closing:
            return
        if not self._queue:
            self._lose(None)
            return
        self.pause_reading()
        self._closing = True

    def abort(self) -> None:
        self._lose(None)

    # What the loop calls.

    def _read(self) -> None:
        connection = self._connection
        if connection is None:
            return
        try:
            size, beside, _, _ = self._sock.recvmsg_into((connection.get_buffer(-1),), ROOM)
        except (BlockingIOError, InterruptedError):
            return
        except OSError as error:
            self._lose(error)
            return
        try:
            if size:
                arrived = self._clocks.moment(beside, self._after, self._overtaken)
                if arrived:
                    self._after = arrived
                connection.buffer_updated(size, arrived)
            else:
                connection.eof_received()
                self.close()
        except Exception as error:  # a bug of ours, which must not end the loop's other work
            self._loop.call_exception_handler(
                {"message": "error in a connection", "exception": error, "transport": self}
            )
            self._lose(error)

    def _write_on(self) -> None:
        try:
            del self._queue[: self._sock.send(self._queue)]
        except (BlockingIOError, InterruptedError):
            return
        except OSError as error:
            self._lose(error)
            return
        if not self._queue:
            if self._closing:
                self._lose(None)
            else:
                self._loop.remove_writer(self._fd)

    # Inside.

    def _overtaken(self) -> bool:
        """Whether packets came before their turn since this was asked last. A read then has the stamp of its last one,
        which may have lain there waiting for the first.
        """
        try:
            told = self._sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _TCP_INFO_BYTES)
        except OSError:
            return False
        if len(told) < _OVERTAKERS_AT + _OVERTAKERS.size:  # before Linux 5.4
            return False
        (overtakers,) = _OVERTAKERS.unpack_from(told, _OVERTAKERS_AT)
        before, self._overtakers = self._overtakers, overtakers
        return bool(overtakers != before)

    def _lose(self, error: Exception | None) -> None:
        """End at once; the connection hears of it in a later turn of the loop, as it does from the loop's own."""
        connection, self._connection = self._connection, None
        if connection is None:
            return
        self._closing = True
        self._queue.clear()
        self._loop.remove_reader(self._fd)
        self._loop.remove_writer(self._fd)
        self._sock.close()
        self._loop.call_soon(connection.connection_lost, error)


def _place(address: str, port: int) -> tuple[socket.AddressFamily, Any]:
    if ":" not in address:
        return socket.AF_INET, (address, port)
    if "%" not in address:
        return socket.AF_INET6, (address, port)
    # What a zone is called is for the system to say. Nothing is looked up.
    family, _, _, _, place = socket.getaddrinfo(
        address, port, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST | socket.AI_NUMERICSERV
    )[0]
    return family, place
