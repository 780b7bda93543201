"""The shapes that remembered numbers have: histograms, their bounds, and the newest runs."""

import math
from array import array
from bisect import bisect_left
from collections.abc import Iterator, Sequence

DURATION_BOUNDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
TTFT_BOUNDS = (
    0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0, 20.0, 40.0, 80.0, 160.0,
)  # fmt: skip
INTER_CHUNK_BOUNDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.5, 0.75, 1.0, 2.5, 5.0)
LAG_BOUNDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)

#: How many results a probe keeps for the page; failures apart, so that successes do not push them out.
RECENT = 10


class Histogram:
    """Cumulative-on-render histogram: `counts` has one slot per bound and one for +Inf."""

    __slots__ = ("bounds", "counts", "exemplars", "sum")

    def __init__(self, bounds: Sequence[float]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.sum = 0.0
        #: Per slot, the newest (trace id, value, Unix time); None until one came.
        self.exemplars: list[tuple[str, float, float] | None] | None = None

    @property
    def count(self) -> int:
        """Observations so far."""
        return sum(self.counts)

    def observe(self, value: float, trace_id: str = "", at: float = 0.0) -> None:
        """Count one value; `trace_id` makes it its bucket's exemplar."""
        slot = bisect_left(self.bounds, value)
        self.counts[slot] += 1
        self.sum += value
        if trace_id:
            if self.exemplars is None:
                self.exemplars = [None] * len(self.counts)
            self.exemplars[slot] = (trace_id, value, at)


class Recent:
    """The newest healthy runs: (Unix time, seconds) pairs, a few bytes each."""

    __slots__ = ("_numbers",)

    def __init__(self) -> None:
        self._numbers = array("d")

    def __len__(self) -> int:
        return len(self._numbers) // 2

    def __iter__(self) -> Iterator[tuple[float, float]]:
        return zip(self._numbers[::2], self._numbers[1::2], strict=True)

    def add(self, at: float, duration: float | None) -> None:
        """Keep one more; the oldest beyond RECENT goes. An unknown duration is NaN."""
        self._numbers.extend((at, math.nan if duration is None else duration))
        del self._numbers[: -2 * RECENT]


class Bounds:
    """Histogram bounds in force."""

    __slots__ = ("duration", "inter_chunk", "ttft")

    def __init__(
        self,
        duration: Sequence[float] = DURATION_BOUNDS,
        ttft: Sequence[float] = TTFT_BOUNDS,
        inter_chunk: Sequence[float] = INTER_CHUNK_BOUNDS,
    ) -> None:
        self.duration = tuple(duration)
        self.ttft = tuple(ttft)
        self.inter_chunk = tuple(inter_chunk)
