"""Opens a connection: name, address after address, the tunnel of a proxy, TLS; each phase stamped apart."""

import asyncio
import errno
import ssl
from asyncio import get_running_loop
from collections.abc import Sequence
from time import perf_counter
from typing import TYPE_CHECKING, NamedTuple

from exporter.model.endpoint import Endpoint, Proxy
from exporter.model.failure import Failure, Reason
from exporter.model.observation import Stamps
from exporter.transport.account import Account
from exporter.transport.alarm import Alarm, Timers
from exporter.transport.connection import Connection, Reader
from exporter.transport.faults import SHORTAGE, SHORTAGE_PAUSE, Stage, failure_of
from exporter.transport.proxy import tunnel
from exporter.transport.resolve import Resolver
from exporter.transport.tls import Contexts, Session

if TYPE_CHECKING:
    from exporter.transport.stamped import Kernel

# Before 3.12 a member of an enum is looked up by way of its class at each use.
_LOOKUP, _CONNECT, _EXCHANGE = Stage.LOOKUP, Stage.CONNECT, Stage.EXCHANGE


class Dialler:
    """Opens connections to endpoints. Knows the resolver and the TLS contexts, and keeps nothing of a connection.

    `stamps` counts reads by what became of the kernel's stamps, once they are asked for.
    """

    __slots__ = ("timers", "_contexts", "_kernel", "_resolver", "_stamps")

    def __init__(
        self, resolver: Resolver, contexts: Contexts, timers: Timers, stamps: dict[str, int] | None = None
    ) -> None:
        self.timers = timers
        self._kernel: Kernel | None = None
        self._stamps = {} if stamps is None else stamps
        self._resolver = resolver
        self._contexts = contexts

    def context_of(self, endpoint: Endpoint) -> ssl.SSLContext | None:
        """The TLS context in force for an endpoint; None without TLS. Raises `Failure(tls)`."""
        return self._contexts.get(endpoint.tls, alpn_of(endpoint)) if endpoint.secure else None

    async def dial(
        self,
        endpoint: Endpoint,
        account: Account,
        until: float,
        addresses: Sequence[str],
        reader: Reader | None = None,
        *,
        through: bool = False,
    ) -> Connection:
        """An open connection, handshake done. The caller's alarm rings at `until`. Raises `Failure`.

        `addresses` are connected to without a look-up, which is for when there are none; with a proxy they are the
        proxy's. `reader` is for peers that may speak first. A proxy passes requests on, unless TLS, or the caller,
        needs a connection that leads `through` it.
        """
        account.stage = _LOOKUP
        context = self.context_of(endpoint)
        account.begin(perf_counter())
        if endpoint.proxy is None:
            hop = _Hop(endpoint, endpoint.host, endpoint.connect_port, context, reader)
            connection = await self._try_each(hop, account, until, addresses)
        else:
            account.proxy = endpoint.proxy.name
            connection = await self._reach_proxy(endpoint, endpoint.proxy, account, until, addresses)
            if through or context is not None:
                beyond = await self._pass(connection, endpoint, endpoint.proxy, account)
                connection.go_on(None if context is None else _session(context, endpoint), reader, beyond)
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
        account.stage = _EXCHANGE
        return connection

    def kernel(self) -> "Kernel | None":
        """Who opens connections with the kernel's stamps: made when it is asked for first, which takes a moment. None
        where the system has none.
        """
        if self._kernel is None:
            from exporter.transport import clocks, stamped

            if clocks.available():
                self._kernel = stamped.Kernel(self._stamps)
        return self._kernel

    def close(self) -> None:
        """Let go of what was needed for the kernel's stamps."""
        kernel, self._kernel = self._kernel, None
        if kernel is not None:
            kernel.close()

    async def _reach_proxy(
        self, endpoint: Endpoint, proxy: Proxy, account: Account, until: float, addresses: Sequence[str]
    ) -> Connection:
        try:
            return await self._try_each(_Hop(endpoint, proxy.host, proxy.port, None, None), account, until, addresses)
        except Failure as failure:
            failure.detail = f"proxy {proxy.name}: {failure.detail}"
            raise

    async def _pass(self, connection: Connection, endpoint: Endpoint, proxy: Proxy, account: Account) -> bytes:
        account.stage = Stage.TUNNEL
        try:
            seconds, beyond = await tunnel(connection, endpoint, proxy)
        except BaseException:
            connection.abort()
            raise
        account.phase("connect", seconds)
        return beyond

    async def _try_each(self, hop: "_Hop", account: Account, until: float, addresses: Sequence[str]) -> Connection:
        if not addresses:
            found = await self._resolver.resolve(hop.host, hop.port)
            addresses = found.addresses
            if found.ended > found.began:
                account.phase("dns", found.ended - found.began)
        left = len(addresses)
        for address in addresses:
            left -= 1
            if not left:
                return await self.open(address, hop.port, hop.endpoint, account, hop.context, hop.reader)
            # Every address gets its share of the time; the last one all that is left.
            now = perf_counter()
            alarm = Alarm(self.timers, now + (until - now) / (left + 1))
            try:
                return await self.open(address, hop.port, hop.endpoint, account, hop.context, hop.reader)
            except Failure:
                continue
            except asyncio.CancelledError:
                if not alarm.rang():
                    raise
            finally:
                alarm.off()
        raise Failure(Reason.DNS, "the name has no address")

    async def open(
        self,
        address: str,
        port: int,
        endpoint: Endpoint,
        account: Account,
        context: ssl.SSLContext | None = None,
        reader: Reader | None = None,
    ) -> Connection:
        """One address and nothing on the way to it. Without TLS that is all of `dial`."""
        loop = get_running_loop()
        account.stage = _CONNECT
        account.address = address
        kernel = self._kernel_of(endpoint, account, reader) if endpoint.kernel_stamps else None
        while True:
            if kernel is None:
                connection = Connection(loop, None if context is None else _session(context, endpoint), reader)
            else:
                connection = kernel.connection(loop, account)
            began = perf_counter()
            account.begin(began)
            try:
                if kernel is not None:
                    await kernel.connect(loop, connection, address, port)
                elif endpoint.scheme == "unix":
                    await loop.create_unix_connection(lambda: connection, address)  # noqa: B023
                else:
                    await loop.create_connection(lambda: connection, address, port)  # noqa: B023
            except OSError as error:
                connection.abort()
                if error.errno in SHORTAGE:
                    await asyncio.sleep(SHORTAGE_PAUSE)
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
            account.stage = _EXCHANGE  # unless there is more to be done on the way
            return connection

    def _kernel_of(self, endpoint: Endpoint, account: Account, reader: Reader | None) -> "Kernel | None":
        """Who opens a connection with the kernel's stamps; None where there are none. With TLS they would be of
        records, through a proxy of what it does, and frames of gRPC are stamped elsewhere.
        """
        if endpoint.scheme != "http" or endpoint.proxy is not None or reader is not None:
            kernel = None
        else:
            kernel = self.kernel()
        if kernel is None:
            account.stamped(Stamps.LOOP)
        return kernel


class _Hop(NamedTuple):
    """What is connected to first on the way to an endpoint: the endpoint itself, or its proxy."""

    endpoint: Endpoint
    host: str
    port: int
    context: ssl.SSLContext | None
    reader: Reader | None


def _session(context: ssl.SSLContext, endpoint: Endpoint) -> Session:
    # The zone of a link-local address means nothing to anybody else.
    return Session(context, endpoint.tls.server_name or endpoint.host.partition("%")[0])


def os_detail(error: OSError) -> str:
    """A socket error in words, without the loops' varying texts around it."""
    code = error.errno
    if code is None:
        return "cannot connect"
    return f"{errno.errorcode.get(code, str(code))}"


def alpn_of(endpoint: Endpoint) -> str:
    """What is offered in the handshake, `""` for nothing: gRPC servers refuse anything but h2."""
    return {"grpcs": "h2", "tcp": ""}.get(endpoint.scheme, "http/1.1")
