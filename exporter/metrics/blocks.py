"""One bytes block per (family, target), rendered again only when its group of numbers changed.

No text is kept per series: a family has a template, a target its labels, escaped and encoded.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby, repeat
from operator import attrgetter, itemgetter, mod
from typing import Any

from exporter.ledger import Dirty, ProbeRecord, TargetRecord
from exporter.metrics import lines, protobuf, wire
from exporter.metrics.family import Family, Rows
from exporter.metrics.protobuf import double
from exporter.metrics.text import Type, pairs
from exporter.metrics.wire import Block, One
from exporter.model.job import Kind

_CLEAN = 0

Blocks = tuple[bytes, ...]
#: Of families with one number each, what was read; None where there is none.
_Numbers = list[float | None]


class Filler(ABC):
    """All families that one kind of row has, made ready; None in their place stands for no series.

    First come those of one number, which are written together, without steps of the interpreter for each; then those
    with blocks of their own; then those of a part that most rows have not. At the end they are put in order.
    """

    __slots__ = ("_blocks", "_ordered", "_parts", "_reads")

    def __init__(self, families: Iterable[Family | None]) -> None:
        families = list(families)
        known = [(place, family) for place, family in enumerate(families) if family is not None]
        ones = [(place, family) for place, family in known if not family.needs and self._single(family)]
        wide = [(place, family) for place, family in known if not family.needs and not self._single(family)]
        rest = [(place, family) for place, family in known if family.needs]
        self._reads = self._numbers([family for _, family in ones])
        self._blocks = [self._block(family) for _, family in wide]
        #: What the row must have, the blocks of that, and what stands for them while it has not.
        self._parts: list[tuple[Callable[[Any], object], list[Block], list[bytes]]] = []
        for needs, some in groupby(rest, lambda item: item[1].needs):
            blocks = [self._block(family) for _, family in some]
            self._parts.append((attrgetter(needs), blocks, [b""] * len(blocks)))
        at = {place: number for number, (place, _) in enumerate((*ones, *wide, *rest))}
        self._ordered = _picker([at.get(place, -1) for place in range(len(families))])

    def fill(self, labels: bytes, record: Any) -> tuple[Blocks, int]:
        """A block per family, and how many samples these have."""
        numbers = [read(record) for read in self._reads]
        found = self._write(labels, numbers)
        samples = len(numbers) - numbers.count(None)
        for block in self._blocks:
            made, count = block(labels, record)
            found.append(made)
            samples += count
        for part, blocks, nothing in self._parts:
            if part(record):
                for block in blocks:
                    made, count = block(labels, record)
                    found.append(made)
                    samples += count
            else:
                found += nothing
        found.append(b"")  # of a family without series
        return self._ordered(found), samples

    @abstractmethod
    def _single(self, family: Family) -> bool:
        """Whether a family has but one number."""

    @abstractmethod
    def _numbers(self, families: list[Family]) -> list[Callable[[Any], float | None]]:
        """Make ready to write families of one number each, and tell how these are read."""

    @abstractmethod
    def _write(self, labels: bytes, numbers: _Numbers) -> list[bytes]:
        """Their blocks."""

    @abstractmethod
    def _block(self, family: Family) -> Block:
        """What makes the block of any other family."""


def _picker(places: list[int]) -> Callable[[list[bytes]], Blocks]:
    if len(places) > 1:
        return itemgetter(*places)
    return lambda found: tuple(found[place] for place in places)


class Lines(Filler):
    """The families as text."""

    __slots__ = ("_templates",)

    def _single(self, family: Family) -> bool:
        return isinstance(family.shape.text, One)

    def _numbers(self, families: list[Family]) -> list[Callable[[Any], float | None]]:
        ones = [(family.name, family.shape.text) for family in families if isinstance(family.shape.text, One)]
        self._templates = [lines.one(name, whole=one.whole) for name, one in ones]
        return [one.read for _, one in ones]

    def _write(self, labels: bytes, numbers: _Numbers) -> list[bytes]:
        if None in numbers:
            each = zip(self._templates, numbers, strict=True)
            return [b"" if number is None else template % (labels, number) for template, number in each]
        return list(map(mod, self._templates, zip(repeat(labels), numbers)))

    def _block(self, family: Family) -> Block:
        shape = family.shape.text
        return lines.alone(family.name, shape) if isinstance(shape, One) else shape(family.name, family.labels)


class Metrics(Filler):
    """The families in protobuf, where a number is eight bytes and needs no formatting."""

    __slots__ = ("_counters",)

    def _single(self, family: Family) -> bool:
        return isinstance(family.shape.wire, One)

    def _numbers(self, families: list[Family]) -> list[Callable[[Any], float | None]]:
        self._counters = [family.type is Type.COUNTER for family in families]
        return [family.shape.wire.read for family in families if isinstance(family.shape.wire, One)]

    def _write(self, labels: bytes, numbers: _Numbers) -> list[bytes]:
        heads = protobuf.single(labels)
        each = zip(self._counters, numbers, strict=True)
        return [b"" if number is None else heads[counter] + double(number) for counter, number in each]

    def _block(self, family: Family) -> Block:
        shape = family.shape.wire
        return wire.alone(family.type, shape) if isinstance(shape, One) else shape(family.type, family.labels)


@dataclass(frozen=True, slots=True)
class Encoding:
    """How blocks are written. `number` is the place among what is kept of a target, `between` stands between labels."""

    number: int
    filler: type[Filler]
    pairs: Callable[[Iterable[tuple[str, str]]], bytes]
    between: bytes


#: Of both formats of text, which have the same sample lines.
TEXT = Encoding(0, Lines, lambda labels: pairs(labels).encode(), b",")
PROTOBUF = Encoding(1, Metrics, protobuf.pairs, b"")
ENCODINGS = (TEXT, PROTOBUF)


@dataclass(frozen=True, slots=True)
class Group:
    """Families that change together: first those of a target, then those of its probes."""

    dirty: int
    families: tuple[Family, ...]
    target: Filler
    probes: dict[Kind, Filler]

    def render(self, record: TargetRecord, kept: "Rendered") -> tuple[Blocks, int]:
        """A block per family, empty where it has no series; and how many samples there are."""
        blocks, samples = self.target.fill(kept.labels, record)
        parts = []
        for labels, probe in kept.probes:
            part, more = self.probes[probe.job.kind].fill(labels, probe)
            parts.append(part)
            samples += more
        if len(parts) == 1:
            return blocks + parts[0], samples
        return (*blocks, *map(b"".join, zip(*parts, strict=True))), samples


def grouped(families: Iterable[Family], encoding: Encoding) -> tuple[Group, ...]:
    """The groups in the order a scrape shows them: what says most to a reader first."""
    families = tuple(families)
    make = encoding.filler
    found = []
    for dirty in (Dirty.CHANGE, Dirty.RUN, Dirty.STATIC):
        chosen = [family for family in families if family.group == dirty]
        of_target = [family for family in chosen if family.rows is Rows.TARGET]
        of_probe = [family for family in chosen if family.rows is not Rows.TARGET]
        probes = {kind: make(family if family.rows.holds(kind) else None for family in of_probe) for kind in Kind}
        found.append(Group(dirty, (*of_target, *of_probe), make(of_target), probes))
    return tuple(found)


class Rendered:
    """What is kept of a target in one encoding between scrapes: its labels, and for each group a block tuple and the
    number of its samples. The tuples are replaced and never changed, so a snapshot may go on holding them.
    """

    __slots__ = ("blocks", "labels", "probes", "samples", "stale")

    def __init__(self, record: TargetRecord, encoding: Encoding) -> None:
        target = record.target
        address = (("address", target.address),) if target.address else ()
        self.labels = encoding.pairs(
            (("target", target.title), ("model", target.model), *target.labels.items(), *address)
        )
        self.probes: list[tuple[bytes, ProbeRecord]] = [
            (self.labels + encoding.between + encoding.pairs((("probe", name),)), probe)
            for name, probe in record.probes.items()
        ]
        self.blocks: list[Blocks] = [(), (), ()]
        self.samples = [0, 0, 0]
        self.stale: int = Dirty.ALL


def refresh(record: TargetRecord, groups: Sequence[Group], encoding: Encoding = TEXT) -> Rendered:
    """What a target has to show; changed groups are rendered now. `groups` are those of the encoding."""
    every: list[Rendered | None] | None = record.rendered
    if every is None:
        every = record.rendered = [None] * len(ENCODINGS)
    if record.dirty:
        for other in every:
            if other is not None:
                other.stale |= record.dirty
        record.dirty = _CLEAN
    kept = every[encoding.number]
    if kept is None:
        kept = every[encoding.number] = Rendered(record, encoding)
    if kept.stale:
        for position, group in enumerate(groups):
            if kept.stale & group.dirty:
                kept.blocks[position], kept.samples[position] = group.render(record, kept)
        kept.stale = _CLEAN
    return kept
