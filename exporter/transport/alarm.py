"""Deadlines by the thousand, nearly all of which are never met: a heap of our own over one timer of the loop.

A loop's timer costs more than all the rest of a deadline (uvloop: a libuv handle each, closed in a later turn).
"""

import asyncio
from collections.abc import Callable
from heapq import heapify, heappop, heappush
from itertools import count
from time import perf_counter
from typing import Any

#: Cancelled timers that may lie in the heap before it is swept, beside as many that are alive.
_MAX_DEAD = 64
#: Seconds by which a ring may be late as a rule; later, and the loop stood still.
_LATE = 0.01
#: Seconds that are given back at most when it did.
_BACK = 0.05


class Timer:
    """Something due later. `live` until it rang or was cancelled."""

    __slots__ = ("live", "timers")
    live: bool
    timers: "Timers"

    def ring(self) -> None:
        """Its moment has come. Says nothing of itself: it is for those who know what to do."""

    def cancel(self) -> None:
        """It is not wanted any more. Safe to call twice, and afterwards."""
        if self.live:
            self.live = False
            timers = self.timers
            timers.dead += 1
            if timers.dead > _MAX_DEAD:
                timers.sweep()


class Call(Timer):
    """A call that is due later."""

    __slots__ = ("_callback",)

    def __init__(self, callback: Callable[[], object]) -> None:
        self._callback: Callable[[], object] | None = callback

    def ring(self) -> None:
        callback, self._callback = self._callback, None
        if callback is not None:
            callback()

    def cancel(self) -> None:
        self._callback = None
        super().cancel()


class Timers:
    """Timers due at stamps of `clock`, never early. They belong to the loop that was last seen running."""

    __slots__ = ("clock", "dead", "loop", "_armed", "_excused", "_handle", "_heap", "_numbers")

    def __init__(self, clock: Callable[[], float] = perf_counter) -> None:
        self.clock = clock
        self.loop: asyncio.AbstractEventLoop | None = None  #: None until they were used
        self._heap: list[tuple[float, int, Timer]] = []
        self._numbers = count()
        self._handle: asyncio.Handle | None = None
        self._armed = 0.0
        self._excused = False
        self.dead = 0  #: timers in the heap that were cancelled

    def task(self) -> "asyncio.Task[Any]":
        """The running task."""
        # The loop is told, because before 3.12 to ask which one is running is a system call; five of them in a run.
        task = asyncio.current_task(self.loop) if self.loop is not None else None
        if task is None:  # it is not this one that runs
            task = asyncio.current_task(self._here())
        if task is None:
            raise RuntimeError("a deadline needs a task to cancel")
        return task

    def at(self, when: float, callback: Callable[[], object]) -> Timer:
        """Call `callback` at `when`, or in the loop's next turn when that is past."""
        timer = Call(callback)
        self.put(when, timer)
        return timer

    def put(self, when: float, timer: Timer) -> None:
        """Let a timer that is not live ring at `when`, or in the loop's next turn when that is past."""
        if self._handle is None:
            self._here()
        timer.timers = self
        timer.live = True
        heappush(self._heap, (when, next(self._numbers), timer))
        if self._handle is None or (when < self._armed and not self._excused):
            self._arm(when)

    def sweep(self) -> None:
        """Throw out the dead where they are in the majority."""
        if self.dead * 2 > len(self._heap):
            self._heap = [entry for entry in self._heap if entry[2].live]
            heapify(self._heap)
            self.dead = 0

    def close(self) -> None:
        """Forget everything."""
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None
        self._heap.clear()
        self.dead = 0

    def _here(self) -> asyncio.AbstractEventLoop:
        """The running loop. What waited on another one will not be rung any more."""
        loop = asyncio.get_running_loop()
        if loop is not self.loop:
            self.close()
            self.loop = loop
        return loop

    def _arm(self, when: float) -> None:
        if self._handle is not None:
            self._handle.cancel()
        now = self.clock()
        self._armed = max(now, when)
        if self.loop is not None:
            self._handle = self.loop.call_later(self._armed - now, self._ring)

    def _ring_soon(self) -> None:
        """Not before those that were woken by what was read meanwhile."""
        if self.loop is not None:
            self._handle = self.loop.call_soon(self._ring)

    def _ring(self) -> None:
        self._handle = None
        heap = self._heap
        now = self.clock()
        late = now - self._armed
        if late > _LATE and not self._excused and self.loop is not None:
            # What came while the loop stood still was not read. It gets the time back, or we would be the late ones.
            self._excused = True
            self._handle = self.loop.call_later(min(late, _BACK), self._ring_soon)
            return
        self._excused = False
        while heap and (heap[0][0] <= now or not heap[0][2].live):
            timer = heappop(heap)[2]
            if timer.live:
                timer.live = False
                timer.ring()
            else:
                self.dead -= 1
        if heap and self._handle is None:
            self._arm(heap[0][0])


class Alarm(Timer):
    """Cancels the task that made it at `until` unless turned off before.

    The task asks `rang()` when it meets a CancelledError: true means that it was ours, and takes it back.
    """

    __slots__ = ("_before", "_fired", "_task")

    def __init__(self, timers: Timers, until: float) -> None:
        self._task = task = timers.task()
        self._before = task.cancelling()
        self._fired = False
        timers.put(until, self)

    def ring(self) -> None:
        self._fired = True
        self._task.cancel()

    off = Timer.cancel  #: Turn it off. Must be called before the stretch is left.

    def rang(self) -> bool:
        """Whether the cancellation just met is this alarm's alone. Ask once."""
        if not self._fired:
            return False
        self._fired = False
        return self._task.uncancel() <= self._before
