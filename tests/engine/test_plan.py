"""Phases, grids, spreading and reconciling."""

import subprocess
import sys
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.engine import plan

seconds = st.floats(0.001, 1e6)


@pytest.mark.slow
def test_the_phase_does_not_depend_on_the_process():
    code = "from exporter.engine.plan import phase; print(repr(phase(('fraud', 'health'), 15.0)))"
    out = {
        subprocess.run(
            [sys.executable, "-c", code], env={"PYTHONHASHSEED": seed}, capture_output=True, text=True, check=True
        ).stdout
        for seed in ("1", "2")
    }
    assert out == {f"{plan.phase(('fraud', 'health'), 15.0)!r}\n"}


def test_the_phases_of_many_fill_the_interval_evenly():
    slots = Counter(int(plan.phase((f"target-{index}", "health"), 10.0)) for index in range(10_000))
    assert len(slots) == 10
    assert max(slots.values()) < 1.15 * min(slots.values())


def test_probe_and_target_are_told_apart():
    assert plan.phase(("a", "bc"), 1.0) != plan.phase(("ab", "c"), 1.0)


@given(offset=st.floats(0, 1), interval=seconds, after=st.floats(0, 1e8))
def test_next_due_is_the_next_moment_of_the_grid(offset, interval, after):
    offset *= interval
    due = plan.next_due(offset, interval, after)
    assert after < due <= after + interval * (1 + 1e-9) + 2e-6


@given(offset=st.floats(0, 1), interval=st.floats(0.1, 1e5), after=st.floats(0, 1e7))
def test_every_moment_of_the_grid_comes_once(offset, interval, after):
    first = plan.next_due(offset * interval, interval, after)
    second = plan.next_due(offset * interval, interval, first)
    assert second - first == pytest.approx(interval, rel=1e-6, abs=1e-5)


@pytest.mark.parametrize(("now", "lost"), [(100.0, 1), (100.9, 1), (109.9, 1), (110.0, 2), (131.0, 4)])
def test_lost_slots(now, lost):
    assert plan.lost_slots(100.0, 10.0, now) == lost


def test_one_target_is_asked_at_once():
    window = plan.start_window({15.0: 2, 300.0: 1})
    assert window <= 0.1
    for key in ("health", "ready"):
        assert plan.first_due(plan.phase(("t", key), 15.0), 15.0, 1000.0, window) - 1000.0 <= 0.1


def test_ten_thousand_fill_their_interval():
    assert plan.start_window({10.0: 10_000}) >= 10.0


@given(
    counts=st.dictionaries(st.sampled_from([1.0, 5.0, 15.0, 60.0, 300.0, 21600.0]), st.integers(1, 20_000), min_size=1)
)
def test_a_start_is_never_more_than_twice_the_mean_rate(counts):
    window = plan.start_window(counts)
    mean = sum(count / interval for interval, count in counts.items())
    squeezed = sum(count for interval, count in counts.items() if interval > window)
    if window:
        assert squeezed / window <= max(plan.EAGER_RATE, mean / 2) * (1 + 1e-9)


def test_an_unshrunk_first_run_is_on_the_grid():
    assert plan.first_due(3.0, 10.0, 1000.0, 60.0) == pytest.approx(1003.0)


def test_recheck_doubles_up_to_the_interval():
    assert [plan.recheck_delay(5.0, 60.0, failures) for failures in (1, 2, 3, 4, 5, 6, 4000)] == [
        5.0, 10.0, 20.0, 40.0, 60.0, 60.0, 60.0,
    ]  # fmt: skip


def test_retry_after_stretches_at_most_tenfold():
    assert plan.stretched(15.0, 40.0) == 40.0
    assert plan.stretched(15.0, 86_400.0) == 150.0


def test_reconcile_compares_fingerprints_only(world):
    old = [world.job(world.ok(), name) for name in ("same", "labels", "changed", "gone")]
    new = [
        old[0],
        world.job(world.ok(), "labels", labels={"team": "b"}),
        world.job(world.ok(), "changed", fingerprint="2"),
        world.job(world.ok(), "new"),
    ]
    changes = plan.reconcile({job.key: job for job in old}, new)
    assert [job.target.name for job in changes.added] == ["changed", "new"]
    assert [job.target.name for job in changes.removed] == ["gone", "changed"]
    assert changes.kept == (new[0], new[1])
