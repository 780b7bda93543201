"""The instrument: all that one attempt asks over HTTP/1.1, under one deadline, every phase accounted."""

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping, Sequence, Set
from time import perf_counter
from typing import TYPE_CHECKING, Any

from exporter.contracts import Body, Reply, Response
from exporter.model.endpoint import Obtained, SigV4
from exporter.model.failure import Failure, Reason
from exporter.model.observation import Measurement
from exporter.model.stream import TokenEvent
from exporter.transport import auth, content, gist, wire
from exporter.transport.conversation import Conversation
from exporter.transport.credentials import Credentials
from exporter.transport.dial import Dialler
from exporter.transport.message import Answer
from exporter.transport.pool import Key, Pool
from exporter.transport.redirect import MAX_HOPS, follow, is_redirect
from exporter.transport.request import Outgoing
from exporter.transport.stream import StreamContext
from exporter.transport.turns import turns

if TYPE_CHECKING:
    from exporter.transport.grpc import Unary

_Headers = Sequence[tuple[str, str]]

#: Where prepared requests to other ports of a target's server lie in its memory.
_BESIDE = "transport.beside "


#: Bodies up to this many bytes are small: what is made of them takes little.
_SMALL = 64 * 1024
#: Bodies above this many bytes wait for their turn to be joined, for which a byte counts as so many seconds.
_LARGE, _SECONDS_PER_BYTE = 1 << 20, 1e-9

#: The gRPC status that stands for 401.
_UNAUTHENTICATED = 16


class HttpExchange(Conversation):
    """Implements `contracts.Exchange`. One request at a time."""

    __slots__ = ("deadline", "memory", "on_token", "_beside", "_credentials", "_unary")

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
        Conversation.__init__(self, outgoing, dialler, pool, trace_id, keep)
        self.deadline = deadline
        self.memory = memory
        self.on_token: Callable[[TokenEvent], None] | None = None
        self._credentials = credentials
        self._beside: dict[str | int, HttpExchange] | None = None
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
        if answer.body_bytes > _LARGE:
            await turns.pause(answer.body_bytes * _SECONDS_PER_BYTE)
        whole = answer.content()
        if answer.coding and whole:
            whole = await content.decoded(answer, whole, self._endpoint.max_body, until)
        if len(whole) > _SMALL:
            body = large = Body(whole)
            large.room = max(0, self._endpoint.max_body - len(whole))
            if not answer.coding:
                answer.hold(large)
        else:
            body = bytes(whole)
        url = self._outgoing.origin + (path.partition("?")[0] if "?" in path else path)
        return Response(answer.status, answer.headers, body, answer.ended, url)

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
        self._via = connection
        connection.abort()

    def now(self) -> float:
        """The clock of all stamps."""
        return perf_counter()

    def measured(self) -> Measurement:
        """What was measured so far."""
        return self._account.measured()

    def redact(self, text: str, *, asked: bool = False) -> str:
        """`text` without the credentials this exchange sent, whole or cut short."""
        if asked:
            body = self._spoken().body if self._unary is None else self._unary.made.message
            text = auth.redact(text, gist.prompts(body) or ()) if body else text
        return auth.redact(text, self._secrets()) if self._hidden or self._outgoing.private else text

    def told(self, began: float) -> str:
        """What was said on the wire since the stamp `began`, for people."""
        spoken = [each._spoken() for each in (self, *(self._beside or {}).values())]
        call = self._unary.made if self._unary is not None else None
        return wire.account(began, perf_counter(), self._account, spoken, call, self._secrets())

    async def close(self) -> None:
        """Give up whatever is still open, or keep it for the next run where that was asked for."""
        if self._beside is not None:
            for other in self._beside.values():
                await other.close()
        if self._unary is not None:
            self._unary.close(self._hidden)
        answer = self._answer
        if answer is not None and not answer.done:
            answer.drop()
        connection, self._connection = self._connection, None
        if connection is None:
            return
        if self._keep is not None and connection.answer is None and connection.usable:
            self._pool.put(self._keep, connection, self._made_by())
        else:
            connection.abort()

    # For the stream.

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

    # Inside.

    def _secrets(self) -> Set[str]:
        """All that must not be repeated: credentials that were sent, and the values of the url's query."""
        return self._hidden | self._passing | self._outgoing.private if self._hidden else self._outgoing.private

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
