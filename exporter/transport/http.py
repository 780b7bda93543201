"""The instrument: one attempt's HTTP/1.1 conversation under one deadline, every phase accounted."""

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from time import perf_counter
from typing import TYPE_CHECKING, Any

from exporter.contracts import Reply, Response
from exporter.model.endpoint import Endpoint, Obtained, SigV4
from exporter.model.failure import Failure, Reason
from exporter.model.observation import Measurement
from exporter.model.stream import TokenEvent
from exporter.transport import auth, content
from exporter.transport.account import Account
from exporter.transport.alarm import Alarm, Timers
from exporter.transport.connection import Connection
from exporter.transport.credentials import Credential, Credentials
from exporter.transport.dial import Dialler
from exporter.transport.faults import Stage, unopened
from exporter.transport.message import Answer
from exporter.transport.pool import Key, Pool
from exporter.transport.proxy import failure_told
from exporter.transport.redirect import MAX_HOPS, follow, is_redirect
from exporter.transport.request import Outgoing
from exporter.transport.stream import StreamContext

if TYPE_CHECKING:
    from exporter.transport.grpc import Unary

_Headers = Sequence[tuple[str, str]]

#: Where prepared requests to other ports of a target's server lie in its memory.
_BESIDE = "transport.beside "


_EXCHANGE = Stage.EXCHANGE  # before 3.12 a member of an enum is looked up by way of its class at each use
_NONE_YET: frozenset[str] = frozenset()
#: The gRPC status that stands for 401.
_UNAUTHENTICATED = 16


class HttpExchange:
    """Implements `contracts.Exchange`. One request at a time.

    The first request opens a connection, further ones reuse it where the server allows that, so dns, connect and tls
    are then counted once. A reused connection that dies before the first byte of an answer is replaced without a word.
    """

    __slots__ = (
        "deadline", "memory", "on_token", "_account", "_answer", "_beside", "_connection", "_credentials", "_dialler",
        "_endpoint", "_hidden", "_keep", "_outgoing", "_passing", "_pool", "_t0", "_trace_id", "_unary",
    )  # fmt: skip

    def __init__(
        self,
        outgoing: Outgoing,
        dialler: Dialler,
        pool: Pool,
        deadline: float,
        trace_id: str,
        memory: MutableMapping[str, Any],
        keep: Key | None,
        credentials: Credentials,
    ) -> None:
        endpoint = outgoing.endpoint
        self.deadline = deadline
        self.memory = memory
        self.on_token: Callable[[TokenEvent], None] | None = None
        self._endpoint = endpoint
        self._trace_id = trace_id
        self._outgoing = outgoing
        self._dialler = dialler
        self._pool = pool
        self._keep = keep if endpoint.keep_alive else None
        self._account = Account()
        self._answer: Answer | None = None
        self._connection: Connection | None = None
        self._credentials = credentials
        self._hidden: set[str] = set()
        self._passing: frozenset[str] = _NONE_YET
        self._beside: dict[str | int, HttpExchange] | None = None
        self._t0 = 0.0
        self._unary: Unary | None = None

    async def request(
        self,
        method: str,
        path: str,
        *,
        headers: _Headers = (),
        body: bytes | None = None,
        timeout: float | None = None,
    ) -> Response:
        """Send a request and read the whole answer."""
        until = self.deadline if timeout is None else min(self.deadline, perf_counter() + timeout)
        if self._endpoint.follow_redirects:
            answer, path = await self.converse(method, path, headers, body, until, streaming=False)
        elif self._outgoing.deferred is None:
            answer = await self._ask(method, path, headers, body, until, False)
        else:
            answer = await self._send(method, path, headers, body, until, False)
        whole = answer.content()
        if answer.coding and whole:
            whole = await content.decoded(answer, whole, self._endpoint.max_body, until)
        url = self._outgoing.origin + (path.partition("?")[0] if "?" in path else path)
        return Response(answer.status, answer.headers, whole, answer.ended, url)

    def stream(self, method: str, path: str, *, headers: _Headers = (), body: bytes | None = None) -> StreamContext:
        """Send a request and hand the answer over once its head is there."""
        return StreamContext(self, method, path, headers, body)

    async def call(
        self, method: str, message: bytes, *, metadata: _Headers = (), timeout: float | None = None
    ) -> Reply:
        """A unary gRPC call."""
        if isinstance(self._endpoint.auth, SigV4):
            raise Failure(Reason.AUTH, "gRPC calls cannot be signed with sigv4")
        until = self.deadline if timeout is None else min(self.deadline, perf_counter() + timeout)
        if self._unary is None:
            from exporter.transport.grpc import Unary  # for those alone who have such a target

            self._unary = Unary(self._outgoing, self._dialler, self._pool, self._account, self._trace_id, self._keep)
        settings = self._outgoing.deferred
        if settings is None:
            return await self._unary.call(method, message, metadata, until, self._hidden)
        asked = self._outgoing.asked("POST", method, metadata, message, self._hidden)
        mark = self._account.mark()
        credential = await self._credentials.obtain(settings, asked, until)
        reply = await self._unary.call(method, message, metadata, until, self._hidden, credential)
        status = 401 if reply.code == _UNAUTHENTICATED else 200
        renewed = await self._credentials.renew(settings, credential, status, asked, until)
        if renewed is None:
            return reply
        self._account.reset(mark)  # as in _send
        return await self._unary.call(method, message, metadata, until, self._hidden, renewed)

    def beside(self, where: str | int) -> "HttpExchange":
        """A conversation with another port of the same server, on the same account and without the credentials."""
        if self._beside is None:
            self._beside = {}
        known = self._beside.get(where)
        if known is None:
            key = f"{_BESIDE}{where}"
            outgoing = self.memory.get(key)
            if outgoing is None or outgoing.made_for is not self._endpoint:
                outgoing = self.memory[key] = self._outgoing.beside(where)
            known = HttpExchange(
                outgoing, self._dialler, self._pool, self.deadline, self._trace_id, self.memory, None, self._credentials
            )
            known._account, known._hidden = self._account, self._hidden
            self._beside[where] = known
        return known

    async def connect(self) -> None:
        """Open a connection, TLS included, and close it."""
        account = self._account
        alarm = self._alarm(self.deadline)
        try:
            connection = await self._dialler.dial(
                self._endpoint, account, self.deadline, self._outgoing.addresses, through=True
            )
        except asyncio.CancelledError:
            if alarm.rang():
                raise self._late() from None
            raise
        finally:
            alarm.off()
            account.end(perf_counter())
        connection.abort()

    def now(self) -> float:
        """The clock of all stamps."""
        return perf_counter()

    def measured(self) -> Measurement:
        """What was measured so far."""
        return self._account.measured()

    def redact(self, text: str) -> str:
        """`text` without the credentials this exchange sent, whole or cut short."""
        return auth.redact(text, self._hidden | self._passing) if self._hidden else text

    async def close(self) -> None:
        """Give up whatever is still open, or keep it for the next run where that was asked for."""
        if self._beside is not None:
            for other in self._beside.values():
                await other.close()
        if self._unary is not None:
            self._unary.close(self._hidden)
        connection, self._connection = self._connection, None
        if connection is None:
            return
        if self._keep is not None and connection.answer is None and connection.usable:
            self._pool.put(self._keep, connection, self._made_by())
        else:
            connection.abort()

    # For the stream.

    @property
    def endpoint(self) -> Endpoint:
        """Where this exchange goes."""
        return self._endpoint

    async def converse(
        self, method: str, path: str, headers: _Headers, body: bytes | None, until: float, *, streaming: bool
    ) -> tuple[Answer, str]:
        """Send, follow redirects where that was asked for, and return the last answer and its path.

        The answer is whole, or, when `streaming`, has its head.
        """
        answer = await self._send(method, path, headers, body, until, streaming)
        if not self._endpoint.follow_redirects:
            return answer, path
        seen = {(method, path)}
        while is_redirect(answer.status):
            if streaming:
                self.settle(answer)
            step = follow(self._outgoing.origin, method, path, answer.status, answer.headers.get("location"))
            method, path = step.method, step.path
            if not step.keeps_body:
                body = None
            if (method, path) in seen:
                raise Failure(Reason.REDIRECT, "redirects go in a circle", http_status=answer.status)
            if len(seen) > MAX_HOPS:
                raise Failure(Reason.REDIRECT, f"more than {MAX_HOPS} redirects", http_status=answer.status)
            seen.add((method, path))
            answer = await self._send(method, path, headers, body, until, streaming)
        return answer, path

    def settle(self, answer: Answer) -> None:
        """Book an answer we are through with, and keep or drop its connection."""
        account = self._account
        answer.booked = True
        phases = account.phases
        if answer.raw_bytes:
            phases["first_byte"] = phases.get("first_byte", 0.0) + answer.first_at - self._t0
        if answer.head:
            account.http_status = answer.status
            account.response_bytes = (account.response_bytes or 0) + answer.body_bytes
        if answer.done:
            phases["transfer"] = phases.get("transfer", 0.0) + answer.ended - answer.first_at
            account.end(answer.ended)
        else:
            account.end(perf_counter())
        connection = self._connection
        if connection is not None:
            if answer.keep_alive and connection.usable:
                connection.answer = None
            else:
                self._connection = None
                connection.abort()

    @property
    def timers(self) -> Timers:
        """What waits with an end are timed by."""
        return self._dialler.timers

    @property
    def t0(self) -> float:
        """Stamp of the moment before the first byte of the last request was written."""
        return self._t0

    @property
    def connection(self) -> Connection | None:
        """What the answer comes by."""
        return self._connection

    # Inside.

    def _alarm(self, until: float) -> Alarm:
        if perf_counter() >= until:
            raise Failure(Reason.TIMEOUT, "no time was left to start")
        return Alarm(self._dialler.timers, until)

    def _made_by(self) -> object:
        if self._outgoing.direct and not self._hidden:
            return self._endpoint
        return (self._endpoint, self._dialler.context_of(self._endpoint), frozenset(self._hidden))

    def _send(
        self, method: str, path: str, headers: _Headers, body: bytes | None, until: float, streaming: bool
    ) -> Awaitable[Answer]:
        settings = self._outgoing.deferred
        if settings is None:
            return self._ask(method, path, headers, body, until, streaming)
        return self._ask_obtained(settings, method, path, headers, body, until, streaming)

    async def _ask_obtained(
        self,
        settings: Obtained,
        method: str,
        path: str,
        headers: _Headers,
        body: bytes | None,
        until: float,
        streaming: bool,
    ) -> Answer:
        """Ask with a credential that has to be obtained first, and once more where it turns out to be too old."""
        asked = self._outgoing.asked(method, path, headers, body, self._hidden)
        mark = self._account.mark()
        credential = await self._credentials.obtain(settings, asked, until)
        answer = await self._ask(method, path, headers, body, until, streaming, credential)
        try:
            renewed = await self._credentials.renew(settings, credential, answer.status, asked, until)
        except Failure:
            if not answer.booked:
                self._give_up()
            raise
        if renewed is None:
            return answer
        # That the credential was too old is not the target's fault: the refused request leaves no trace.
        self._give_up()
        self._account.reset(mark)
        return await self._ask(method, path, headers, body, until, streaming, renewed)

    async def _ask(
        self,
        method: str,
        path: str,
        headers: _Headers,
        body: bytes | None,
        until: float,
        streaming: bool,
        credential: Credential | None = None,
    ) -> Answer:
        data = self._outgoing.head(method, path, headers, body, self._trace_id, self._hidden, credential)
        if credential is not None:
            self._passing = self._passing.union(credential.passing)
        if body:
            data += body
        self._answer = None
        alarm = self._alarm(until)
        try:
            answer = await self._talk(data, method == "HEAD", until, streaming)
        except asyncio.CancelledError:
            late = self._late()
            self._give_up()
            if alarm.rang():
                raise late from None
            raise
        except BaseException:
            self._give_up()
            raise
        finally:
            alarm.off()
        if self._outgoing.relayed and (failure := failure_told(self._endpoint, answer.status, answer.headers)):
            self._give_up()
            raise failure
        if not streaming:
            self.settle(answer)
        return answer

    async def _talk(self, data: bytes, head_only: bool, until: float, streaming: bool) -> Answer:
        """Send on an open connection or a new one, and wait for the answer, or for its head when `streaming`."""
        account, connection = self._account, self._connection
        if connection is None and self._keep is not None:
            connection = self._pool.take(self._keep, self._made_by(), Connection)
        while True:
            if connection is not None and connection.usable:
                reused = True
                account.stage = _EXCHANGE
                account.address = connection.address
            else:
                reused = False
                connection = await self._open(until)
            self._connection = connection
            self._answer = answer = Answer(self._endpoint.max_body, head_only, streaming)
            self._t0 = connection.send(data, answer)
            if reused:
                account.begin(self._t0)
            while not (answer.done or answer.failure is not None or (streaming and answer.head)):
                await connection.moved()
            if answer.failure is None:
                return answer
            if not reused or answer.raw_bytes:
                raise answer.failure
            # The server had closed it while it lay unused: that says nothing about the server's health.
            account.restart()
            connection.abort()
            connection = None

    def _open(self, until: float) -> Awaitable[Connection]:
        endpoint, outgoing = self._endpoint, self._outgoing
        if outgoing.direct:
            return self._dialler.straight(endpoint, self._account, outgoing.addresses[0], outgoing.port)
        return self._dialler.dial(endpoint, self._account, until, outgoing.addresses)

    def _give_up(self) -> None:
        answer = self._answer
        if answer is not None:
            answer.keep_alive = False
            self.settle(answer)
            return
        self._account.end(perf_counter())
        if self._connection is not None:
            self._connection.abort()
            self._connection = None

    def _late(self) -> Failure:
        """What it means that the deadline came now."""
        account, answer = self._account, self._answer
        if account.stage is not Stage.EXCHANGE:
            return unopened(account.stage, account.address, account.proxy)
        if answer is None or not answer.raw_bytes:
            return Failure(Reason.TIMEOUT, "no answer in time")
        if not answer.head:
            return Failure(Reason.TIMEOUT, "the head of the answer did not end in time")
        return Failure(Reason.TIMEOUT, f"the body did not end in time ({answer.body_bytes} bytes came)")
