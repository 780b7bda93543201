"""Whatever probes see, in whatever order: one state, with a reason, that holds until a whole streak says otherwise."""

import itertools
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from exporter.engine.verdict import judge
from exporter.model.failure import Evidence, Reason
from exporter.model.job import Kind, Thresholds
from exporter.model.load import Load
from exporter.model.state import State, Verdict
from tests.engine.tracks import BROKEN, BUSY, LOADING, OK, SLOW, SPOKEN, UNKNOWN, health, infer, result, track

NUMBERS = st.none() | st.integers(0, 3).map(float)
loads = st.none() | st.builds(Load, running=NUMBERS, waiting=NUMBERS, capacity=NUMBERS, progress=NUMBERS)
#: None: a canary that was passed over.
steps = st.lists(
    st.tuples(
        st.sampled_from([Kind.HEALTH, Kind.READY, Kind.INFER, Kind.STREAM]), st.none() | st.sampled_from(SPOKEN), loads,
        loads,
    ),
    max_size=30,
)  # fmt: skip


@given(steps=steps, failure=st.integers(1, 3), starting=st.booleans(), limit=st.none() | st.integers(1, 3).map(float))
def test_any_history_has_one_state_with_the_reason_of_one_of_its_runs(steps, failure, starting, limit):
    tracks = {
        kind: track(kind, failure=failure if kind.canary else 1, saturated_at=limit)
        for kind in (Kind.HEALTH, Kind.READY, Kind.INFER, Kind.STREAM)
    }
    cheap, canaries = [tracks[Kind.HEALTH], tracks[Kind.READY]], [tracks[Kind.INFER], tracks[Kind.STREAM]]
    verdict = UNKNOWN
    for at, (kind, evidence, load, after) in enumerate(steps):
        made = tracks[kind]
        if evidence is None:
            made.skipped_at = at if kind.canary else None
        else:
            made.update(result(made.job, evidence, at, at + 0.5, load=load, load_after=after), 10.0)
        verdict = judge(cheap, canaries, [], verdict, starting=starting)
        assert isinstance(verdict.state, State)
        assert (verdict.reason is None) == (verdict.state in (State.HEALTHY, State.UNKNOWN))
        assert not (verdict.state is State.UNKNOWN and verdict.verified)
        assert not verdict.verified or any(canary.skipped_at is None for canary in canaries)


@given(
    steps=steps,
    failure=st.integers(1, 3),
    starting=st.booleans(),
    other=st.none() | st.tuples(st.sampled_from([Kind.METADATA, Kind.EVALUATE]), st.sampled_from(SPOKEN)),
    before=st.sampled_from([Verdict(state, Reason.TIMEOUT, "d", "p", v) for state in State for v in (False, True)]),
)
def test_maintenance_holds_whatever_was_seen(steps, failure, starting, other, before):
    """Only `verified` may be taken back: nobody is asked."""
    tracks = {
        kind: track(kind, failure=failure if kind.canary else 1)
        for kind in (Kind.HEALTH, Kind.READY, Kind.INFER, Kind.STREAM)
    }
    for at, (kind, evidence, load, after) in enumerate(steps):
        if evidence is None:
            tracks[kind].pass_over(at, mute=bool(at % 2))
        else:
            tracks[kind].update(result(tracks[kind].job, evidence, at, at + 0.5, load=load, load_after=after), 10.0)
    cheap, canaries = [tracks[Kind.HEALTH], tracks[Kind.READY]], [tracks[Kind.INFER], tracks[Kind.STREAM]]
    verdict = judge(cheap, canaries, [], before, starting=starting, maintenance=True)
    assert verdict in (before, replace(before, verified=False))
    others = [] if other is None else [track(other[0], (other[1], 0, 1))]
    judged = judge(cheap, canaries, others, before, starting=starting)
    assert isinstance(judged.state, State)
    plain = judge(cheap, canaries, [], before, starting=starting)
    if judged.state is not plain.state:
        assert (plain.state, judged.state, other[1]) == (State.HEALTHY, State.UNHEALTHY, Evidence.WRONG)


def test_every_combination_of_signs_standing_and_threshold_has_one_state():
    """Through tracks, as the table does it for cases: each cheap and canary evidence, load, skip, start and rest."""
    queue, moves = Load(waiting=3), (Load(progress=1), Load(progress=2))
    loads = {"unknown": (None, None), "idle": (Load(running=0, waiting=0),) * 2, "queue": (queue, queue), "work": moves}
    seen = set()
    for cheap, canary, (name, (load, after)), way, starting, resting in itertools.product(
        [None, *SPOKEN], [None, *SPOKEN], loads.items(), ("runs", "skipped", "mute", "expired"), *[(False, True)] * 2
    ):
        first = health(*([] if cheap is None else [(cheap, 0, 1), (cheap, 20, 21)]))
        second = infer(*([] if canary is None else [(canary, 10, 11)]), load=load, load_after=after)
        if way == "expired":
            second.expire()
        elif way != "runs":
            second.pass_over(15, mute=way == "mute")
        verdicts = [
            judge([first], [second], [], before, starting=starting, maintenance=resting)
            for before in (UNKNOWN, Verdict(State.ZOMBIE, Reason.TIMEOUT, "", "infer", verified=True))
        ]
        held = verdicts[0].state is State.UNKNOWN and verdicts[1].state is State.ZOMBIE
        assert held or verdicts[0] == verdicts[1], "the past decides nothing but what is held"
        assert held or not resting
        if not held:
            seen.add(verdicts[0].state)
            assert not (verdicts[0].state is State.ZOMBIE and (name in ("queue", "work") and canary is SLOW))
            assert not (verdicts[0].verified and way in ("mute", "expired"))
    assert seen == set(State)


@given(steps=st.lists(st.sampled_from(SPOKEN), max_size=30), failure=st.integers(2, 4))
def test_a_canary_does_not_flap_the_state_within_its_threshold(steps, failure):
    """While fewer than `failure` canary runs fail in a row, and none is busy or loading, a healthy target stays so."""
    canary, cheap = infer((OK, 0, 1), failure=failure), health((OK, 0, 1))
    verdict, streak = judge([cheap], [canary], [], UNKNOWN), 0
    assert verdict.state is State.HEALTHY
    for at, evidence in zip(itertools.count(10, 10), steps, strict=False):
        streak = 0 if evidence is OK else streak + 1
        if streak >= failure or evidence in (BUSY, LOADING):
            return
        for probe, kind, start in ((canary, evidence, at), (cheap, OK, at + 5)):
            probe.update(result(probe.job, kind, start, start + 1), 10.0)
            verdict = judge([cheap], [canary], [], verdict)
            assert verdict.state is State.HEALTHY


@given(
    steps=st.lists(st.sampled_from([each for each in SPOKEN if each not in (OK, BUSY, LOADING)]), max_size=30),
    success=st.integers(2, 4),
)
def test_a_canary_that_recovers_is_believed_after_its_threshold(steps, success):
    """While fewer than `success` runs in a row are ok, what failed stays failed."""
    canary = infer((BROKEN, 0, 1))
    canary.job.thresholds = Thresholds(1, success)
    cheap, at = health((OK, 0, 1), (OK, 5, 6)), 10.0
    verdict = judge([cheap], [canary], [], UNKNOWN)
    for evidence in steps:
        for seen in (*[OK] * (success - 1), evidence):
            for probe, kind, start in ((canary, seen, at), (cheap, OK, at + 5)):
                probe.update(result(probe.job, kind, start, start + 1), 10.0)
                verdict = judge([cheap], [canary], [], verdict)
                assert verdict.state is not State.HEALTHY
            at += 10
    for passed in range(1, success + 1):
        canary.update(result(canary.job, OK, at, at + 1), 10.0)
        verdict = judge([cheap], [canary], [], verdict)
        assert (verdict.state is State.HEALTHY) == (passed == success)
        at += 10


@given(
    runs=st.lists(st.sampled_from([*SPOKEN, None]), max_size=40), failure=st.integers(1, 4), success=st.integers(1, 3)
)
def test_what_a_probe_holds_changes_only_by_a_whole_streak(runs, failure, success):
    """`None`: a run that was passed over, which breaks no streak. Busy and loading need no confirmation."""
    probe = track(Kind.INFER, failure=failure)
    probe.job.thresholds = Thresholds(failure, success)
    streak: list[Evidence] = []
    for at, evidence in enumerate(runs):
        before = probe.evidence
        if evidence is None:
            probe.pass_over(at, mute=True)
        else:
            good = evidence is OK
            streak = [*streak, evidence] if streak and (streak[-1] is OK) == good else [evidence]
            probe.update(result(probe.job, evidence, at, at + 0.5), 10.0)
        held = probe.evidence
        if held is before:
            continue
        assert held is evidence, "the latest run says of what kind it is"
        if before is Evidence.NONE or held in (BUSY, LOADING):
            continue
        if held is OK:
            assert len(streak) >= success
        elif before is OK:
            assert len(streak) >= failure
