"""How a metric is declared, and how a record's share of it becomes lines.

A shape gives a family a template with one gap, and what fills it: a number, or lines made before. MARK stands for the
labels until the numbers are in, so that labels are never taken for a part of a template.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from functools import lru_cache
from itertools import accumulate
from typing import Any, NamedTuple

from exporter.ledger import Histogram
from exporter.metrics.text import MARK, Type, pairs
from exporter.model.job import Kind

Key = str | tuple[str, ...]

_EXEMPLAR = ' # {trace_id="%s"} %.6g %.3f'


class Rows(StrEnum):
    """What a family has series for: a target, all replicas of a target together, a probe of some kinds, or a training
    job.
    """

    TARGET = "target"
    REPLICAS = "replicas"
    PROBE = "probe"
    CANARY = "canary"
    COSTLY = "costly"  #: a canary, or an evaluation
    STREAM = "stream"
    TRAINING = "training"

    def holds(self, kind: Kind) -> bool:
        """Whether a probe of this kind has these series."""
        if self is Rows.PROBE:
            return True
        if self is Rows.COSTLY:
            return kind.canary or kind is Kind.EVALUATE
        return (self is Rows.STREAM and kind is Kind.STREAM) or (self is Rows.CANARY and kind.canary)


class Slot(NamedTuple):
    """`template` has one `%s`; `read` gives what stands there. None leaves the line out."""

    template: str
    read: Callable[[Any], float | str | None]


#: Makes a family's slot from its name and its own labels.
Shape = Callable[[str, tuple[str, ...]], Slot]


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """One metric of watched targets.

    `labels` are its own; `target`, `model`, the operator's labels and, unless `rows` is TARGET, `probe` stand before
    them; those of a training job have `training` alone there. `series` is how many a healthy row has over HTTPS.
    `on_demand`: one run alone says something (for /probe).
    """

    name: str
    type: Type
    help: str
    group: int  #: one bit of ledger.Dirty
    rows: Rows
    shape: Shape = field(repr=False)
    labels: tuple[str, ...] = ()
    series: int = 1
    on_demand: bool = False
    needs: str = ""  #: the attribute of a row that these series are of; while that is none or empty there are none

    def slot(self) -> Slot:
        """The template of this family's lines and what fills it."""
        return self.shape(self.name, self.labels)


def value(read: Callable[[Any], float | None]) -> Shape:
    """One series; none while `read` gives None. Numbers are finite."""

    def shape(name: str, _: tuple[str, ...]) -> Slot:
        return Slot(f"{name}{{{MARK}}} %s\n", read)

    return shape


def rare(read: Callable[[Any], float | None]) -> Shape:
    """As `value`, where most rows have none: taking a line out of a template costs more than leaving it out of it."""

    def shape(name: str, _: tuple[str, ...]) -> Slot:
        def line(record: Any) -> str:
            found = read(record)
            return "" if found is None else f"{name}{{{MARK}}} {found}\n"

        return Slot("%s", line)

    return shape


def closed(keys: Iterable[Key], read: Callable[[Any], Iterable[float]]) -> Shape:
    """A series for each of `keys`; `read` gives their numbers in the same order."""
    keys = tuple(keys)

    def shape(name: str, names: tuple[str, ...]) -> Slot:
        text = "".join(f"{name}{{{MARK},{_own(names, key)}}} %s\n" for key in keys)
        return Slot("%s", lambda record: text % tuple(read(record)))

    return shape


def values(read: Callable[[Any], Mapping[Any, float | str]]) -> Shape:
    """A series for each key of what `read` gives. Numbers are finite, or text already."""

    def shape(name: str, names: tuple[str, ...]) -> Slot:
        # Keys come from closed sets or the config: the few combinations there are stay prepared.
        @lru_cache(maxsize=256)
        def text(keys: tuple[Key, ...]) -> str:
            return "".join(f"{name}{{{MARK},{_own(names, key).replace('%', '%%')}}} %s\n" for key in keys)

        def lines(record: Any) -> str:
            found = read(record)
            return text(tuple(found)) % tuple(found.values()) if found else ""

        return Slot("%s", lines)

    return shape


def info(read: Callable[[Any], Iterable[tuple[str, str]]]) -> Shape:
    """One series of value 1 whose own labels are what `read` gives, at least one: text, of which the newest lives."""

    def shape(name: str, _: tuple[str, ...]) -> Slot:
        return Slot("%s", lambda record: f"{name}{{{MARK},{_unmarked(pairs(read(record)))}}} 1\n")

    return shape


def histogram(read: Callable[[Any], Histogram]) -> Shape:
    """A classic histogram. Exemplars stand on the buckets they fell into."""

    def shape(name: str, _: tuple[str, ...]) -> Slot:
        lines = _HistogramLines(name, MARK)
        return Slot("%s", lambda record: lines.of(read(record)))

    return shape


def histograms(read: Callable[[Any], Iterable[tuple[Key, Histogram]]]) -> Shape:
    """A histogram for each key that `read` gives; keys are of a closed set."""

    def shape(name: str, names: tuple[str, ...]) -> Slot:
        @lru_cache(maxsize=64)
        def lines(key: Key) -> _HistogramLines:
            return _HistogramLines(name, f"{MARK},{_own(names, key)}")

        return Slot("%s", lambda record: "".join([lines(key).of(found) for key, found in read(record)]))

    return shape


def _own(names: tuple[str, ...], key: Key) -> str:
    """A family's own labels for a key."""
    parts = (key,) if isinstance(key, str) else key
    return _unmarked(pairs(zip(names, map(str, parts), strict=True)))


def _unmarked(text: str) -> str:
    return text.replace(MARK, "\ufffd")


class _HistogramLines:
    """Lines of one histogram. The template of the bounds seen last is kept: records rarely have others."""

    __slots__ = ("_bounds", "_labels", "_name", "_plain", "_spotted")

    def __init__(self, name: str, labels: str) -> None:
        self._name = name
        self._labels = labels
        self._bounds: Sequence[float] | None = None
        self._plain = self._spotted = ""

    def of(self, found: Histogram) -> str:
        if found.bounds is not self._bounds and found.bounds != self._bounds:
            self._prepare(found.bounds)
        counts = list(accumulate(found.counts))
        if found.exemplars is None:
            return self._plain % (*counts, found.sum, counts[-1])
        spots: list[int | str] = [""] * (2 * len(counts))
        spots[::2] = counts
        for position, exemplar in enumerate(found.exemplars):
            if exemplar:
                spots[2 * position + 1] = _EXEMPLAR % exemplar
        return self._spotted % (*spots, found.sum, counts[-1])

    def _prepare(self, bounds: Sequence[float]) -> None:
        edges = [*(str(float(bound)) for bound in bounds), "+Inf"]
        name, labels = self._name, self._labels
        buckets = "".join(f'{name}_bucket{{{labels},le="{edge}"}} %d%s\n' for edge in edges)
        self._spotted = f"{buckets}{name}_sum{{{labels}}} %s\n{name}_count{{{labels}}} %d\n"
        self._plain = self._spotted.replace("%d%s\n", "%d\n")
        self._bounds = bounds
