"""In which order targets are shown, and under which headings."""

import heapq
import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

from exporter.ledger import TargetRecord
from exporter.model.state import State
from exporter.slices import unhurried
from exporter.web.page.rows import first_token, main_probe, stream_probe, tokens

#: Targets that are sorted at once; more are merged from sorted pieces, a little at a time.
PIECE = 250
#: Label names that are offered for grouping.
MOST_NAMES = 30

Key = tuple[float, str]


def _latency(record: TargetRecord) -> Key:
    probe = main_probe(record)
    return _largest(probe.last_duration if probe else None), ""


def _first_token(record: TargetRecord) -> Key:
    probe = stream_probe(record)
    return _largest(first_token(probe) if probe else None), ""


def _largest(value: float | None) -> float:
    return math.inf if value is None else -value


#: What can be sorted by. Without any, what needs a hand comes first.
SORTS: Mapping[str, Callable[[TargetRecord], Key]] = MappingProxyType(
    {
        "name": lambda record: (0.0, record.target.name.casefold()),
        "since": lambda record: (-record.since, ""),
        "latency": _latency,
        "first_token": _first_token,
        "tokens": lambda record: (-float(tokens(record)), ""),
    }
)


@dataclass(slots=True)
class Arranged:
    """Targets in order. `groups` has, where they were grouped, the states under each value of the label."""

    records: Sequence[TargetRecord]
    groups: dict[str, Counter[State]] = field(default_factory=dict)


async def arrange(records: Sequence[TargetRecord], sort: str, group: str) -> Arranged:
    """Sort by one of SORTS (`""`: as they are), under the values of the label `group` (`""`: under none); targets that
    do not have the label come last.
    """
    if not sort and not group:
        return Arranged(records)
    arranged, key = Arranged([]), SORTS.get(sort)
    keyed: list[tuple[bool, str, Key, int]] = []
    async for place, record in unhurried(enumerate(records)):
        value = record.target.labels.get(group, "") if group else ""
        if group:
            arranged.groups.setdefault(value, Counter())[record.state] += 1
        keyed.append((not value, value, key(record) if key else (0.0, ""), place))
    pieces = [keyed[start : start + PIECE] for start in range(0, len(keyed), PIECE)]
    async for piece in unhurried(pieces):
        piece.sort()
    arranged.records = [records[place] async for *_, place in unhurried(heapq.merge(*pieces))]
    return arranged


async def label_names(records: Sequence[TargetRecord]) -> list[str]:
    """The labels that targets have, of each of which grouping is offered."""
    names: set[str] = set()
    async for record in unhurried(records):
        if len(names) >= MOST_NAMES:
            break
        names.update(record.target.labels)
    return sorted(names)[:MOST_NAMES]
