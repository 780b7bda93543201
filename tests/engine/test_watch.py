"""When a probe runs next, after what its last run said."""

from dataclasses import replace

import pytest

from exporter.engine.watch import Probe, Watch
from exporter.model.failure import Evidence, Reason, Status
from exporter.model.job import Kind
from exporter.model.observation import Measurement, Observation
from exporter.model.result import Result


@pytest.fixture
def probe(world):
    def probe(kind=Kind.HEALTH):
        job = world.job(world.ok(), kind=kind, interval=2.0, timeout=1.0, recheck=0.5)
        return Probe(None, Watch(None, job.target, 1, 0.0), job, 0.0)  # type: ignore[arg-type]

    return probe


def run(probe, planned, started, ended, reason=Reason.CONNECT_REFUSED):
    status = Status.ERROR if reason else Status.HEALTHY
    return Result(
        probe.job, 1, planned, started, ended, 0.0, status, Evidence.DEAD if reason else Evidence.OK, reason, "", 1, (),
        Measurement(), Observation(), "",
    )  # fmt: skip


def test_a_fast_failure_of_an_early_timer_does_not_use_its_moment_twice(probe):
    cheap = probe()
    moment = cheap.offset + 40.0
    early = run(cheap, moment, moment - 0.0012, moment - 0.0004)
    assert cheap.after(early, moment - 0.0003) == pytest.approx(moment + 2.0)


def test_a_failing_canary_is_asked_again_soon_and_then_less_and_less_soon(probe):
    canary = probe(Kind.INFER)
    dues = [canary.after(run(canary, 10.0, 10.0, 10.1), 10.1) for _ in range(3)]
    assert dues[:2] == pytest.approx([10.6, 11.1])
    assert (dues[2] - canary.offset) / 2.0 == pytest.approx(round((dues[2] - canary.offset) / 2.0))  # back on its grid


def test_retry_after_stretches_the_interval_but_not_beyond_ten_times(probe):
    cheap = probe()
    asked = replace(run(cheap, 10.0, 10.0, 10.1, Reason.RATE_LIMITED), retry_after=3600.0)
    assert cheap.after(asked, 10.1) == pytest.approx(10.1 + 20.0)
    assert cheap.interval == 20.0
