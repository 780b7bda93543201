"""What a canary's answers say, seen as people see it on a graph: match, distance and changes, run by run."""

from collections.abc import Iterable
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from exporter.ledger.drift import KEPT, Drift
from exporter.model.observation import Output
from exporter.model.sample import Sample, take

Seen = tuple[bool | None, float | None, int]


def sample(text: str) -> Sample | None:
    return take(Output(text=text))


def told(texts: Iterable[str]) -> tuple[Drift, list[Seen]]:
    drift, seen = Drift(), []
    for text in texts:
        drift.note(sample(text), good=True)
        seen.append((drift.match, drift.gap, drift.changes))
    return drift, seen


def test_a_first_answer_has_nothing_to_match() -> None:
    assert told("a")[1] == [(None, None, 0)]


def test_the_same_answer() -> None:
    assert told("aaa")[1][1:] == [(True, 0.0, 0), (True, 0.0, 0)]


def test_one_change_does_not_match_once_and_counts_once() -> None:
    assert told("aabbb")[1][2:] == [(False, 1.0, 1), (True, 0.0, 1), (True, 0.0, 1)]


def test_to_and_fro_matches_and_counts_on() -> None:
    assert told("abababa")[1][2:] == [(True, 0.0, changes) for changes in range(2, 7)]


def test_never_the_same_does_not_match_and_counts_on() -> None:
    assert told("abcdef")[1][1:] == [(False, 1.0, changes) for changes in range(1, 6)]


def test_what_was_long_ago_is_forgotten() -> None:
    others = "bcdefgh"[:KEPT]
    assert told(f"a{others}a")[1][-1] == (False, 1.0, KEPT + 1)
    assert told(f"a{others[:-1]}a")[1][-1] == (True, 0.0, KEPT)


def test_to_and_fro_pushes_no_third_one_out() -> None:
    assert told("cababababac")[1][-1] == (True, 0.0, 10)


def test_the_distance_is_to_the_nearest_that_is_known() -> None:
    assert told(["hello", "xxxxx", "hellu"])[1][-1] == (False, 0.2, 2)


def test_without_an_answer_both_gauges_are_absent_and_nothing_is_forgotten() -> None:
    drift, _ = told("aa")
    drift.note(None, good=False)
    assert (drift.match, drift.gap, drift.changes) == (None, None, 0)
    drift.note(sample("a"), good=True)
    assert (drift.match, drift.gap, drift.changes) == (True, 0.0, 0)


def test_a_wrong_answer_is_compared_and_not_remembered() -> None:
    drift, _ = told("aa")
    for _ in range(2):
        drift.note(sample("b"), good=False)
        assert (drift.match, drift.gap, drift.changes) == (False, 1.0, 0)
    drift.note(sample("a"), good=True)
    assert (drift.match, drift.changes) == (True, 0)


def test_small_steps_do_not_carry_the_reference_away() -> None:
    """Each answer is next to the one before, but the first is what they are held against."""
    drift = Drift()
    matches = []
    for step in range(40):
        drift.note(take(Output(essence=[1.5 + step * 0.0005])), good=True)
        matches.append(drift.match)
    assert False in matches


@given(st.lists(st.tuples(st.sampled_from(["", *"abcdef"]), st.booleans())))
def test_changes_only_rise_and_the_gauges_go_together(runs: list[tuple[str, bool]]) -> None:
    drift, before, good = Drift(), 0, []
    for text, fine in runs:
        drift.note(sample(text), good=fine)
        if text and fine:
            good.append(text)
        assert before <= drift.changes <= before + 1
        before = drift.changes
        assert (drift.match is None) == (drift.gap is None)
        assert drift.match is None or drift.match == (drift.gap == 0.0)
        assert len(drift._known) <= KEPT
    assert drift.changes == sum(one != other for one, other in pairwise(good))
