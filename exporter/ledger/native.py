"""Counts of a native (exponential) histogram, as Prometheus defines it.

A bucket with index i of schema s holds (2**((i-1) / 2**s), 2**(i / 2**s)], the upper edge included. What is at most
ZERO_THRESHOLD counts as zero. Source: https://prometheus.io/docs/specs/native_histograms/.
"""

from bisect import bisect_left
from math import frexp
from typing import Final

#: Buckets per doubling are 2**SCHEMA: neighbours are 9 % apart, so a quantile is off by at most 4.5 %.
SCHEMA: Final = 3
#: The coarsest schema there is: each bucket is 65,536 times as wide as the one before.
COARSEST: Final = -4
#: Buckets a histogram has at most; one more, and neighbours are joined. 160 of SCHEMA span six powers of ten.
MOST_BUCKETS: Final = 160
#: Seconds, about a microsecond: an edge in every schema down to -2, and finer than anything that is timed here.
ZERO_THRESHOLD: Final = 2.0**-20

#: For each schema above 0 the inner edges between 0.5 and 1.
_EDGES = {schema: tuple(2.0 ** (step / 2**schema - 1) for step in range(2**schema)) for schema in range(1, SCHEMA + 1)}


class Native:
    """Observations by bucket index. Values are seconds, finite and not below zero."""

    __slots__ = ("alone", "buckets", "schema", "zero")

    def __init__(self, *, alone: bool) -> None:
        #: Whether it stands instead of the classic buckets wherever it can be shown at all.
        self.alone = alone
        self.schema = SCHEMA
        self.buckets: dict[int, int] = {}
        self.zero = 0

    def observe(self, value: float) -> None:
        """Count one value; when that makes too many buckets, resolution is halved until they are few enough."""
        if value <= ZERO_THRESHOLD:
            self.zero += 1
            return
        at = index(value, self.schema)
        self.buckets[at] = self.buckets.get(at, 0) + 1
        while len(self.buckets) > MOST_BUCKETS and self.schema > COARSEST:
            self._coarsen()

    def _coarsen(self) -> None:
        joined: dict[int, int] = {}
        for at, count in self.buckets.items():
            half = (at + 1) >> 1
            joined[half] = joined.get(half, 0) + count
        self.buckets = joined
        self.schema -= 1


def index(value: float, schema: int) -> int:
    """The bucket of a value above zero."""
    fraction, exponent = frexp(value)  # fraction in [0.5, 1)
    if schema > 0:
        edges = _EDGES[schema]
        return bisect_left(edges, fraction) + (exponent - 1) * len(edges)
    if fraction == 0.5:
        exponent -= 1
    return (exponent + (1 << -schema) - 1) >> -schema
