"""One bytes block per (family, target), rendered again only when its group of numbers changed.

No text is kept per series: a family has a template, a target its escaped label string. The families of a record are
filled in as one text and cut apart, which is several times cheaper than formatting them one by one.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby
from operator import attrgetter
from typing import Any

from exporter.ledger import Dirty, ProbeRecord, TargetRecord
from exporter.metrics.family import Family, Rows
from exporter.metrics.text import MARK, pairs
from exporter.model.job import Kind

#: Ends a family's lines. No line of ours ends in a space, so it occurs nowhere else.
_END = " \n"

#: Ends a line whose number there is none of. Looked for before labels are in, so no label value can look like it.
_NONE = " None\n"

_CLEAN = 0


class Template:
    """All families that one kind of row has, as one text; None leaves a place empty."""

    __slots__ = ("_reads", "_text")

    def __init__(self, families: Iterable[Family | None]) -> None:
        self._text = ""
        self._reads: list[Callable[[Any], object]] = []
        for needs, chosen in groupby(families, lambda family: family.needs if family else ""):
            slots = [family.slot() if family else None for family in chosen]
            text = "".join(f"{slot.template if slot else ''}{_END}" for slot in slots)
            reads = [slot.read for slot in slots if slot]
            if needs:
                text, reads = "%s", [_section(needs, text, reads, _END * len(slots))]
            self._text += text
            self._reads += reads

    def fill(self, labels: str, record: Any) -> tuple[list[bytes], int]:
        """A block per family, and how many samples these have."""
        text = self._text % tuple([read(record) for read in self._reads])
        end = 0
        while (end := text.find(_NONE, end)) >= 0:
            start = text.rfind("\n", 0, end) + 1
            text, end = text[:start] + text[end + len(_NONE) :], start
        full = text.replace(MARK, labels)
        blocks = full.encode().split(b" \n")
        blocks.pop()
        # Each sample has the mark once, so the growth tells how many there are: counting lines costs as much as a join.
        return blocks, (len(full) - len(text)) // (len(labels) - len(MARK))


def _section(needs: str, text: str, reads: Sequence[Callable[[Any], object]], nothing: str) -> Callable[[Any], str]:
    """Families that need the same part of a record: where it has none, that is all that is looked at."""
    part = attrgetter(needs)

    def fill(record: Any) -> str:
        return text % tuple([read(record) for read in reads]) if part(record) else nothing

    return fill


@dataclass(frozen=True, slots=True)
class Group:
    """Families that change together: first those of a target, then those of its probes."""

    dirty: int
    families: tuple[Family, ...]
    target: Template
    probes: dict[Kind, Template]

    def render(self, record: TargetRecord, kept: "Rendered") -> tuple[tuple[bytes, ...], int]:
        """A block per family, empty where it has no series; and how many samples there are."""
        blocks, samples = self.target.fill(kept.labels, record)
        parts = []
        for labels, probe in kept.probes:
            part, more = self.probes[probe.job.kind].fill(labels, probe)
            parts.append(part)
            samples += more
        return (*blocks, *(parts[0] if len(parts) == 1 else map(b"".join, zip(*parts, strict=True)))), samples


def grouped(families: Iterable[Family]) -> tuple[Group, ...]:
    """The groups in the order a scrape shows them: what says most to a reader first."""
    families = tuple(families)
    found = []
    for dirty in (Dirty.CHANGE, Dirty.RUN, Dirty.STATIC):
        chosen = [family for family in families if family.group == dirty]
        of_target = [family for family in chosen if family.rows is Rows.TARGET]
        of_probe = [family for family in chosen if family.rows is not Rows.TARGET]
        probes = {kind: Template(family if family.rows.holds(kind) else None for family in of_probe) for kind in Kind}
        found.append(Group(dirty, (*of_target, *of_probe), Template(of_target), probes))
    return tuple(found)


class Rendered:
    """What is kept of a target between scrapes: its label strings, and for each group a block tuple and the number of
    its samples. The tuples are replaced and never changed, so a snapshot may go on holding them.
    """

    __slots__ = ("blocks", "labels", "probes", "samples")

    def __init__(self, record: TargetRecord) -> None:
        target = record.target
        address = (("address", target.address),) if target.address else ()
        self.labels = pairs((("target", target.title), ("model", target.model), *target.labels.items(), *address))
        self.probes: list[tuple[str, ProbeRecord]] = [
            (f"{self.labels},{pairs([('probe', name)])}", probe) for name, probe in record.probes.items()
        ]
        self.blocks: list[tuple[bytes, ...]] = [(), (), ()]
        self.samples = [0, 0, 0]


def refresh(record: TargetRecord, groups: Sequence[Group]) -> Rendered:
    """What a target has to show; changed groups are rendered now."""
    kept: Rendered | None = record.rendered
    dirty = record.dirty
    if kept is None:
        kept = record.rendered = Rendered(record)
        dirty = Dirty.ALL
    if dirty:
        for position, group in enumerate(groups):
            if dirty & group.dirty:
                kept.blocks[position], kept.samples[position] = group.render(record, kept)
        record.dirty = _CLEAN
    return kept
