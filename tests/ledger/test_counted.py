"""Counts that records share until they differ."""

from exporter.ledger import Ledger
from exporter.ledger.records import NOTHING, counted
from exporter.model.state import State, Verdict
from tests.metrics.world import job


def test_what_was_never_counted_is_none() -> None:
    assert NOTHING["anything"] == 0
    assert not NOTHING


def test_counting_for_one_says_nothing_of_another() -> None:
    one, other = counted(NOTHING, "missed"), counted(NOTHING, "missed")
    assert one is other, "one of one key is shared"
    more = counted(one, "missed")
    assert (dict(more), dict(other)) == ({"missed": 2}, {"missed": 1})
    assert dict(counted(more, "overlap", 3)) == {"missed": 2, "overlap": 3}
    assert dict(counted(NOTHING, "missed", 4)) == {"missed": 4}
    assert (dict(other), dict(NOTHING)) == ({"missed": 1}, {})


def test_targets_that_went_one_way_part_again() -> None:
    ledger = Ledger()
    for name in ("a", "b"):
        ledger.add(job(name))
        ledger.judge(name, Verdict(State.HEALTHY))
    ledger.judge("a", Verdict(State.ERROR))
    ledger.judge("a", Verdict(State.HEALTHY))
    ledger.judge("a", Verdict(State.ERROR))
    up, down = (State.UNKNOWN, State.HEALTHY), (State.HEALTHY, State.ERROR)
    assert dict(ledger.targets["a"].state_changes) == {up: 1, down: 2, down[::-1]: 1}
    assert dict(ledger.targets["b"].state_changes) == {up: 1}


def test_contradictions_of_one_target_are_its_own() -> None:
    ledger = Ledger()
    for name in ("a", "b"):
        ledger.add(job(name))
    ledger.disagree("a", "ok", "bad")
    ledger.disagree("a", "ok", "bad")
    assert dict(ledger.targets["a"].disagreements) == {("ok", "bad"): 2, ("bad", "ok"): 0}
    assert dict(ledger.targets["b"].disagreements) == {("ok", "bad"): 0, ("bad", "ok"): 0}
