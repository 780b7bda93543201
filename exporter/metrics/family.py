"""How a metric is declared, and how a record's share of it becomes lines. `wire` has the same shapes for protobuf.

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
from exporter.metrics import wire
from exporter.metrics.text import END, MARK, Type, pairs
from exporter.metrics.wire import Key, One, Wire
from exporter.model.job import Kind

__all__ = [
    "Family",
    "Key",
    "Rows",
    "Shape",
    "Slot",
    "closed",
    "histogram",
    "histograms",
    "info",
    "rare",
    "value",
    "values",
]

_EXEMPLAR = ' # {trace_id="%s"} %.6g %.3f'


def _spec(name: str) -> str:
    """How numbers are written. Times are measured and have 17 digits, of which formatting makes several times the work
    of 12; 14 are a tenth of a millisecond of a time of day. Other numbers are whole, or written as they are.
    """
    name = name.removesuffix("_total")
    return "%.14g" if name.endswith("_timestamp_seconds") else "%.12g" if name.endswith("_seconds") else "%s"


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


class Shape(NamedTuple):
    """`text` makes a family's slot from its name and its own labels, `wire` its share of protobuf."""

    text: Callable[[str, tuple[str, ...]], Slot]
    wire: Wire | One


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
        return self.shape.text(self.name, self.labels)


def value(read: Callable[[Any], float | None]) -> Shape:
    """One series; none while `read` gives None. Numbers are finite."""

    def text(name: str, _: tuple[str, ...]) -> Slot:
        return Slot(f"{name}{{{MARK}}} {_spec(name)}\n", read)

    return Shape(text, One(read))


def rare(read: Callable[[Any], float | None]) -> Shape:
    """As `value`, where most rows have none: a line that is rarely there is no part of the template."""

    def text(name: str, _: tuple[str, ...]) -> Slot:
        template = f"{name}{{{MARK}}} {_spec(name)}\n"

        def line(record: Any) -> str:
            found = read(record)
            return "" if found is None else template % found

        return Slot("%s", line)

    return Shape(text, One(read))


def closed(keys: Iterable[Key], read: Callable[[Any], Iterable[float]]) -> Shape:
    """A series for each of `keys`; `read` gives their numbers in the same order."""
    keys = tuple(keys)

    def text(name: str, names: tuple[str, ...]) -> Slot:
        lines = "".join(f"{name}{{{MARK},{_own(names, key)}}} {_spec(name)}\n" for key in keys)
        return Slot("%s", lambda record: lines % tuple(read(record)))

    return Shape(text, wire.closed(keys, read))


def values(read: Callable[[Any], Mapping[Any, float | str]]) -> Shape:
    """A series for each key of what `read` gives. Numbers are finite, or text already."""

    def text(name: str, names: tuple[str, ...]) -> Slot:
        # Keys come from closed sets or the config: the few combinations there are stay prepared.
        @lru_cache(maxsize=256)
        def template(keys: tuple[Key, ...]) -> str:
            labels = [_own(names, key).replace("%", "%%") for key in keys]
            return "".join(f"{name}{{{MARK},{own}}} {_spec(name)}\n" for own in labels)

        def lines(record: Any) -> str:
            found = read(record)
            return template(tuple(found)) % tuple(found.values()) if found else ""

        return Slot("%s", lines)

    return Shape(text, wire.values(read))


def info(read: Callable[[Any], Iterable[tuple[str, str]]]) -> Shape:
    """One series of value 1 whose own labels are what `read` gives, at least one: text, of which the newest lives."""

    def text(name: str, _: tuple[str, ...]) -> Slot:
        return Slot("%s", lambda record: f"{name}{{{MARK},{_unmarked(pairs(read(record)))}}} 1\n")

    return Shape(text, wire.info(read))


def histogram(read: Callable[[Any], Histogram]) -> Shape:
    """A classic histogram. Exemplars stand on the buckets they fell into."""

    def text(name: str, _: tuple[str, ...]) -> Slot:
        lines = _HistogramLines(name, MARK)
        return Slot("%s", lambda record: lines.of(read(record)))

    return Shape(text, wire.histogram(read))


def histograms(read: Callable[[Any], Iterable[tuple[Key, Histogram]]]) -> Shape:
    """A histogram for each key that `read` gives; keys are of a closed set."""

    def text(name: str, names: tuple[str, ...]) -> Slot:
        @lru_cache(maxsize=64)
        def lines(key: Key) -> _HistogramLines:
            return _HistogramLines(name, f"{MARK},{_own(names, key)}")

        return Slot("%s", lambda record: "".join([lines(key).of(found) for key, found in read(record)]))

    return Shape(text, wire.histograms(read))


def _own(names: tuple[str, ...], key: Key) -> str:
    """A family's own labels for a key."""
    parts = (key,) if isinstance(key, str) else key
    return _unmarked(pairs(zip(names, map(str, parts), strict=True)))


def _unmarked(text: str) -> str:
    return text.replace(MARK, "\ufffd").replace(END, "\ufffd")


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
        self._spotted = f"{buckets}{name}_sum{{{labels}}} %.12g\n{name}_count{{{labels}}} %d\n"
        self._plain = self._spotted.replace("%d%s\n", "%d\n")
        self._bounds = bounds
