"""One question at a time: sent on an open connection or a new one, answered before its moment, and booked."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Sequence
from math import inf
from time import perf_counter

from exporter.contracts import Bound
from exporter.model.endpoint import Endpoint
from exporter.model.failure import Failure, Reason
from exporter.transport import wire
from exporter.transport.account import Account
from exporter.transport.alarm import Alarm, Timers
from exporter.transport.connection import Connection
from exporter.transport.credentials import Credential
from exporter.transport.dial import Dialler
from exporter.transport.faults import Stage, unopened
from exporter.transport.message import Answer
from exporter.transport.pool import Key, Pool
from exporter.transport.proxy import failure_told
from exporter.transport.request import Outgoing
from exporter.transport.wire import Earlier, Spoken

_EXCHANGE = Stage.EXCHANGE  # before 3.12 a member of an enum is looked up by way of its class at each use
_NONE_YET: frozenset[str] = frozenset()


class Conversation:
    """What an exchange asks its questions by, on one account.

    The first one opens a connection, further ones reuse it where the server allows that, so dns, connect and tls are
    then counted once. A reused connection that dies before the first byte of an answer is replaced without a word.
    """

    __slots__ = (
        "bound", "_account", "_answer", "_connection", "_dialler", "_earlier", "_endpoint", "_hidden", "_keep",
        "_outgoing", "_passing", "_pool", "_sent", "_t0", "_trace_id", "_via",
    )  # fmt: skip

    def __init__(self, outgoing: Outgoing, dialler: Dialler, pool: Pool, trace_id: str, keep: Key | None) -> None:
        endpoint = outgoing.endpoint
        self._endpoint = endpoint
        self._trace_id = trace_id
        self._outgoing = outgoing
        self._dialler = dialler
        self._pool = pool
        self._keep = keep if endpoint.keep_alive else None
        self._account = Account()
        self.bound: Bound | None = None
        self._answer: Answer | None = None
        self._connection: Connection | None = None
        self._hidden: set[str] = set()
        self._passing: frozenset[str] = _NONE_YET
        self._t0 = 0.0
        # What an account of the attempt is made from, should it fail: request and connection, the last of each.
        self._sent = b""
        self._via: Connection | None = None
        self._earlier: deque[Earlier] | None = None

    @property
    def endpoint(self) -> Endpoint:
        """Where this exchange goes."""
        return self._endpoint

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

    # What exchanges are made of.

    async def _ask(
        self,
        method: str,
        path: str,
        headers: Sequence[tuple[str, str]],
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
        if self._sent:
            self._remember()
        self._sent = data
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

    def _alarm(self, until: float) -> Alarm | Bound:
        if perf_counter() >= until:
            raise Failure(Reason.TIMEOUT, "no time was left to start")
        bound = self.bound
        if bound is not None and bound.deadline == until:
            bound.followed = True
            return bound
        return Alarm(self._dialler.timers, until)

    def _made_by(self) -> object:
        if self._outgoing.direct and not self._hidden:
            return self._endpoint
        return (self._endpoint, self._dialler.context_of(self._endpoint), frozenset(self._hidden))

    def _spoken(self) -> Spoken:
        at = self._t0 if self._answer is not None else inf
        return Spoken(at, self._sent, self._answer, self._via, self._earlier or ())

    # Inside.

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
                if connection.stamped:
                    connection.serve(account)
            else:
                reused = False
                connection = await self._open(until)
            self._connection = self._via = connection
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
            return self._dialler.open(outgoing.addresses[0], outgoing.port, endpoint, self._account)
        return self._dialler.dial(endpoint, self._account, until, outgoing.addresses)

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

    def _remember(self) -> None:
        """There is another request: of the one before it only that it was is kept."""
        if self._earlier is None:
            self._earlier = deque(maxlen=wire.EARLIER)
        self._earlier.append(self._spoken().kept())
