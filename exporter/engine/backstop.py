"""The end of an attempt: a cancel from outside at its deadline, and again for as long as it goes on.

A request that may last until then goes by it and has no timer of its own; it tells more (which phase, what came until
then). Whatever else waits on the exchange keeps the deadline itself, and has GRACE to say so. After that this is for a
protocol that lost its way, and for a connection that does not want to close. `asyncio.timeout` would cost several
objects, a context and a timer of the loop per attempt.
"""

from exporter.transport.alarm import Alarm, Timer, Timers

#: Seconds after the deadline, or after a cancel.
GRACE = 0.025


class Backstop(Alarm):
    """Armed when made, around the running task. `disarm` ends it; `off` only says that nobody goes by it any more."""

    __slots__ = ("deadline", "followed", "_passed")

    def __init__(self, timers: Timers, deadline: float) -> None:
        self.deadline = deadline
        self.followed = False  #: a request of the task goes by it
        self._passed = False
        Alarm.__init__(self, timers, deadline)

    def ring(self) -> None:
        if self.followed or self._passed:
            Alarm.ring(self)
        self._passed = True
        self.timers.put(self.timers.clock() + GRACE, self)

    def off(self) -> None:
        """The request that went by it is over."""
        self.followed = False

    disarm = Timer.cancel  #: The attempt has ended.
