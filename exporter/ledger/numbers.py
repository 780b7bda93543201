"""The shapes that remembered numbers have: histograms, their bounds, and the newest runs."""

import math
import struct
from array import array
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from enum import StrEnum
from typing import NamedTuple

from exporter.ledger.native import Native

DURATION_BOUNDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
TTFT_BOUNDS = (
    0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0, 20.0, 40.0, 80.0, 160.0,
)  # fmt: skip
INTER_CHUNK_BOUNDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.5, 0.75, 1.0, 2.5, 5.0)
LAG_BOUNDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)

#: Healthy runs in a row that a gate may ask for.
RECENT = 10
#: How many healthy runs a probe keeps, a few numbers each, and how many failures, apart from them so that they are not
#: pushed out. Failures in a row that are alike count as one.
RECENT_GOOD = 20
RECENT_BAD = 30


class Form(StrEnum):
    """Which buckets the histograms of watched targets have. Only protobuf can carry native ones."""

    CLASSIC = "classic"
    NATIVE = "native"
    BOTH = "both"


class Histogram:
    """Cumulative-on-render histogram: `counts` has one slot per bound and one for +Inf."""

    __slots__ = ("bounds", "counts", "exemplars", "native", "sum")

    def __init__(self, bounds: Sequence[float], form: Form = Form.CLASSIC) -> None:
        self.bounds = bounds
        #: Counts by exponential buckets; None unless asked for. The others are kept all the same, for text.
        self.native = None if form is Form.CLASSIC else Native(alone=form is Form.NATIVE)
        self.counts = [0] * (len(bounds) + 1)
        self.sum = 0.0
        #: Per slot, the newest (trace id in ASCII, value, Unix time); None until one came.
        self.exemplars: list[tuple[bytes, float, float] | None] | None = None

    @property
    def count(self) -> int:
        """Observations so far."""
        return sum(self.counts)

    def observe(self, value: float, trace_id: str = "", at: float = 0.0) -> None:
        """Count one value; `trace_id` makes it its bucket's exemplar."""
        slot = bisect_left(self.bounds, value)
        self.counts[slot] += 1
        self.sum += value
        if self.native is not None:
            self.native.observe(value)
        if trace_id:
            if self.exemplars is None:
                self.exemplars = [None] * len(self.counts)
            self.exemplars[slot] = (trace_id.encode(), value, at)


#: In a third of the time that an array takes to look at numbers one by one.
_RUN = struct.Struct("3d").pack


class Good(NamedTuple):
    """One healthy run: when it began, Unix time, and the seconds that the answer and its first token took."""

    began: float
    duration: float | None
    ttft: float | None


class Recent:
    """The newest healthy runs, a few bytes each."""

    __slots__ = ("_numbers", "_ttft")

    def __init__(self) -> None:
        #: Of each run its end, the seconds that its answer took, and those that the whole run took.
        self._numbers = array("d")
        #: Of the newest runs the seconds to the first token; None until there was one.
        self._ttft: array[float] | None = None

    def __len__(self) -> int:
        return len(self._numbers) // 3

    def __iter__(self) -> Iterator[tuple[float, float]]:
        """(Unix time, seconds) pairs, oldest first; seconds are NaN where they are not known."""
        return zip(self._numbers[::3], self._numbers[1::3], strict=True)

    def add(
        self, at: float, duration: float | None, took: float = 0.0, ttft: float | None = None, keep: int = RECENT_GOOD
    ) -> None:
        """Keep one more, which ended at `at`; the oldest beyond `keep` goes."""
        self._numbers.frombytes(_RUN(at, math.nan if duration is None else duration, took))
        del self._numbers[: -3 * keep]
        if self._ttft is None and ttft is not None:
            self._ttft = array("d")
        if self._ttft is not None:
            self._ttft.append(math.nan if ttft is None else ttft)
            del self._ttft[:-keep]

    def newest(self, count: int) -> Iterator[Good]:
        """At most so many of them, the newest first."""
        first_tokens = self._ttft or ()
        for back in range(1, min(count, len(self)) + 1):
            at, duration, took = self._numbers[-3 * back : len(self._numbers) - 3 * (back - 1)]
            ttft = first_tokens[-back] if back <= len(first_tokens) else math.nan
            yield Good(at - took, None if math.isnan(duration) else duration, None if math.isnan(ttft) else ttft)


class Bounds:
    """Histogram bounds in force, and which buckets there are beside or instead of theirs."""

    __slots__ = ("duration", "form", "inter_chunk", "ttft")

    def __init__(
        self,
        duration: Sequence[float] = DURATION_BOUNDS,
        ttft: Sequence[float] = TTFT_BOUNDS,
        inter_chunk: Sequence[float] = INTER_CHUNK_BOUNDS,
        form: Form = Form.CLASSIC,
    ) -> None:
        self.form = form
        self.duration = tuple(duration)
        self.ttft = tuple(ttft)
        self.inter_chunk = tuple(inter_chunk)
