"""The last bound of an attempt: a cancel from outside, soon after its deadline.

The exchange keeps the deadline itself and tells more (which phase, what came until then). This is for a protocol that
lost its way, and for a connection that does not want to close. `asyncio.timeout` would cost several objects, a context
and a timer of the loop per attempt.
"""

from exporter.transport.alarm import Timer, Timers

#: Seconds after the deadline.
GRACE = 0.025


class Backstop(Timer):
    """Armed when made, around the running task. `withdraw` takes its cancellation back, `disarm` ends it."""

    __slots__ = ("_at", "_cancelling", "_excused", "_fired", "_task")

    def __init__(self, timers: Timers, deadline: float) -> None:
        self._task = task = timers.task()
        self._fired = self._excused = False
        #: Requests that somebody made before and never took back: not ours to count.
        self._cancelling = task.cancelling()
        self._at = deadline + GRACE
        timers.put(self._at, self)

    def ring(self) -> None:
        now = self.timers.clock()
        if not self._excused and now - self._at > GRACE / 2:
            # The loop itself was late: what should have ended the attempt is only now being called, let it.
            self._excused = True
        else:
            self._fired = True
            self._task.cancel()
        # Closing the connection after this cancel has a bound too.
        self._at = now + GRACE
        self.timers.put(self._at, self)

    def withdraw(self) -> bool:
        """Whether the cancellation that just arrived was this one alone; then the task goes on."""
        if not self._fired:
            return False
        self._fired = False
        return self._task.uncancel() <= self._cancelling

    disarm = Timer.cancel  #: The attempt has ended.
