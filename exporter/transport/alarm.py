"""A deadline over a stretch of awaits: one timer, no wrapper around each read."""

import asyncio
from time import perf_counter


class Alarm:
    """Cancels the task that made it at `until` (perf_counter) unless turned off before.

    The task asks `rang()` when it meets a CancelledError: true means that it was ours, and takes it back.
    """

    __slots__ = ("_before", "_fired", "_handle", "_task")

    def __init__(self, loop: asyncio.AbstractEventLoop, until: float) -> None:
        task = asyncio.current_task(loop)
        if task is None:
            raise RuntimeError("an alarm needs a task to cancel")
        self._task = task
        self._before = task.cancelling()
        self._fired = False
        self._handle: asyncio.TimerHandle | None = loop.call_later(max(0.0, until - perf_counter()), self._fire)

    def _fire(self) -> None:
        self._fired = True
        self._task.cancel()

    def off(self) -> None:
        """Turn it off. Must be called before the stretch is left."""
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None  # uvloop's handle keeps its callback, which is ours: a cycle for the collector

    def rang(self) -> bool:
        """Whether the cancellation just met is this alarm's alone. Ask once."""
        if not self._fired:
            return False
        self._fired = False
        return self._task.uncancel() <= self._before
