"""The engine as a whole, in virtual time: evidence that expires, its end, and bugs around it."""

import asyncio
import logging

import pytest

from exporter.engine import Limits
from exporter.model.failure import Reason
from exporter.model.job import Retry
from exporter.model.state import State


def test_evidence_expires_without_any_run(world):
    """All slots are taken by others for good: what was known is not believed for ever."""
    world.make(Limits(concurrency=1, per_host=1))
    server = world.server(health=world.ok())
    world.start(world.job(server, interval=10.0, timeout=5.0))
    world.advance(30)
    world.engine.reconcile([*world.engine._watched.jobs.values()])
    hog = world.loop.create_task(world.engine.once(world.job(world.stuck, "hog", interval=500.0, timeout=500.0)))
    world.advance(0.01)
    ended = world.results[-1].ended
    assert world.advance_to(lambda: world.state() is State.UNKNOWN) == pytest.approx(
        ended + 2 * 10.0 + 5.0 - world.now, abs=30.0
    )
    assert world.now == pytest.approx(world.results[-1].ended + 25.0, abs=0.02)
    hog.cancel()
    world.advance(1)
    assert world.states() == [State.HEALTHY, State.UNKNOWN, State.HEALTHY]


def test_an_expired_canary_leaves_the_cheap_verdict_unverified(world):
    world.make(Limits(concurrency=10, per_host=1))
    server = world.server(health=world.ok(), infer=world.ok())
    world.start(world.job(server, interval=5.0, host="a"), world.job(server, probe="infer", interval=60.0, host="b"))
    world.advance(100)
    hog = world.loop.create_task(
        world.engine.once(world.job(world.stuck, "hog", interval=500.0, timeout=500.0, host="b"))
    )
    last = world.of("infer")[-1].ended
    world.advance_to(lambda: not world.ledger.targets["t"].verdict.verified)
    assert world.now == pytest.approx(last + 2 * 60.0 + 5.0, abs=0.02)
    assert world.states() == [State.HEALTHY]
    hog.cancel()


def test_a_run_under_way_speaks_before_what_it_replaces_expires(world):
    """A canary with several slow attempts outlives two re-checks and a timeout."""
    server = world.server(health=world.ok(), infer=world.hang)
    retry = Retry(attempts=9, on=frozenset({Reason.TIMEOUT}))
    world.start(
        world.job(server, interval=5.0),
        world.job(server, probe="infer", interval=100.0, timeout=10.0, recheck=1.0, retry=retry),
    )
    world.advance(1000)
    assert world.states() == [State.ZOMBIE]


def test_a_stop_of_our_own_makes_no_evidence_old(world):
    server = world.server(health=world.ok())
    world.start(*(world.job(server, f"t{index}", interval=5.0) for index in range(300)))
    world.advance(10)
    world.loop.freeze(100.0)
    world.advance(6)
    assert {change.verdict.state for _, change in world.changes} == {State.HEALTHY}


def test_draining_lets_runs_end_within_the_grace_and_cancels_the_rest(world):
    quick, slow = world.server(health=world.ok(latency=2.0)), world.server(health=world.hang)
    world.start(world.job(quick, "quick"), world.job(slow, "slow", timeout=30.0))
    world.advance(0.5)
    begun = world.now
    world.loop.run_until_complete(world.engine.drain(5.0))
    assert world.now - begun == pytest.approx(5.0)
    assert not world.engine.turning
    assert [result.job.target.name for result in world.results] == ["quick"]
    assert all(exchange.closed is not None for exchange in world.exchanges)
    world.advance(100)
    assert len(quick.runs) == len(slow.runs) == 1


def test_draining_with_nothing_in_flight_takes_no_time(world):
    world.start(world.job(world.ok()))
    world.advance(5)
    begun = world.now
    world.loop.run_until_complete(world.engine.drain(5.0))
    assert world.now == begun


def test_draining_drops_who_waits_and_whoever_asked_once(world):
    world.make(Limits(concurrency=1, per_host=1))
    world.start(world.job(world.hang, "hog"))
    world.advance(0.5)
    asked = world.loop.create_task(world.engine.once(world.job(world.ok())))
    world.advance(0.1)
    world.loop.run_until_complete(world.engine.drain(0.0))
    world.advance(0)
    assert asked.cancelled()


def test_listeners_that_fail_stop_nothing(world, caplog):
    def broken(news):
        raise RuntimeError

    world.engine._on_change = world.engine._on_result = broken
    world.start(world.job(world.ok()))
    with caplog.at_level(logging.ERROR):
        world.advance(100)
    assert world.probe().runs >= 6
    assert world.ledger.own.internal_errors["engine"] == world.probe().runs + 1


def test_a_bug_in_a_protocol_changes_no_state(world, caplog):
    async def broken(exchange):
        raise ZeroDivisionError

    server = world.server(health=world.ok(), infer=world.ok())
    world.start(world.job(server), world.job(server, probe="infer", interval=30.0))
    world.advance(100)
    server.down = broken
    with caplog.at_level(logging.ERROR):
        world.advance(30)
    assert world.states() == [State.HEALTHY]
    assert world.of("health")[-1].reason is Reason.INTERNAL
    assert world.ledger.own.internal_errors["runner"] > 0
    server.down = None
    world.advance(30)
    assert world.states() == [State.HEALTHY]


def test_running_again_after_it_was_cancelled(world):
    server = world.server(health=world.ok())
    world.start(world.job(server))
    world.advance(10)
    world.turning.cancel()
    world.loop.run_until_complete(asyncio.gather(world.turning, return_exceptions=True))
    assert not world.engine.turning
    world.advance(100)
    world.turning = world.loop.create_task(world.engine.run())
    before = len(server.runs)
    world.advance(1)
    assert len(server.runs) == before + 1
    assert world.ledger.own.missed_slots == 0


def test_limits_may_be_replaced(world):
    world.start()
    world.engine.limits = Limits(3, 2)
    assert world.engine.limits == Limits(3, 2)
    assert world.ledger.own.slots == 3
