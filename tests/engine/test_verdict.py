"""Tracks in, verdict out: joining, currency, reasons, demotion, start-up, disagreement."""

from dataclasses import replace

import pytest

from exporter.engine.verdict import disagreement, judge
from exporter.model.failure import TABLE, Evidence, Reason
from exporter.model.job import Kind, Scope
from exporter.model.load import Load
from exporter.model.state import State, Verdict
from tests.engine.tracks import (
    BROKEN,
    BUSY,
    DEAD,
    LOADING,
    OK,
    REASON,
    SLOW,
    SPOKEN,
    UNKNOWN,
    health,
    infer,
    ready,
    result,
    track,
)


def test_nothing_known():
    assert judge([], [], [], UNKNOWN) == UNKNOWN
    assert judge([health()], [infer()], [], UNKNOWN) == UNKNOWN


def test_cheap_alone_is_healthy_and_not_verified():
    assert judge([health((OK, 0, 1))], [], [], UNKNOWN) == Verdict(State.HEALTHY, verified=False)


def test_the_worst_of_health_and_ready_speaks_with_its_reason():
    verdict = judge([health((OK, 0, 1)), ready((DEAD, 0, 1))], [], [], UNKNOWN)
    assert verdict == Verdict(State.ERROR, Reason.CONNECT_REFUSED, "ready: dead", "ready")


def test_an_old_ok_canary_does_not_outvote_a_refused_connection():
    cheap = [health((OK, 0, 1), (DEAD, 300, 301))]
    assert judge(cheap, [infer((OK, 60, 61))], [], UNKNOWN).state is State.ERROR
    assert judge(cheap, [infer((OK, 300, 301))], [], UNKNOWN) == Verdict(State.HEALTHY, verified=True)


def test_a_failed_canary_makes_no_zombie_of_a_server_that_came_back():
    cheap = [health((DEAD, 0, 1), (OK, 100, 101))]
    before = Verdict(State.ERROR, Reason.CONNECT_REFUSED, "", "health", verified=True)
    held = judge(cheap, [infer((DEAD, 50, 51))], [], before)
    assert held == Verdict(State.ERROR, Reason.CONNECT_REFUSED, "", "health", verified=False)


def test_a_zombie_is_confirmed_by_a_cheap_run_after_the_failure():
    canary = infer((SLOW, 10, 40))
    before = Verdict(State.HEALTHY, verified=True)
    assert judge([health((OK, 0, 1), (OK, 39, 39.5))], [canary], [], before) is before
    verdict = judge([health((OK, 0, 1), (OK, 41, 42))], [canary], [], before)
    assert verdict == Verdict(State.ZOMBIE, Reason.TIMEOUT, "infer: slow", "infer", verified=True)


@pytest.mark.parametrize(
    ("load", "after", "state"),
    [
        (None, None, State.ZOMBIE),
        (Load(running=0, waiting=0), Load(running=0, waiting=0), State.ZOMBIE),
        (Load(), Load(), State.ZOMBIE),
        (Load(waiting=0), Load(waiting=3), State.SATURATED),
        (Load(waiting=3), Load(waiting=0), State.ZOMBIE),  # the queue went away, and our request did not come back
        (Load(waiting=3), None, State.SATURATED),
        (None, Load(running=8, capacity=8), State.SATURATED),
        (None, Load(running=7, capacity=8), State.ZOMBIE),
        (None, Load(running=7), State.ZOMBIE),  # at work on something, of which nothing moves
        (Load(running=7, progress=100), Load(running=7, progress=130), State.SATURATED),
        (Load(running=7, progress=100), Load(running=7, progress=100), State.ZOMBIE),
        (Load(running=7, progress=100), Load(running=0, progress=4), State.ZOMBIE),  # it was started anew
        (None, Load(running=7, progress=130), State.ZOMBIE),  # one reading is no movement
    ],
)
def test_load_tells_a_slow_canary_of_a_busy_server_from_a_zombie(load, after, state):
    cheap, canary = [health((OK, 0, 1), (OK, 41, 42))], [infer((SLOW, 10, 40), load=load, load_after=after)]
    verdict = judge(cheap, canary, [], UNKNOWN)
    assert (verdict.state, verdict.reason, verdict.verified) == (state, Reason.TIMEOUT, True)


@pytest.mark.parametrize("evidence", [BROKEN, DEAD])
def test_load_excuses_nothing_but_slowness(evidence):
    cheap, busy = [health((OK, 0, 1), (OK, 41, 42))], Load(waiting=9, running=8, capacity=8, progress=1)
    canary = infer((evidence, 10, 40), load=busy, load_after=replace(busy, progress=2))
    assert judge(cheap, [canary], [], UNKNOWN).state is State.ZOMBIE


@pytest.mark.parametrize(
    ("waiting", "limit", "state"),
    [
        (49, 50, State.HEALTHY),
        (50, 50, State.SATURATED),
        (None, 50, State.HEALTHY),
        (10_000, None, State.HEALTHY),
    ],
)
def test_a_queue_beside_a_canary_that_passes(waiting, limit, state):
    canary = infer((OK, 10, 11), load=Load(waiting=waiting), saturated_at=limit)
    verdict = judge([health((OK, 0, 1))], [canary], [], UNKNOWN)
    assert (verdict.state, verdict.verified) == (state, True)
    if state is State.SATURATED:
        assert (verdict.reason, verdict.probe) == (Reason.OVERLOADED, "infer")
        assert "50 requests wait" in verdict.detail


def test_the_load_of_one_canary_speaks_for_the_server():
    cheap = [health((OK, 0, 1), (OK, 41, 42))]
    read, unread = infer((SLOW, 10, 40), load_after=Load(waiting=1)), track(Kind.STREAM, (SLOW, 10, 40))
    for canaries in ([read, unread], [unread, read]):
        assert judge(cheap, canaries, [], UNKNOWN).state is State.SATURATED


def test_what_was_read_beside_a_run_that_does_not_count_does_not_speak():
    canary = infer((OK, 10, 11), load=Load(waiting=0), failure=2)
    canary.update(result(canary.job, SLOW, 20, 30, load_after=Load(waiting=90)), 10.0)
    assert canary.evidence is OK
    assert judge([health((OK, 0, 1))], [canary], [], UNKNOWN).state is State.HEALTHY


def skipped(track, at):
    track.skipped_at = at
    return track


def test_a_canary_that_was_passed_over_does_not_speak():
    cheap = [health((OK, 0, 1), (OK, 41, 42))]
    assert judge(cheap, [skipped(infer(), 20)], [], UNKNOWN) == Verdict(State.HEALTHY, verified=False)
    for evidence in SPOKEN:
        canary = skipped(infer((evidence, 10, 11)), 20)
        assert judge(cheap, [canary], [], UNKNOWN) == Verdict(State.HEALTHY, verified=False)
        assert canary.evidence is evidence
    assert judge([health((DEAD, 0, 1))], [skipped(infer((OK, 0, 1)), 20)], [], UNKNOWN).state is State.ERROR


def test_being_passed_over_before_the_server_changed_says_nothing_of_it_now():
    cheap, before = [health((DEAD, 0, 1), (OK, 100, 101))], Verdict(State.ERROR)
    assert judge(cheap, [skipped(infer((OK, 10, 11)), 50)], [], before).state is State.ERROR
    assert judge(cheap, [skipped(infer((OK, 10, 11)), 100)], [], before).state is State.HEALTHY


@pytest.mark.parametrize(
    ("other", "state", "verified"),
    [(OK, State.HEALTHY, True), (BROKEN, State.ZOMBIE, True), (BUSY, State.SATURATED, True), (None, None, False)],
)
def test_the_others_speak_for_a_canary_that_was_passed_over(other, state, verified):
    """`None`: the other one has not spoken yet, so the state stays."""
    over = skipped(infer((SLOW, 5, 6)), 10)
    speaks = track(Kind.STREAM, *([] if other is None else [(other, 10, 11)]))
    for canaries in ([over, speaks], [speaks, over]):
        verdict = judge([health((OK, 0, 1), (OK, 20, 21))], canaries, [], UNKNOWN)
        assert (verdict.state, verdict.verified) == (state or State.UNKNOWN, verified)
        assert verdict.reason is None or verdict.probe == "stream"


@pytest.mark.parametrize(
    ("canaries", "state", "verified"),
    [
        ([(OK, OK)], State.HEALTHY, True),
        ([(OK, None)], State.UNKNOWN, False),  # held until the other one has spoken
        ([(OK, "expired")], State.HEALTHY, False),
        ([(OK, BUSY)], State.SATURATED, True),
        ([(BUSY, BROKEN)], State.ZOMBIE, True),
        ([(None, BROKEN)], State.ZOMBIE, True),
        ([("expired", "expired")], State.HEALTHY, False),
    ],
)
def test_canaries_are_joined(canaries, state, verified):
    def make(kind, evidence):
        made = track(kind, *([] if evidence in (None, "expired") else [(evidence, 10, 11)]))
        if evidence == "expired":
            made.expire()
        return made

    first, second = canaries[0]
    for one, other in ((first, second), (second, first)):
        verdict = judge(
            [health((OK, 0, 1), (OK, 20, 21))], [make(Kind.INFER, one), make(Kind.STREAM, other)], [], UNKNOWN
        )
        assert (verdict.state, verdict.verified) == (state, verified)


def test_ready_loading_counts_by_its_scope():
    canary = [infer((OK, 10, 11))]
    model = judge([ready((LOADING, 0, 1))], canary, [], UNKNOWN)
    assert (model.state, model.reason, model.probe) == (State.LOADING, Reason.NOT_READY, "ready")
    assert judge([ready((LOADING, 0, 1), scope=Scope.SERVER)], canary, [], UNKNOWN).state is State.HEALTHY
    assert judge([health((LOADING, 0, 1))], canary, [], UNKNOWN).state is State.HEALTHY


def test_loading_beside_a_broken_health_names_the_probe_that_said_so():
    verdict = judge([health((BROKEN, 0, 1)), ready((LOADING, 0, 1))], [infer((BROKEN, 10, 11))], [], UNKNOWN)
    assert (verdict.state, verdict.probe) == (State.LOADING, "ready")


@pytest.mark.parametrize("kind", [Kind.METADATA, Kind.EVALUATE])
def test_a_failed_expectation_demotes_healthy_only(kind):
    other = track(kind, (Evidence.WRONG, 0, 1))
    verdict = judge([health((OK, 0, 1))], [], [other], UNKNOWN)
    assert verdict == Verdict(State.UNHEALTHY, Reason.EXPECTATION, f"{kind}: wrong", kind.value)
    assert judge([health((DEAD, 0, 1))], [], [other], UNKNOWN).state is State.ERROR
    assert judge([health((BUSY, 0, 1))], [], [other], UNKNOWN).state is State.SATURATED


@pytest.mark.parametrize("evidence", [DEAD, SLOW, BROKEN, BUSY, LOADING, Evidence.REFUSED])
def test_metadata_failing_otherwise_changes_no_state(evidence):
    verdict = judge([health((OK, 0, 1))], [], [track(Kind.METADATA, (evidence, 0, 1))], UNKNOWN)
    assert verdict == Verdict(State.HEALTHY)


def test_metadata_names_the_missing_model_where_ready_cannot():
    metadata = track(Kind.METADATA, (Evidence.REFUSED, 0, 1), reason=Reason.MODEL_NOT_FOUND)
    verdict = judge([ready((Evidence.REFUSED, 0, 1), reason=Reason.HTTP_STATUS)], [], [metadata], UNKNOWN)
    assert (verdict.state, verdict.reason) == (State.UNHEALTHY, Reason.MODEL_NOT_FOUND)
    verdict = judge([ready((Evidence.REFUSED, 0, 1), reason=Reason.AUTH)], [], [metadata], UNKNOWN)
    assert verdict.reason is Reason.AUTH


@pytest.mark.parametrize("evidence", [DEAD, SLOW])
def test_what_cannot_be_reached_while_starting_is_loading(evidence):
    verdict = judge([health((evidence, 0, 1))], [], [], UNKNOWN, starting=True)
    assert (verdict.state, verdict.reason) == (State.LOADING, REASON[evidence])
    assert judge([health((BROKEN, 0, 1))], [], [], UNKNOWN, starting=True).state is State.UNHEALTHY
    assert judge([], [infer((DEAD, 0, 1))], [], UNKNOWN, starting=True).state is State.ERROR


def test_every_reason_leads_somewhere():
    for reason, row in TABLE.items():
        state = judge([health((row.evidence, 0, 1), reason=reason)], [], [], UNKNOWN).state
        assert (state is State.UNKNOWN) == (reason in (Reason.INTERNAL, Reason.INCONCLUSIVE))
        assert state is not State.HEALTHY


@pytest.mark.parametrize(
    ("cheap", "canary", "sides"),
    [
        (OK, DEAD, ("ok", "bad")),
        (DEAD, OK, ("bad", "ok")),
        (OK, OK, None),
        (DEAD, SLOW, None),
        (OK, BUSY, None),
        (OK, LOADING, None),
        (BUSY, OK, None),
        (Evidence.NONE, SLOW, None),
        (OK, Evidence.NONE, None),
    ],
)
def test_disagreement(cheap, canary, sides):
    assert disagreement(cheap, canary) == sides
