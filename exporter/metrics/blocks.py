"""One bytes block per (family, target), rendered again only when its group of numbers changed.

No text is kept per series: a family has a template, a target its escaped label string. The families of a record are
filled in as one text and cut apart, which is several times cheaper than formatting them one by one.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
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
        slots = [family.slot() if family else None for family in families]
        self._text = "".join(f"{slot.template if slot else ''}{_END}" for slot in slots)
        self._reads = [slot.read for slot in slots if slot]

    def fill(self, labels: str, record: Any) -> list[bytes]:
        """A block per family."""
        text = self._text % tuple([read(record) for read in self._reads])
        while (end := text.find(_NONE)) >= 0:
            text = text[: text.rfind("\n", 0, end) + 1] + text[end + len(_NONE) :]
        blocks = text.replace(MARK, labels).encode().split(b" \n")
        blocks.pop()
        return blocks


@dataclass(frozen=True, slots=True)
class Group:
    """Families that change together: first those of a target, then those of its probes."""

    dirty: int
    families: tuple[Family, ...]
    target: Template
    probes: dict[Kind, Template]

    def render(self, record: TargetRecord, kept: "Rendered") -> tuple[bytes, ...]:
        """A block per family; empty where it has no series."""
        blocks = self.target.fill(kept.labels, record)
        parts = [self.probes[probe.job.kind].fill(labels, probe) for labels, probe in kept.probes]
        return (*blocks, *(parts[0] if len(parts) == 1 else map(b"".join, zip(*parts, strict=True))))


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
    """What is kept of a target between scrapes: its label strings, and a block tuple per group. The tuples are
    replaced and never changed, so a snapshot may go on holding them.
    """

    __slots__ = ("blocks", "labels", "probes")

    def __init__(self, record: TargetRecord) -> None:
        target = record.target
        address = (("address", target.address),) if target.address else ()
        self.labels = pairs((("target", target.title), ("model", target.model), *target.labels.items(), *address))
        self.probes: list[tuple[str, ProbeRecord]] = [
            (f"{self.labels},{pairs([('probe', name)])}", probe) for name, probe in record.probes.items()
        ]
        self.blocks: list[tuple[bytes, ...]] = [(), (), ()]


def refresh(record: TargetRecord, groups: Sequence[Group]) -> Sequence[tuple[bytes, ...]]:
    """The target's blocks, group by group; those of changed groups are rendered now."""
    kept: Rendered | None = record.rendered
    dirty = record.dirty
    if kept is None:
        kept = record.rendered = Rendered(record)
        dirty = Dirty.ALL
    if dirty:
        for position, group in enumerate(groups):
            if dirty & group.dirty:
                kept.blocks[position] = group.render(record, kept)
        record.dirty = _CLEAN
    return kept.blocks
