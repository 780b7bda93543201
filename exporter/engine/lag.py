"""How late the event loop runs: what falsifies a measurement, seen from inside."""

import asyncio
from collections.abc import Callable

from exporter.ledger import Histogram

PERIOD = 0.02
#: Lag above which a run it fell into is suspect. Well above what a busy loop shows from one turn to the next, and not
#: more than the smallest difference in latency that anybody alerts on.
BOUND = 0.01
#: Lag in seconds that is no load any more: the process was stopped, frozen or not scheduled.
STALL = 1.0


class LagSampler:
    """A timer that notes how late it fires.

    A timer callback and not a task: it runs in the same turn of the loop as the reads that waited behind the block, so
    the runs they complete already find it noted.
    """

    def __init__(self, clock: Callable[[], float], lag: Histogram, stalled: Callable[[float], None]) -> None:
        self._clock = clock
        self._lag = lag
        self._stalled = stalled  #: hears how many seconds were lost
        self._loop: asyncio.AbstractEventLoop | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._due = 0.0
        self.lagged_at = float("-inf")  #: the last moment at which the loop was late by more than `BOUND`

    def start(self) -> None:
        """Begin on the running loop."""
        self._loop = asyncio.get_running_loop()
        self._again()

    def stop(self) -> None:
        """Stop sampling."""
        if self._timer is not None:
            self._timer.cancel()
        self._loop = self._timer = None

    def _again(self) -> None:
        if self._loop is not None:
            self._due = self._clock() + PERIOD
            self._timer = self._loop.call_later(PERIOD, self._sample)

    def _sample(self) -> None:
        now = self._clock()
        late = now - self._due
        self._lag.observe(max(0.0, late))
        if late > BOUND:
            self.lagged_at = now
        if late > STALL:
            self._stalled(late)
        self._again()
