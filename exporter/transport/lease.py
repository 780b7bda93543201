"""Something that takes a call to get and is good for a while, such as a token: fetched once however many wait for it.

It is renewed before it ends, in the background, so that runs wait for it only when there is none. A failure is kept for
a moment, longer each time: a source that is down is not asked by every run of every target.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from time import perf_counter
from typing import Generic, TypeVar

from exporter.model.failure import Failure

_log = logging.getLogger(__name__)

#: Seconds a failure is kept: doubled with each further one, up to the maximum.
PAUSE = 1.0
MAX_PAUSE = 30.0
#: Seconds between two renewals that were wanted because a peer refused what it was given.
REFUSED_AGAIN = 30.0

Value = TypeVar("Value")


@dataclass(frozen=True, slots=True)
class Term(Generic[Value]):
    """What was fetched, and the stamps (perf_counter) from which it is renewed and after which it is not used."""

    value: Value
    renew_at: float
    ends: float


class Lease(Generic[Value]):
    """One such thing. `fetch` raises `Failure` when it is not to be had; it must end by itself."""

    __slots__ = ("_failed", "_failure", "_fetch", "_flight", "_pause", "_refused", "_term")

    def __init__(self, fetch: Callable[[], Awaitable[Term[Value]]]) -> None:
        self._fetch = fetch
        self._term: Term[Value] | None = None
        self._flight: asyncio.Task[Term[Value]] | None = None
        self._failure: Failure | None = None
        self._failed = 0.0
        self._pause = 0.0
        self._refused = float("-inf")

    async def get(self) -> tuple[Value, bool]:
        """The value, and whether it was fetched just now. Raises `Failure`. Cancelling this leaves the fetch going."""
        term = self._term
        if term is not None and (now := perf_counter()) < term.ends:
            if now >= term.renew_at and not self._resting(now):
                self._go()
            return term.value, False
        if self._failure is not None and self._resting(perf_counter()):
            raise _copy(self._failure)
        try:
            fetched = await asyncio.shield(self._go())
        except Failure as failure:
            raise _copy(failure) from None
        return fetched.value, True

    def refuse(self, value: Value) -> bool:
        """A peer refused a value: whether it is worth asking for another one. What was fetched is then forgotten."""
        if self._term is None or self._term.value != value:
            return True  # another one is there already, or on its way
        now = perf_counter()
        if now - self._refused < REFUSED_AGAIN:
            return False
        self._refused = now
        self._term = None
        return True

    def close(self) -> None:
        """Give up a fetch that is under way."""
        if self._flight is not None:
            self._flight.cancel()

    def _resting(self, now: float) -> bool:
        return self._failure is not None and now - self._failed < self._pause

    def _go(self) -> "asyncio.Task[Term[Value]]":
        if self._flight is None:
            self._flight = asyncio.get_running_loop().create_task(self._fly())
            self._flight.add_done_callback(_heard)
        return self._flight

    async def _fly(self) -> Term[Value]:
        try:
            self._term = term = await self._fetch()
        except Failure as failure:
            self._pause = min(MAX_PAUSE, max(PAUSE, self._pause * 2, failure.retry_after or 0.0))
            self._failure, self._failed = _copy(failure), perf_counter()
            raise
        finally:
            self._flight = None
        self._failure, self._pause = None, 0.0
        return term


def _copy(failure: Failure) -> Failure:
    """One for each who waits, since whoever catches it writes on it. The Retry-After was not the target's: it is ours
    to keep.
    """
    return Failure(failure.reason, failure.detail)


def _heard(flight: "asyncio.Task[Term[Value]]") -> None:
    """A renewal in the background has nobody who hears of its end."""
    if flight.cancelled():
        return
    error = flight.exception()
    if error is not None and not isinstance(error, Failure):
        _log.error("internal error", exc_info=error)
