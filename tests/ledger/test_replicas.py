"""Who stands apart, and what the ledger keeps together."""

import pytest

from exporter.ledger import Ledger
from exporter.ledger.replicas import Majority, Standing, majority, odd_ones
from exporter.model.endpoint import Endpoint
from exporter.model.job import Job, Kind, Retry, Schedule, Thresholds
from exporter.model.observation import Observation
from exporter.model.state import State
from exporter.model.target import Target

H, E, L, U = State.HEALTHY, State.ERROR, State.LOADING, State.UNKNOWN


def stand(*told: tuple[State, str]) -> list[Standing]:
    """Replicas at the addresses a, b, c ... with these states and versions."""
    return [Standing("abcdefgh"[place], *each) for place, each in enumerate(told)]


@pytest.mark.parametrize(
    ("told", "most", "odd"),
    [
        ([(H, "3"), (H, "3"), (H, "3")], (H, "3"), ""),
        ([(H, "3"), (H, "3"), (E, "3")], (H, "3"), "c"),
        ([(H, "3"), (H, "4"), (H, "3")], (H, "3"), "b"),
        ([(E, "3"), (H, "4"), (H, "4"), (H, "3")], (H, ""), "a"),
        ([(E, ""), (E, ""), (H, "")], (E, ""), "c"),  # the one that is well is the odd one then
        ([(H, "3"), (E, "4")], (None, ""), ""),  # two that differ: nobody can say which is right
        ([(H, ""), (H, ""), (E, ""), (E, "")], (None, ""), ""),
        ([(H, "3"), (L, "3"), (E, "3"), (H, "3"), (E, "3")], (None, "3"), ""),
        ([(H, "3"), (H, "3"), (U, "")], (H, "3"), ""),  # nothing is known of it yet
        ([(H, "3"), (H, ""), (H, "3")], (H, "3"), ""),
        ([(U, ""), (U, ""), (E, "")], (E, ""), ""),
        ([(E, "3")], (E, "3"), ""),
        ([], (None, ""), ""),
    ],
)
def test_the_odd_ones(told: list[tuple[State, str]], most: tuple[State | None, str], odd: str) -> None:
    standings = stand(*told)
    assert majority(standings) == Majority(*most)
    assert "".join(each.address for each in odd_ones(standings)) == odd


async def never(_: object) -> Observation:
    raise AssertionError


def job(name: str, group: str = "", probe: str = "health", **labels: str) -> Job:
    address = name.rpartition("@")[2] if group else ""
    target = Target(name, Endpoint("http", "h", 80), labels=labels, group=group, address=address)
    return Job(target, probe, Kind(probe), Schedule(15, 5, 5), Retry(), Thresholds(), never, f"{name}/{probe}")


def test_a_group_is_there_while_it_has_members() -> None:
    ledger = Ledger()
    for each in (job("g@a", "g"), job("g@a", "g", "ready"), job("g@b", "g"), job("alone")):
        ledger.add(each)
    assert {name: list(group.members) for name, group in ledger.groups.items()} == {"g": ["g@a", "g@b"]}
    ledger.remove("g@a", "health")
    assert list(ledger.groups["g"].members) == ["g@a", "g@b"], "it still has a probe"
    ledger.remove("g@a", "ready")
    assert list(ledger.groups["g"].members) == ["g@b"]
    ledger.remove("g@b", "health")
    assert ledger.groups == {}


def test_a_group_follows_its_members() -> None:
    ledger = Ledger()
    for name in ("g@a", "g@b", "g@c"):
        ledger.add(job(name, "g"))
    ledger.targets["g@a"].info = {"model_version": "3"}
    ledger.targets["g@b"].info = {"model_version": "4"}
    group = ledger.groups["g"]
    assert (dict(group.states()), dict(group.versions())) == ({U: 3}, {"3": 1, "4": 1})
    assert group.standings()[1] == Standing("b", U, "4")


def test_a_name_that_becomes_a_replica_joins_and_one_that_was_leaves() -> None:
    ledger = Ledger()
    ledger.add(job("g@a"))
    ledger.replace(job("g@a", "g"))
    assert list(ledger.groups["g"].members) == ["g@a"]
    ledger.replace(job("g@a", "other"))
    assert list(ledger.groups) == ["other"]
    ledger.replace(job("g@a"))
    assert ledger.groups == {}
