"""The exporter's own error: lag of the loop, and runs that fell into it."""

import pytest

from exporter.engine.lag import BOUND


@pytest.fixture(autouse=True)
def _sampling(world, monkeypatch):
    monkeypatch.setattr("exporter.engine.lag.PERIOD", 0.02)


def test_a_quiet_loop_has_no_lag(world):
    world.start(world.job(world.ok(latency=1.0)))
    world.advance(10)
    lag = world.ledger.own.loop_lag
    assert lag.count == pytest.approx(500, abs=2)
    assert lag.counts[0] == lag.count
    assert (world.results[0].suspect, world.ledger.own.suspect) == (False, 0)


def test_a_run_during_which_the_loop_stood_still_is_suspect(world):
    world.start(world.job(world.ok(latency=1.0), interval=5.0))
    world.advance_to(lambda: world.ledger.own.in_flight == 1)
    world.loop.freeze(0.02 + 2 * BOUND)
    world.advance(2)
    assert world.results[-1].suspect
    assert world.ledger.own.suspect == 1
    assert world.ledger.own.loop_lag.counts[0] < world.ledger.own.loop_lag.count
    world.advance(5)
    assert not world.results[-1].suspect
    assert world.ledger.own.suspect == 1


def test_a_small_lag_is_counted_and_not_suspect(world, monkeypatch):
    monkeypatch.setattr("exporter.engine.lag.PERIOD", 0.001)
    world.start(world.job(world.ok(latency=1.0)))
    world.advance_to(lambda: world.ledger.own.in_flight == 1)
    world.loop.freeze(0.6 * BOUND)
    world.advance(2)
    assert not world.results[0].suspect
    assert world.ledger.own.loop_lag.sum == pytest.approx(0.55 * BOUND, rel=0.2)
