"""What a machine takes from a process, so that a limit in seconds can be held wherever the tests run: the time in which
the process wanted to run and did not, because others had its core, or because all stood still.
"""

import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import suppress
from itertools import pairwise
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self

#: Seconds between two looks, and above which a look that came late tells of a machine that stood still.
LOOK, LATE = 0.02, 0.02
#: Seconds of a stretch that is told, and the part of so many seconds from which a machine is busy.
LEAST, SPAN, BUSY = 0.05, 2.0, 0.2
_TICK = 0.01


class _Look(NamedTuple):
    at: float
    waited: float  #: seconds of all its threads together, since it began
    stolen: float  #: seconds that the machine's host had for others, since the machine began


class Machine:
    """Watches a process while the block lasts, and where `children` also those that it started. Moments are those of
    `time.perf_counter`.
    """

    def __init__(self, pid: int, *, children: bool = False) -> None:
        self._pid = pid
        self._children = children
        self._over = threading.Event()
        self._one = threading.Lock()
        self._threads: dict[str, int] = {}
        self._waited = 0
        self._looks: list[_Look] = []
        self._look()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def took(self, start: float, end: float) -> float:
        """Seconds that were taken from the process between two moments: at least as many as made anything late."""
        return sum(taken for _, taken in self._taken(start, end))

    def at_once(self, start: float, end: float) -> float:
        """The most seconds by which that made any one thing late: those of a stretch without a core, or those taken in
        `SPAN` seconds of a busy machine. 0 where it is too little to tell.
        """
        stretch = longest = span = busiest = 0.0
        recent: deque[tuple[float, float]] = deque()
        for at, taken in self._taken(start, end):
            stretch = stretch + taken if taken >= LOOK / 2 else 0.0
            recent.append((at, taken))
            span += taken
            while recent[0][0] < at - SPAN:
                span -= recent.popleft()[1]
            longest, busiest = max(longest, stretch), max(busiest, span)
        return max(longest if longest >= LEAST else 0.0, busiest if busiest >= BUSY * SPAN else 0.0)

    def _taken(self, start: float, end: float) -> Iterator[tuple[float, float]]:
        """Each look of that time, and the seconds that were taken since the one before: no more than passed."""
        self._look()
        for before, after in pairwise(list(self._looks)):
            if after.at > start and before.at < end:
                passed = after.at - before.at
                late = passed - LOOK if passed > LOOK + LATE else 0.0
                seen = after.waited - before.waited + after.stolen - before.stolen
                yield before.at, min(passed, max(seen, late))

    def _run(self) -> None:
        while not self._over.wait(LOOK):
            self._look()

    def _look(self) -> None:
        with self._one:
            for pid in (self._pid, *(_children(self._pid) if self._children else ())):
                for thread, waited in _waited(pid):
                    self._waited += waited - self._threads.get(thread, 0)
                    self._threads[thread] = waited
            self._looks.append(_Look(time.perf_counter(), self._waited / 1e9, _stolen()))

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._thread.join()


def _waited(pid: int) -> Iterator[tuple[str, int]]:
    """Each thread, and the nanoseconds for which it was ready to run and did not."""
    with suppress(OSError):  # the process has ended
        for thread in Path(f"/proc/{pid}/task").iterdir():
            with suppress(OSError):
                yield thread.name, int((thread / "schedstat").read_text().split()[1])


def _children(pid: int) -> Iterator[int]:
    with suppress(OSError):
        for thread in Path(f"/proc/{pid}/task").iterdir():
            with suppress(OSError):
                yield from map(int, (thread / "children").read_text().split())


def _stolen() -> float:
    return int(Path("/proc/stat").read_text().partition("\n")[0].split()[8]) * _TICK
