"""Streaks, thresholds, since and at, expiry."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.engine.track import Track
from exporter.model.failure import Evidence, Status
from exporter.model.job import Kind, Thresholds
from exporter.model.observation import Measurement, Observation
from exporter.model.result import Result

OK, BUSY, LOADING, SLOW, DEAD, BROKEN, NONE = (
    Evidence.OK, Evidence.BUSY, Evidence.LOADING, Evidence.SLOW, Evidence.DEAD, Evidence.BROKEN, Evidence.NONE,
)  # fmt: skip
NOT_OK = [each for each in Evidence if each not in (Evidence.OK, Evidence.NONE, Evidence.ABSENT)]


@pytest.fixture
def make(world):
    def make(failure=1, success=1, kind=Kind.HEALTH):
        job = world.job(world.ok(), kind=kind, thresholds=Thresholds(failure, success), interval=10.0, timeout=5.0)
        return Track(job, 0.0)

    return make


def result(track, evidence, start, length=0.5):
    status = Status.HEALTHY if evidence is OK else Status.ERROR
    return Result(
        track.job, 1, start, start, start + length, 0.0, status, evidence, None, evidence.value, 1, (), Measurement(),
        Observation(), "",
    )  # fmt: skip


def feed(track, *evidence, start=100.0):
    changes = []
    for index, each in enumerate(evidence):
        changes.append(track.update(result(track, each, start + 10 * index), 10.0))
    return changes


@pytest.mark.parametrize("first", [OK, *NOT_OK])
def test_the_first_run_counts_at_once(make, first):
    track = make(failure=3, success=3)
    assert feed(track, first) == [True]
    assert track.evidence is first


def test_failure_turns_after_its_threshold_and_takes_the_latest_kind(make):
    track = make(failure=3)
    feed(track, OK, SLOW, BROKEN)
    assert track.evidence is OK
    assert feed(track, DEAD, start=200.0) == [True]
    assert (track.evidence, track.detail, track.since) == (DEAD, "dead", 200.0)


def test_an_ok_run_breaks_the_streak(make):
    track = make(failure=2)
    feed(track, OK, SLOW, OK, SLOW, OK)
    assert track.evidence is OK


def test_success_turns_after_its_threshold(make):
    track = make(success=2)
    feed(track, DEAD, OK, DEAD, OK)
    assert track.evidence is DEAD
    feed(track, OK, start=200.0)
    assert track.evidence is OK


@pytest.mark.parametrize("kind", [BUSY, LOADING])
def test_busy_and_loading_need_no_confirmation(make, kind):
    track = make(failure=5)
    feed(track, OK, kind)
    assert track.evidence is kind


def test_what_is_not_ok_already_follows_the_latest_kind(make):
    track = make(failure=2)
    feed(track, OK, BUSY, SLOW)
    assert track.evidence is SLOW


def test_internal_says_nothing_and_breaks_no_streak(make):
    track = make(failure=2)
    assert feed(track, OK, SLOW, NONE, NONE) == [True, False, False, False]
    assert track.evidence is OK
    feed(track, SLOW, start=200.0)
    assert track.evidence is SLOW
    expires = track.expires
    feed(track, NONE, start=210.0)
    assert (track.evidence, track.expires) == (SLOW, expires)


def test_since_is_the_first_run_of_the_streak_and_at_the_latest(make):
    track = make(failure=2)
    feed(track, OK, DEAD, DEAD, DEAD)
    assert (track.since, track.at, track.ended) == (110.0, 130.0, 130.5)


def test_an_unconfirmed_failure_moves_neither_since_nor_at(make):
    track = make(failure=2)
    feed(track, DEAD, OK, OK, SLOW)
    assert (track.evidence, track.since, track.at, track.ok_at) == (OK, 110.0, 120.0, 120.0)
    feed(track, OK, start=140.0)
    assert (track.since, track.at) == (110.0, 140.0)


def test_a_first_ok_contradicts_nothing(make):
    track = make()
    feed(track, OK)
    assert track.since == float("-inf")
    feed(track, DEAD, OK, start=200.0)
    assert track.since == 210.0


def test_evidence_holds_for_two_intervals_and_a_timeout_after_the_run(make):
    track = make()
    feed(track, OK)
    assert track.expires == 100.5 + 2 * 10.0 + 5.0
    track.update(result(track, SLOW, 200.0), 3.0)
    assert track.expires == 200.5 + 2 * 3.0 + 5.0


def test_expired_is_none_and_the_next_run_counts_at_once(make):
    track = make(failure=3)
    feed(track, OK, OK)
    track.expire()
    assert (track.evidence, track.expired) == (NONE, True)
    feed(track, DEAD, start=300.0)
    assert (track.evidence, track.expired, track.since) == (DEAD, False, 300.0)


runs = st.lists(st.sampled_from([OK, NONE, *NOT_OK]), max_size=40)


@given(runs=runs, failure=st.integers(1, 4), success=st.integers(1, 4))
def test_it_never_turns_within_its_thresholds(runs, failure, success):
    from types import SimpleNamespace

    job = SimpleNamespace(thresholds=Thresholds(failure, success), schedule=SimpleNamespace(interval=10.0, timeout=5.0))
    track = Track(job, 0.0)
    spoken = []
    for index, evidence in enumerate(runs):
        before = track.evidence
        changed = track.update(result(track, evidence, 10.0 * index), 10.0)
        spoken += [evidence] * (evidence is not NONE)
        assert changed == (track.evidence is not before)
        if not changed:
            continue
        if before is NONE:
            assert track.evidence is evidence
        elif evidence is OK:
            assert len(spoken) >= success
            assert all(each is OK for each in spoken[-success:])
        elif before is OK and evidence not in (BUSY, LOADING):
            assert all(each is not OK for each in spoken[-failure:])
