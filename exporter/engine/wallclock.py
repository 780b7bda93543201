"""Moments of the wall clock on a schedule that is monotonic."""

from collections.abc import Callable
from math import inf

from exporter.engine.wheel import Planned, Wheel

#: Seconds after which the wall clock is looked at again: somebody may have set it.
LOOK = 60.0


class WallTimer(Planned):
    """Calls `look` with the Unix time, at the moment that it named the last time it was called."""

    __slots__ = ("_clock", "_look", "_wall", "_wheel")

    def __init__(
        self, wheel: Wheel, clock: Callable[[], float], wall: Callable[[], float], look: Callable[[float], float]
    ) -> None:
        super().__init__()
        self._wheel = wheel
        self._clock = clock
        self._wall = wall
        self._look = look

    def due(self, planned: float, now: float) -> None:
        """The moment, or time to look at the clock."""
        self.again()

    def again(self) -> None:
        """Look now, and plan the next time; never, where there is none."""
        wall = self._wall()
        following = self._look(wall)
        if following == inf:
            self._wheel.drop(self)
        else:
            self._wheel.put(self, self._clock() + min(LOOK, max(0.0, following - wall)))
