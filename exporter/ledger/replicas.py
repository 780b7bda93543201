"""Replicas of one target, seen together: how many are in which state, which versions they run, and who stands apart."""

from collections import Counter
from collections.abc import Iterable
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from exporter.model.state import State

if TYPE_CHECKING:
    from exporter.ledger import TargetRecord

T = TypeVar("T")


class Standing(NamedTuple):
    """One replica: its address, its state, and the version of the model it serves, `""` while it has not told, and
    where nothing answers any more: what it served last says nothing of now.
    """

    address: str
    state: State
    version: str


class Majority(NamedTuple):
    """The state and the version that more than half of the replicas have; None and `""` where there is none."""

    state: State | None
    version: str


class Replicas:
    """The replicas of the target `name` that are watched now, by the names they have as targets of their own."""

    __slots__ = ("members", "name")

    def __init__(self, name: str) -> None:
        self.name = name
        self.members: dict[str, TargetRecord] = {}

    def standings(self) -> list[Standing]:
        """Where each replica stands, in the order they were added."""
        return [standing(record) for record in self.members.values()]

    def states(self) -> Counter[State]:
        """How many are in each state."""
        return Counter(record.state for record in self.members.values())

    def versions(self) -> Counter[str]:
        """How many serve each version of the model, those aside that have not told or do not answer."""
        return Counter(standing.version for standing in self.standings() if standing.version)


def standing(record: "TargetRecord") -> Standing:
    """Where one replica stands."""
    version = "" if record.state is State.ERROR else record.info.get("model_version", "")
    return Standing(record.target.address, record.state, version)


def majority(standings: Iterable[Standing]) -> Majority:
    """What most replicas agree on. Those in state unknown, or without a version, have no voice in it."""
    standings = list(standings)
    state = _most([standing.state for standing in standings if standing.state is not State.UNKNOWN])
    return Majority(state, _most([standing.version for standing in standings if standing.version]) or "")


def odd_ones(standings: Iterable[Standing]) -> list[Standing]:
    """The replicas whose state or version is not the majority's. Where no majority is, nobody is odd."""
    standings = list(standings)
    most = majority(standings)
    return [standing for standing in standings if differs(standing, most)]


def differs(standing: Standing, most: Majority) -> bool:
    """Whether a replica is another than most, in what is known of it."""
    other_state = most.state is not None and standing.state not in (most.state, State.UNKNOWN)
    return other_state or (most.version != "" and standing.version not in (most.version, ""))


def _most(values: list[T]) -> T | None:
    """The value that more than half are."""
    found = Counter(values).most_common(1)
    return found[0][0] if found and found[0][1] * 2 > len(values) else None
