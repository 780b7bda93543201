"""One bytes block per (family, target), rendered again only when its group of numbers changed.

No text is kept per series: a family has a template, a target its escaped label string. The families of a record are
filled in as one text and cut apart, which is several times cheaper than formatting them one by one. In protobuf a
number is eight bytes and needs no formatting, so there they are made one by one.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import groupby
from operator import attrgetter
from typing import Any, Protocol

from exporter.ledger import Dirty, ProbeRecord, TargetRecord
from exporter.metrics import protobuf
from exporter.metrics.family import Family, Rows
from exporter.metrics.protobuf import double
from exporter.metrics.text import END, MARK, Type, pairs
from exporter.metrics.wire import Block, One
from exporter.model.job import Kind

_BREAK = END.encode()

_CLEAN = 0


class Filler(Protocol):
    """All families that one kind of row has, made ready; None in their place stands for no series."""

    def __init__(self, families: Iterable[Family | None]) -> None: ...

    def fill(self, labels: Any, record: Any) -> tuple[list[bytes], int]:
        """A block per family, and how many samples these have."""


class _Lines:
    """Families next to each other as one text with gaps."""

    __slots__ = ("_head", "_pieces", "_reads", "_whole", "_without")

    def __init__(self, families: Iterable[Family | None]) -> None:
        self._head = ""
        self._reads: list[Callable[[Any], object]] = []
        #: What `_reads` fill, each with the ends that follow.
        self._pieces: list[tuple[str, str]] = []
        for family in families:
            if family is not None:
                slot = family.slot()
                self._reads.append(slot.read)
                self._pieces.append((slot.template, END))
            elif self._pieces:
                template, ends = self._pieces[-1]
                self._pieces[-1] = template, ends + END
            else:
                self._head += END
        #: The text without some of the pieces. Which numbers there are not is mostly the same from run to run.
        self._without = lru_cache(maxsize=64)(self._text)
        self._whole = self._text(())

    def _text(self, missing: tuple[int, ...]) -> str:
        pieces = enumerate(self._pieces)
        return self._head + "".join([ends if at in missing else template + ends for at, (template, ends) in pieces])

    def of(self, record: Any) -> str:
        """A record's lines, MARK in place of the labels; those without a number are left out."""
        found = [read(record) for read in self._reads]
        if None not in found:
            return self._whole % tuple(found)
        missing = tuple([at for at, number in enumerate(found) if number is None])
        return self._without(missing) % tuple([number for number in found if number is not None])


class Template:
    """The families as one text."""

    __slots__ = ("_sections",)

    def __init__(self, families: Iterable[Family | None]) -> None:
        #: What families next to each other need, their lines, and what there is where it is missing.
        self._sections: list[tuple[Callable[[Any], object] | None, Callable[[Any], str], str]] = []
        for needs, some in groupby(families, _needs):
            chosen = list(some)
            self._sections.append((attrgetter(needs) if needs else None, _Lines(chosen).of, END * len(chosen)))

    def fill(self, labels: str, record: Any) -> tuple[list[bytes], int]:
        """A block per family, and how many samples these have."""
        text = ""
        for part, lines, empty in self._sections:
            text += empty if part is not None and not part(record) else lines(record)
        full = text.replace(MARK, labels)
        if END in labels:
            blocks = [lines.replace(MARK, labels).encode() for lines in text.split(END)]
        else:
            blocks = full.encode().split(_BREAK)
        blocks.pop()
        # Each sample has the mark once, so the growth tells how many there are: counting lines costs as much as a join.
        return blocks, (len(full) - len(text)) // (len(labels) - len(MARK))


def _needs(family: Family | None) -> str:
    return family.needs if family else ""


class WireTemplate:
    """The families in protobuf."""

    __slots__ = ("_sections",)

    def __init__(self, families: Iterable[Family | None]) -> None:
        #: What families next to each other need; of each whether it is a counter, and how its one number is read, or
        #: else its block, or nothing where it has no series; and as many empty blocks.
        self._sections: list[tuple[Callable[[Any], object] | None, list[_Share], list[bytes]]] = []
        for needs, chosen in groupby(families, _needs):
            shares = [_share(family) for family in chosen]
            self._sections.append((attrgetter(needs) if needs else None, shares, [b""] * len(shares)))

    def fill(self, labels: bytes, record: Any) -> tuple[list[bytes], int]:
        """A block per family, and how many samples these have."""
        found: list[bytes] = []
        samples = 0
        heads = protobuf.single(labels)
        for part, shares, empty in self._sections:
            if part is not None and not part(record):
                found += empty
                continue
            for counter, read, block in shares:
                if read is not None:
                    number = read(record)
                    found.append(b"" if number is None else heads[counter] + double(number))
                    samples += number is not None
                elif block is not None:
                    metrics, count = block(labels, record)
                    found.append(metrics)
                    samples += count
                else:
                    found.append(b"")
        return found, samples


_Share = tuple[bool, Callable[[Any], float | None] | None, Block | None]


def _share(family: Family | None) -> _Share:
    if family is None:
        return False, None, None
    shape = family.shape.wire
    if isinstance(shape, One):
        return family.type is Type.COUNTER, shape.read, None
    return False, None, shape(family.type, family.labels)


@dataclass(frozen=True, slots=True)
class Encoding:
    """How blocks are written. `number` is the place among what is kept of a target, `between` stands between labels."""

    number: int
    filler: type[Filler]
    pairs: Callable[[Iterable[tuple[str, str]]], Any]
    between: Any


#: Of both formats of text, which have the same sample lines.
TEXT = Encoding(0, Template, pairs, ",")
PROTOBUF = Encoding(1, WireTemplate, protobuf.pairs, b"")
ENCODINGS = (TEXT, PROTOBUF)


@dataclass(frozen=True, slots=True)
class Group:
    """Families that change together: first those of a target, then those of its probes."""

    dirty: int
    families: tuple[Family, ...]
    target: Filler
    probes: dict[Kind, Filler]

    def render(self, record: TargetRecord, kept: "Rendered") -> tuple[tuple[bytes, ...], int]:
        """A block per family, empty where it has no series; and how many samples there are."""
        blocks, samples = self.target.fill(kept.labels, record)
        parts = []
        for labels, probe in kept.probes:
            part, more = self.probes[probe.job.kind].fill(labels, probe)
            parts.append(part)
            samples += more
        return (*blocks, *(parts[0] if len(parts) == 1 else map(b"".join, zip(*parts, strict=True)))), samples


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
        self.probes: list[tuple[Any, ProbeRecord]] = [
            (self.labels + encoding.between + encoding.pairs((("probe", name),)), probe)
            for name, probe in record.probes.items()
        ]
        self.blocks: list[tuple[bytes, ...]] = [(), (), ()]
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
