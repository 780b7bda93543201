"""Deadlines by the thousand, nearly all of which are never met: a heap of our own over one timer of the loop.

A loop's timer costs more than all the rest of a deadline (uvloop: a libuv handle each, closed in a later turn).
"""

import asyncio
from collections.abc import Callable
from heapq import heapify, heappop, heappush
from itertools import count
from time import perf_counter

#: Cancelled timers that may lie in the heap before it is swept, beside as many that are alive.
_MAX_DEAD = 1000


class Timer:
    """A call that is due later; `callback` is None once it was cancelled or made."""

    __slots__ = ("callback", "_timers")

    def __init__(self, timers: "Timers", callback: Callable[[], object]) -> None:
        self._timers = timers
        self.callback: Callable[[], object] | None = callback

    def cancel(self) -> None:
        """It is not wanted any more. Safe to call twice, and afterwards."""
        if self.callback is not None:
            self.callback = None
            self._timers.bury()


class Timers:
    """Calls due at stamps of time.perf_counter, never early. Belongs to the running loop."""

    __slots__ = ("_armed", "_dead", "_handle", "_heap", "_loop", "_numbers")

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._heap: list[tuple[float, int, Timer]] = []
        self._numbers = count()
        self._handle: asyncio.TimerHandle | None = None
        self._armed = 0.0
        self._dead = 0

    def at(self, when: float, callback: Callable[[], object]) -> Timer:
        """Call `callback` at `when`, or in the loop's next turn when that is past."""
        loop = asyncio.get_running_loop()
        if loop is not self._loop:
            self.close()
            self._loop = loop
        timer = Timer(self, callback)
        heappush(self._heap, (when, next(self._numbers), timer))
        if self._handle is None or when < self._armed:
            self._arm(loop, when)
        return timer

    def bury(self) -> None:
        """One more timer is dead."""
        self._dead += 1
        if self._dead > _MAX_DEAD and self._dead * 2 > len(self._heap):
            self._heap = [entry for entry in self._heap if entry[2].callback is not None]
            heapify(self._heap)
            self._dead = 0

    def close(self) -> None:
        """Forget everything."""
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None
        self._heap.clear()
        self._dead = 0

    def _arm(self, loop: asyncio.AbstractEventLoop, when: float) -> None:
        if self._handle is not None:
            self._handle.cancel()
        self._armed = when
        self._handle = loop.call_later(max(0.0, when - perf_counter()), self._ring)

    def _ring(self) -> None:
        self._handle = None
        heap = self._heap
        now = perf_counter()
        while heap and (heap[0][0] <= now or heap[0][2].callback is None):
            timer = heappop(heap)[2]
            callback, timer.callback = timer.callback, None
            if callback is None:
                self._dead -= 1
            else:
                callback()
        if heap and self._handle is None and self._loop is not None:
            self._arm(self._loop, heap[0][0])


class Alarm:
    """Cancels the task that made it at `until` unless turned off before.

    The task asks `rang()` when it meets a CancelledError: true means that it was ours, and takes it back.
    """

    __slots__ = ("_before", "_fired", "_task", "_timer")

    def __init__(self, timers: Timers, until: float) -> None:
        task = asyncio.current_task()
        if task is None:
            raise RuntimeError("an alarm needs a task to cancel")
        self._task = task
        self._before = task.cancelling()
        self._fired = False
        self._timer = timers.at(until, self._fire)

    def _fire(self) -> None:
        self._fired = True
        self._task.cancel()

    def off(self) -> None:
        """Turn it off. Must be called before the stretch is left."""
        self._timer.cancel()

    def rang(self) -> bool:
        """Whether the cancellation just met is this alarm's alone. Ask once."""
        if not self._fired:
            return False
        self._fired = False
        return self._task.uncancel() <= self._before
