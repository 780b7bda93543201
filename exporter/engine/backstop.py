"""The last bound of an attempt: a cancel from outside, soon after its deadline.

The exchange keeps the deadline itself and tells more (which phase, what came until then). This is for a protocol that
lost its way, and for a connection that does not want to close. One timer handle; `asyncio.timeout` would cost several
objects and a context per attempt.
"""

import asyncio
from collections.abc import Callable
from typing import Any

#: Seconds after the deadline.
GRACE = 0.025


class Backstop:
    """Armed when made, around `task`. `withdraw` takes its cancellation back, `disarm` ends it."""

    __slots__ = ("_at", "_cancelling", "_clock", "_excused", "_fired", "_loop", "_task", "_timer")

    def __init__(self, task: "asyncio.Task[Any]", clock: Callable[[], float], deadline: float) -> None:
        self._task = task
        self._clock = clock
        self._loop = asyncio.get_running_loop()
        self._fired = self._excused = False
        #: Requests that somebody made before and never took back: not ours to count.
        self._cancelling = task.cancelling()
        self._arm(deadline + GRACE)

    def _arm(self, at: float) -> None:
        self._at = at
        self._timer = self._loop.call_later(max(0.0, at - self._clock()), self._fire)

    def _fire(self) -> None:
        now = self._clock()
        if not self._excused and now - self._at > GRACE / 2:
            # The loop itself was late: what should have ended the attempt is only now being called, let it.
            self._excused = True
        else:
            self._fired = True
            self._task.cancel()
        # Closing the connection after this cancel has a bound too.
        self._arm(now + GRACE)

    def withdraw(self) -> bool:
        """Whether the cancellation that just arrived was this one alone; then the task goes on."""
        if not self._fired:
            return False
        self._fired = False
        return self._task.uncancel() <= self._cancelling

    def disarm(self) -> None:
        """The attempt has ended."""
        self._timer.cancel()
