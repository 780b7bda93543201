"""The addresses a name has, for targets that are several servers behind one name."""

import asyncio
from collections.abc import Awaitable, Callable, Hashable, Sequence
from ipaddress import ip_address

from exporter.contracts import Found
from exporter.model.failure import Failure, Reason

#: Seconds between two look-ups, and what one may take.
INTERVAL = 15.0
PATIENCE = 5.0


class Names:
    """Implements `contracts.Discoverer` for one host, A and AAAA, at most `limit` addresses."""

    def __init__(self, host: str, limit: int, resolve: Callable[[str], Awaitable[Sequence[str]]]) -> None:
        self.source = source_of(host)
        self.interval = INTERVAL
        self.place: Hashable = host
        self.question: Hashable = limit
        self._host = host
        self._limit = limit
        self._resolve = resolve

    async def find(self) -> Found:
        """The addresses now, in numerical order: resolvers turn theirs with each answer."""
        try:
            async with asyncio.timeout(PATIENCE):
                addresses = await self._resolve(self._host)
        except TimeoutError:
            raise Failure(Reason.DNS, f"no addresses of {self._host} within {PATIENCE:g} s") from None
        ordered = sorted(set(addresses), key=_order)
        return Found(tuple(ordered[: self._limit]), over=max(0, len(ordered) - self._limit))


def source_of(host: str) -> str:
    """The label `source` of a host's look-ups."""
    return f"dns:{host}"


def _order(text: str) -> tuple[int, int, str]:
    address = ip_address(text)
    return (address.version, int(address), text)
