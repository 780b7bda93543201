"""How a model came up: the time to its first good canary, and what the first request had to wait for."""

from statistics import median

#: Good runs after the first that tell what is usual.
USUAL = 5


class Lifecycle:
    """One start of one target: since it was added, or since it was found gone. Times are seconds of one clock.

    `load` is from then to the end of the first good canary. `penalty` is how much longer that canary took than is
    usual: than the median of the next `USUAL` good runs of the same probe, and 0 where it took no longer. Both are None
    until they are known of the present start.
    """

    __slots__ = ("load", "penalty", "_begun", "_first", "_next", "_probe")

    def __init__(self, now: float) -> None:
        self._begin(now)

    def _begin(self, now: float) -> None:
        self.load: float | None = None
        self.penalty: float | None = None
        self._begun = now
        self._probe = ""
        self._first: float | None = None
        self._next: list[float] = []

    def asked(self, probe: str, now: float) -> None:
        """A canary was added, or became another: what came before says nothing of its first run."""
        if self.load is None:
            self._begun = now
        elif probe == self._probe:
            self._first = None

    def gone(self, now: float) -> None:
        """The server is not there. What comes back has been started anew."""
        if self.load is not None:
            self._begin(now)

    def good(self, probe: str, started: float, ended: float, duration: float | None) -> bool:
        """A canary was healthy. One that was on its way before the start says nothing of it. True when that is news."""
        if started < self._begun:
            return False
        if self.load is None:
            self.load = ended - self._begun
            self._probe, self._first = probe, duration
            return True
        if probe == self._probe and self._first is not None and duration is not None:
            self._next.append(duration)
            if len(self._next) == USUAL:
                self.penalty = max(0.0, self._first - median(self._next))
                self._first, self._next = None, []
                return True
        return False
