"""The instrument: conversations with what is watched, measured, bounded and judged by one table of faults."""

from collections.abc import MutableMapping
from typing import TYPE_CHECKING, Any

from exporter.model.endpoint import Endpoint
from exporter.transport.alarm import Timers
from exporter.transport.credentials import Credentials
from exporter.transport.dial import Dialler
from exporter.transport.http import HttpExchange
from exporter.transport.pool import Key, Pool
from exporter.transport.request import Outgoing
from exporter.transport.resolve import Resolver
from exporter.transport.tls import Contexts

if TYPE_CHECKING:
    from exporter.transport.calls import Calls

__all__ = ["Resolver", "Transport"]

#: Where an endpoint's prepared requests lie in its target's memory, so that they live as long as it does.
_PREPARED = "transport.outgoing"


class Transport:
    """Opens exchanges. One per program: it shares TLS contexts, resolver threads and idle connections."""

    def __init__(self, *, user_agent: str, resolver: Resolver | None = None) -> None:
        self._user_agent = user_agent
        self._resolver = resolver or Resolver()
        self._timers = Timers()
        #: Reads of those who want the kernel's stamps, by what became of them; empty as long as nobody does.
        self.stamps: dict[str, int] = {}
        self._contexts = Contexts()
        self._dialler = Dialler(self._resolver, self._contexts, self._timers, self.stamps)
        self._pool = Pool()
        self._credentials = Credentials(lambda: self.calls, self._timers)
        self._calls: Calls | None = None

    @property
    def calls(self) -> "Calls":
        """The client for calls that are no measurement. Opened by its first call, closed with the transport."""
        if self._calls is None:
            from exporter.transport.calls import Calls  # aiohttp's client, for those alone who make such calls

            self._calls = Calls(user_agent=self._user_agent, resolver=self._resolver, contexts=self._contexts)
        return self._calls

    def exchange(
        self,
        endpoint: Endpoint,
        *,
        deadline: float,
        trace_id: str,
        memory: MutableMapping[str, Any],
        keep: Key | None = None,
    ) -> HttpExchange:
        """A new attempt's conversation; nothing is sent yet. Close it when the attempt is over.

        `deadline` is a stamp of time.perf_counter. `trace_id` has 32 hexadecimal digits. With `keep` and the
        endpoint's `keep_alive`, the connection is kept under that key for the next exchange.
        """
        outgoing = memory.get(_PREPARED)
        if outgoing is None or outgoing.endpoint is not endpoint:
            outgoing = memory[_PREPARED] = Outgoing(endpoint, self._user_agent)
            if endpoint.kernel_stamps:
                self._dialler.kernel()  # while no run's time goes by
        return HttpExchange(outgoing, self._dialler, self._pool, deadline, trace_id, memory, keep, self._credentials)

    async def resolve(self, host: str, port: int) -> tuple[str, ...]:
        """The addresses of a name, for a caller that must check them first. Raises `Failure(dns)`."""
        return (await self._resolver.resolve(host, port)).addresses

    def keep(self, descriptors: int) -> None:
        """How many descriptors idle connections may take from now on; those that are kept already stay."""
        self._pool.limit = descriptors

    def forget(self, keep: Key) -> None:
        """Close the connection kept under a key, for a job that is gone."""
        self._pool.drop(keep)

    async def close(self) -> None:
        """Close every kept connection, and give up what is being obtained."""
        self._credentials.close()
        if self._calls is not None:
            await self._calls.close()
        self._pool.close()
        self._dialler.close()
        self._resolver.close()
        self._timers.close()
