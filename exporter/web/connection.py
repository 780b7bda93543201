"""Connections that cannot be held: limits on how slowly a client may ask and read, and on how many there may be."""

import asyncio
import contextlib
import resource
import socket
import struct
from collections.abc import AsyncIterator, Callable
from typing import Any, cast

from aiohttp import web
from aiohttp.http_exceptions import BadHttpMethod

from exporter.transport.turns import turns
from exporter.web.access import Access
from exporter.web.headers import METHODS, harden
from exporter.web.tls import Guest, Handshake

#: Seconds a client has to send a whole request head.
HEAD_TIMEOUT = 8.0
#: Seconds an open connection may lie idle between requests: longer than usual scrape intervals.
IDLE_TIMEOUT = 180.0
#: Seconds a client may take to read enough of an answer for writing to go on.
WRITE_TIMEOUT = 8.0
#: Seconds for which the rest of a refused request is read and thrown away.
LINGER = 1.0
#: Seconds a client may take to read a whole long answer, those in which nothing was ready for it aside.
READ_TIMEOUT = 60.0
#: Bytes waiting for a client to read them, per connection, before writing pauses.
WRITE_BUFFER = 32 * 1024
#: Bytes of a request head, all header lines together.
MAX_HEAD = 64 * 1024
#: Connections at once; files that probes need are kept free.
MAX_CONNECTIONS = 4096
#: Seconds a connection may wait without a request before another may have its place.
PATIENCE = 1.0
#: Seconds that reading a request head, and that beginning its answer, take on the loop. Thousands may come in one turn
#: of it: they are read, and answered, a few in each.
PIECE = 0.00025
#: Bytes of requests that wait to be read, of all clients together.
MAX_KEPT = 16 * 1024 * 1024
_NO_LINGER = struct.pack("ii", 1, 0)
_BUSY = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nRetry-After: 1\r\nConnection: close\r\n\r\n"


class Patience:
    """What is left of the time that a client has to read one answer; `with` it, something is ready for the client."""

    def __init__(self, deadline: asyncio.Timeout) -> None:
        self._deadline = deadline
        self._clock = asyncio.get_running_loop().time
        self._left, self._began = READ_TIMEOUT, 0.0

    def __enter__(self) -> None:
        self._began = self._clock()
        self._deadline.reschedule(self._began + self._left)

    def __exit__(self, *_: object) -> None:
        self._left -= self._clock() - self._began
        if not self._deadline.expired():
            self._deadline.reschedule(None)


@contextlib.asynccontextmanager
async def patience() -> AsyncIterator[Patience]:
    """Bounds how long a client may take to read one answer that is written piece by piece. The time in which there was
    nothing for it to read is ours: on a machine that is short of CPU, long answers take long to make.
    """
    try:
        async with asyncio.timeout(None) as deadline:
            yield Patience(deadline)
    except TimeoutError:
        raise ConnectionResetError("the client reads too slowly") from None


class Crowd:
    """The open connections. When it is full, the one that has waited longest without a request makes room; when none
    has waited long, newcomers are sent away.
    """

    def __init__(self, limit: int | None = None) -> None:
        files = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
        self.limit = limit or max(8, min(MAX_CONNECTIONS, files // 4))
        self.members: set[Guest] = set()
        self.waiting: dict[Guest, float] = {}  # since when, the longest first
        self.kept = 0  # bytes that wait to be read

    def admit(self, connection: Guest, now: float) -> bool:
        """Take a connection in, if need be in the place of an idle one. False: there is no place."""
        if len(self.members) >= self.limit:
            idlest, since = next(iter(self.waiting.items()), (None, now))
            if idlest is None or now - since < PATIENCE:
                return False
            idlest.drop()
        self.members.add(connection)
        self.waiting[connection] = now
        return True

    def leave(self, connection: Guest) -> None:
        """Forget a connection."""
        self.members.discard(connection)
        self.waiting.pop(connection, None)


class Connection(web.RequestHandler):
    """One client's connection. aiohttp closes what is idle but waits without end for half a head, and for a client
    that does not read; here each has its time, after which the connection is aborted.
    """

    __slots__ = (
        "_access",
        "_asked",
        "_crowd",
        "_deaf",
        "_head_bytes",
        "_kept",
        "_quiet",
        "_serving",
        "_stalled",
        "_timer",
        "_wire",
        "passed",
    )

    def __init__(self, manager: web.Server, crowd: Crowd, access: Access, **settings: Any) -> None:
        super().__init__(manager, **settings)
        self._crowd = crowd
        self._access = access
        #: Whether a client may come in, over TLS alone.
        self.passed: Callable[[asyncio.BaseTransport], bool] | None = None
        self._wire: asyncio.Transport | None = None
        self._serving = False
        self._asked = False  # a whole request came
        self._deaf = False  # what still comes is thrown away
        self._quiet: asyncio.Event | None = None
        self._head_bytes = 0
        self._kept = b""  # what came and waits to be read
        self._timer: asyncio.TimerHandle | None = None
        self._stalled: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._wire = cast(asyncio.Transport, transport)
        self._wire.set_write_buffer_limits(high=WRITE_BUFFER)
        super().connection_made(transport)
        if self.passed is not None and not self.passed(transport):
            self._deaf = True
            self._wire.abort()
        elif self._crowd.admit(self, self._loop.time()):
            self._wait(HEAD_TIMEOUT)
        else:
            self._send_away()

    def connection_lost(self, exc: BaseException | None) -> None:
        self._crowd.leave(self)
        self._wire = None
        for timer in (self._timer, self._stalled):
            if timer is not None:
                timer.cancel()
        if self._quiet is not None:
            self._quiet.set()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._deaf:
            if self._quiet is not None:
                self._wait(LINGER / 5, self._quiet.set)
            return
        if self._serving or not data:
            super().data_received(data)
            return
        if self._head_bytes == 0:
            self._wait(HEAD_TIMEOUT)
            self._crowd.waiting.pop(self, None)  # it has asked, as far as we know
        elif self._head_bytes > MAX_HEAD:
            self.hang_up()
            return
        self._head_bytes += len(data)
        self._keep(data)

    def _keep(self, data: bytes) -> None:
        """Read it when its turn comes, and nothing more until then."""
        if self._wire is None or self._crowd.kept + len(data) > MAX_KEPT:
            self.hang_up()
            return
        self._crowd.kept += len(data)
        self._kept = data
        self._wire.pause_reading()
        turns.after(PIECE, self._read)

    def _read(self) -> None:
        data, self._kept = self._kept, b""
        self._crowd.kept -= len(data)
        if self._wire is None or self._wire.is_closing():
            return
        self._wire.resume_reading()
        if self._deaf:
            return
        super().data_received(data)
        if not self._serving and self._wire is not None:
            self._crowd.waiting.setdefault(self, self._loop.time())  # half a head

    def pause_writing(self) -> None:
        super().pause_writing()
        self._stalled = self._loop.call_later(WRITE_TIMEOUT, self.reset)

    def resume_writing(self) -> None:
        if self._stalled is not None:
            self._stalled.cancel()
            self._stalled = None
        super().resume_writing()

    def serve(self) -> None:
        """A whole head is there and its request is being answered: the client owes nothing until that is done."""
        self._serving = self._asked = True
        self._crowd.waiting.pop(self, None)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    async def finish_response(
        self, request: web.BaseRequest, resp: web.StreamResponse, start_time: float | None
    ) -> tuple[web.StreamResponse, bool]:
        try:
            finished = await super().finish_response(request, resp, start_time)
            if self._quiet is not None:
                await self._linger(self._quiet)
            return finished
        finally:
            self._serving = False
            self._head_bytes = 0
            if self._wire is not None:
                self._crowd.waiting[self] = self._loop.time()
                self._wait(IDLE_TIMEOUT)

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Answer what is not HTTP, or not ours, in one plain line, and close."""
        if request.writer.output_size > 0:
            self.reset()
            raise ConnectionResetError("the answer had begun")
        if isinstance(exc, BadHttpMethod):
            answer = web.Response(status=405, text="method not allowed\n", headers={"Allow": ", ".join(METHODS)})
        else:
            answer = web.Response(status=status, text="not a valid request\n" if status < 500 else "internal error\n")
        harden(answer, self._access.headers)
        answer.force_close()
        self._deaf, self._quiet = True, asyncio.Event()
        return answer

    def drop(self) -> None:
        """Make room for another. A client that is about to ask is told so; one that has asked before asks anew."""
        if self._asked:
            self.hang_up()
        else:
            self._crowd.leave(self)
            self._send_away()

    def hang_up(self) -> None:
        """Close at once; what the kernel has already taken is still delivered."""
        self._crowd.leave(self)
        if self._wire is not None:
            self._wire.abort()

    def reset(self) -> None:
        """Close at once and give up what is still to be sent, so that a client that does not read holds nothing."""
        if self._wire is not None:
            self._wire.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
        self.hang_up()

    def _send_away(self) -> None:
        self._deaf = True
        if self._wire is not None:
            self._wire.write(_BUSY)
            self._wait(LINGER / 5)

    async def _linger(self, quiet: asyncio.Event) -> None:
        """Let a refused client finish sending, within bounds: closing on unread bytes would take our answer from it."""
        self._wait(LINGER / 5, quiet.set)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LINGER):
                await quiet.wait()

    def _wait(self, seconds: float, then: Callable[[], object] | None = None) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_later(seconds, then or self.hang_up)


class _Server(web.Server):
    def __init__(self, inner: web.Server, crowd: Crowd, access: Access) -> None:
        def request_of(message: Any, payload: Any, protocol: Any, writer: Any, task: Any) -> web.BaseRequest:
            protocol.serve()
            return inner.request_factory(message, payload, protocol, writer, task)

        self._own_loop = asyncio.get_running_loop()
        self._crowd = crowd
        self._access = access
        guarded = access.guard(inner.request_handler)

        async def answer(request: web.BaseRequest) -> web.StreamResponse:
            await turns.pause(PIECE)
            return await guarded(request)

        super().__init__(answer, request_factory=request_of, loop=self._own_loop)

    def __call__(self) -> web.RequestHandler:
        connection = Connection(
            self,
            self._crowd,
            self._access,
            loop=self._own_loop,
            access_log=None,
            keepalive_timeout=2 * IDLE_TIMEOUT,
            lingering_time=LINGER,
            auto_decompress=False,
        )
        access = self._access
        if access.context is None:
            return connection
        handshake = Handshake(self._crowd, connection, access.context, access.sans)
        connection.passed = handshake.passed
        # The loop takes any protocol; aiohttp only says it makes one of its own.
        return cast(web.RequestHandler, handshake)


class Runner(web.AppRunner):
    """Runs an application on hardened connections: `await runner.setup()`, then a `web.TCPSite(runner, ...)` for each
    address, `await runner.cleanup()` at the end. `access` says who may ask, and whether over TLS; `shutdown_timeout`:
    seconds open requests have to end.
    """

    __slots__ = ("access", "crowd")

    def __init__(self, app: web.Application, access: Access | None = None, *, shutdown_timeout: float = 2.0) -> None:
        super().__init__(app, shutdown_timeout=shutdown_timeout)
        self.crowd = Crowd()
        self.access = access or Access()

    async def cleanup(self) -> None:
        """Close the sites, let open requests end, and close all there is."""
        await super().cleanup()
        self.access.close()

    async def _make_server(self) -> web.Server:
        # The one hook aiohttp has for connections of one's own; a test would notice its going.
        return _Server(await super()._make_server(), self.crowd, self.access)
