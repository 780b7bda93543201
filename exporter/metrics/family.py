"""How a metric is declared: a family has a shape, which `lines` makes text of and `wire` protobuf."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, NamedTuple

from exporter.ledger import Histogram
from exporter.metrics import lines, wire
from exporter.metrics.lines import Lines
from exporter.metrics.text import Type
from exporter.metrics.wire import Key, One, Wire
from exporter.model.job import Kind

__all__ = ["Family", "Key", "Rows", "Shape", "closed", "count", "histogram", "histograms", "info", "value", "values"]


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


class Shape(NamedTuple):
    """`text` makes a family's block of lines, `wire` that of protobuf; or both say how its one number is read."""

    text: Lines | One
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


def value(read: Callable[[Any], float | None]) -> Shape:
    """One series; none while `read` gives None. Numbers are finite."""
    return Shape(One(read), One(read))


def count(read: Callable[[Any], int | None]) -> Shape:
    """As `value`, of whole numbers."""
    return Shape(One(read, whole=True), One(read))


def closed(keys: Iterable[Key], read: Callable[[Any], Iterable[float]]) -> Shape:
    """A series for each of `keys`; `read` gives their numbers in the same order."""
    keys = tuple(keys)
    return Shape(lines.closed(keys, read), wire.closed(keys, read))


def values(read: Callable[[Any], Mapping[Any, Any]], *, written: bool = False) -> Shape:
    """A series for each key of what `read` gives. Numbers are finite, or `written` already, as bytes."""
    return Shape(lines.values(read, "%b" if written else ""), wire.values(read))


def info(read: Callable[[Any], Iterable[tuple[str, str]]]) -> Shape:
    """One series of value 1 whose own labels are what `read` gives, at least one: text, of which the newest lives."""
    return Shape(lines.info(read), wire.info(read))


def histogram(read: Callable[[Any], Histogram]) -> Shape:
    """A classic histogram. Exemplars stand on the buckets they fell into."""
    return Shape(lines.histogram(read), wire.histogram(read))


def histograms(read: Callable[[Any], Iterable[tuple[Key, Histogram]]]) -> Shape:
    """A histogram for each key that `read` gives; keys are of a closed set."""
    return Shape(lines.histograms(read), wire.histograms(read))
