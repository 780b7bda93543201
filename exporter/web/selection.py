"""Which targets a request wants to see: by state and by text."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from exporter.ledger import Ledger, TargetRecord
from exporter.model.state import State
from exporter.slices import unhurried
from exporter.web import replicas
from exporter.web.words import STATES


@dataclass(frozen=True, slots=True)
class Wanted:
    """A filter. Empty fields let everything pass; `text` is looked for in any case, in all that is known by name."""

    state: State | None = None
    text: str = ""

    def matches(self, record: TargetRecord) -> bool:
        """Whether the text, if any, is found."""
        return not self.text or self.text in _haystack(record)


@dataclass(slots=True)
class Selection:
    """What was found: how many targets there are in each state whatever the filter, and those that passed it."""

    counts: Counter[State] = field(default_factory=Counter)
    records: list[TargetRecord] = field(default_factory=list)


def wanted(state: str, text: str) -> Wanted:
    """The filter of a query string. A state that does not exist is no filter."""
    known = State(state) if state in State.__members__.values() else None
    return Wanted(known, text.strip()[:200].casefold())


async def select(ledger: Ledger, wish: Wanted) -> Selection:
    """The targets that match, what needs a hand first, else in the order of the config. Replicas stay together, in the
    place of the one that needs it most.
    """
    found = Selection()
    by_state: dict[State, list[TargetRecord]] = {state: [] for state in STATES}
    groups: set[str] = set()
    async for record in unhurried(list(ledger)):
        found.counts[record.state] += 1
        group = replicas.of(record, ledger)
        if group is None:
            place, records = record.state, [record]
        elif group.name in groups:
            continue
        else:
            groups.add(group.name)
            place, records = replicas.worst(group), replicas.worst_first(group)
        by_state[place] += [each for each in records if wish.state in (None, each.state) and wish.matches(each)]
    found.records = [record for records in by_state.values() for record in records]
    return found


def _haystack(record: TargetRecord) -> str:
    target, verdict = record.target, record.verdict
    parts: Iterable[str] = (
        target.name,
        target.model,
        target.endpoint.url,
        target.protocol,
        verdict.reason or "",
        verdict.detail,
        *(f"{name}={value}" for name, value in target.labels.items()),
        *record.info.values(),
    )
    return "\n".join(parts).casefold()
