"""Opens a connection: name, address after address, TLS; each phase stamped apart."""

import asyncio
import errno
import ssl
from collections.abc import Sequence
from time import perf_counter

from exporter.model.endpoint import Endpoint
from exporter.model.failure import Failure, Reason
from exporter.transport.account import Account
from exporter.transport.alarm import Alarm, Timers
from exporter.transport.connection import Connection
from exporter.transport.faults import SHORTAGE, Stage, failure_of
from exporter.transport.resolve import Resolver
from exporter.transport.tls import Contexts, Session

#: Seconds until opening is tried again when we are out of descriptors.
_SHORTAGE_PAUSE = 0.05


class Dialler:
    """Opens connections to endpoints. Knows the resolver and the TLS contexts, and keeps nothing of a connection."""

    __slots__ = ("timers", "_contexts", "_resolver")

    def __init__(self, resolver: Resolver, contexts: Contexts, timers: Timers) -> None:
        self.timers = timers
        self._resolver = resolver
        self._contexts = contexts

    def context_of(self, endpoint: Endpoint) -> ssl.SSLContext | None:
        """The TLS context in force for an endpoint; None without TLS. Raises `Failure(tls)`."""
        return self._contexts.get(endpoint.tls, alpn_of(endpoint)) if endpoint.secure else None

    async def dial(self, endpoint: Endpoint, account: Account, until: float, addresses: Sequence[str]) -> Connection:
        """An open connection, handshake done. The caller's alarm rings at `until`. Raises `Failure`.

        `addresses` are connected to without a look-up, which is for when there are none.
        """
        loop = asyncio.get_running_loop()
        account.stage = Stage.LOOKUP
        context = self.context_of(endpoint)
        now = perf_counter()
        account.begin(now)
        if not addresses:
            found = await self._resolver.resolve(endpoint.host, endpoint.port)
            addresses = found.addresses
            if found.ended > found.began:
                account.phase("dns", found.ended - found.began)
        account.stage = Stage.CONNECT
        if len(addresses) == 1:
            connection = await self._open(loop, endpoint, addresses[0], account, context)
        else:
            connection = await self._connect(loop, endpoint, addresses, account, context, until)
        if context is not None:
            account.stage = Stage.HANDSHAKE
            began = perf_counter()
            try:
                await connection.handshake()
            except BaseException:
                connection.abort()
                raise
            finally:
                if connection.certificate_not_after is not None:
                    account.certificate_not_after = connection.certificate_not_after
            account.phase("tls", connection.shaken - began)
        account.stage = Stage.EXCHANGE
        return connection

    async def _connect(
        self,
        loop: asyncio.AbstractEventLoop,
        endpoint: Endpoint,
        addresses: Sequence[str],
        account: Account,
        context: ssl.SSLContext | None,
        until: float,
    ) -> Connection:
        left = len(addresses)
        for address in addresses:
            left -= 1
            if not left:
                return await self._open(loop, endpoint, address, account, context)
            # Every address gets its share of the time; the last one all that is left.
            now = perf_counter()
            alarm = Alarm(self.timers, now + (until - now) / (left + 1))
            try:
                return await self._open(loop, endpoint, address, account, context)
            except Failure:
                continue
            except asyncio.CancelledError:
                if not alarm.rang():
                    raise
            finally:
                alarm.off()
        raise Failure(Reason.DNS, "the name has no address")

    async def _open(
        self,
        loop: asyncio.AbstractEventLoop,
        endpoint: Endpoint,
        address: str,
        account: Account,
        context: ssl.SSLContext | None,
    ) -> Connection:
        account.address = address
        while True:
            session = None if context is None else Session(context, endpoint.tls.server_name or endpoint.host)
            connection = Connection(loop, session)
            began = perf_counter()
            try:
                if endpoint.scheme == "unix":
                    await loop.create_unix_connection(lambda: connection, address)  # noqa: B023
                else:
                    await loop.create_connection(lambda: connection, address, endpoint.port)  # noqa: B023
            except OSError as error:
                connection.abort()
                if error.errno in SHORTAGE:
                    await asyncio.sleep(_SHORTAGE_PAUSE)
                    continue
                failure = failure_of(error, Stage.CONNECT)
                if failure is None:
                    raise
                failure.detail = f"{address}: {os_detail(error)}"
                raise failure from None
            except BaseException:
                connection.abort()
                raise
            connection.address = address
            account.phase("connect", connection.made - began)
            return connection


def os_detail(error: OSError) -> str:
    """A socket error in words, without the loops' varying texts around it."""
    code = error.errno
    if code is None:
        return "cannot connect"
    return f"{errno.errorcode.get(code, str(code))}"


def alpn_of(endpoint: Endpoint) -> str:
    """What is offered in the handshake: gRPC servers refuse anything but h2."""
    return "h2" if endpoint.scheme == "grpcs" else "http/1.1"
