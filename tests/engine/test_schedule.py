"""The schedule: when each probe runs, and when it runs again after a failure."""

import itertools
from collections import Counter

import pytest

from exporter.engine import Limits
from exporter.model.failure import Reason
from exporter.model.job import Retry
from exporter.model.state import State


def gaps(times):
    return [later - sooner for sooner, later in itertools.pairwise(times)]


def test_one_target_is_known_within_a_second(world):
    server = world.server(health=world.ok(), ready=world.ok(), metadata=world.ok(), infer=world.ok())
    world.start(
        world.job(server),
        world.job(server, probe="ready"),
        world.job(server, probe="metadata", interval=300.0),
        world.job(server, probe="infer", interval=60.0),
    )
    world.advance(1.0)
    assert {name for _, name in server.runs} == {"health", "ready", "metadata", "infer"}
    assert world.state() is State.HEALTHY
    assert world.ledger.targets["t"].verdict.verified


def test_runs_keep_their_interval(world):
    server = world.server(health=world.ok(latency=1.0))
    world.start(world.job(server, interval=15.0))
    world.advance(200)
    assert gaps(server.starts("health"))[1:] == pytest.approx([15.0] * 12, abs=1e-6)
    assert world.ledger.own.schedule_delay.counts[0] == world.ledger.own.schedule_delay.count


def test_many_targets_start_spread_over_their_interval(world):
    server = world.server(health=world.ok(), infer=world.ok())
    world.start(
        *(world.job(server, f"t{index}", interval=10.0) for index in range(1000)),
        *(world.job(server, f"t{index}", "infer", interval=60.0, timeout=30.0) for index in range(1000)),
    )
    world.advance(60.0)
    per_second = Counter(int(at - 1000.0) for at, _ in server.runs)
    mean = 1000 / 10.0 + 1000 / 60.0
    assert max(per_second.values()) <= 2 * mean
    assert all(probe.runs >= 5 for record in world.ledger for probe in [record.probes["health"]])


def test_the_first_canary_follows_the_first_cheap_run_and_not_its_phase(world):
    server = world.server(health=world.ok(latency=3.0), infer=world.ok())
    world.start(world.job(server), world.job(server, probe="infer", interval=0.5, timeout=0.5))
    first = world.advance_to(lambda: world.probe().runs == 1)
    assert first >= 3.0
    world.advance(0.001)
    assert len(server.starts("infer")) == 1


def test_the_previous_run_still_goes_on(world):
    server = world.server(health=world.ok(latency=2.4))
    world.start(world.job(server, interval=1.0, timeout=5.0))
    world.advance(30)
    probe = world.probe()
    assert max(Counter(server.starts("health")).values()) == 1
    assert min(gaps(server.starts("health"))) >= 2.4
    assert probe.skipped["overlap"] == pytest.approx(20, abs=2)
    assert probe.skipped["missed"] == world.ledger.own.missed_slots == 0


def test_a_slot_lost_while_waiting_for_our_own_slots_is_missed(world):
    world.make(Limits(concurrency=1, per_host=1))
    hog = world.server(health=world.ok(latency=8.0))
    world.start(world.job(hog, "hog", interval=100.0, timeout=10.0))
    world.advance_to(lambda: world.ledger.own.in_flight == 1)
    waiting = world.job(world.ok(), "waiting", interval=1.0)
    world.engine.reconcile([*world.engine._watched.jobs.values(), waiting])
    world.advance(7)
    probe = world.probe("waiting")
    assert probe.runs == 0
    assert probe.skipped["missed"] == world.ledger.own.missed_slots >= 5
    assert probe.skipped["overlap"] == 0


@pytest.mark.parametrize("count", [1, 400])
def test_a_process_that_was_stopped_does_not_make_up_for_it(world, count):
    server = world.server(health=world.ok())
    world.start(*(world.job(server, f"t{index}", interval=5.0) for index in range(count)))
    world.advance(60)
    before = len(server.runs)
    world.loop.freeze(30.0)
    thawed = world.now
    world.advance(5.0)
    since = Counter(at for at, _ in server.runs[before:])
    assert len(server.runs) - before <= 2 * count
    if count > 1:
        assert max(Counter(int((at - thawed) * 2) for at in since.elements()).values()) <= 2 * count / 5.0
    per_target = Counter(result.job.target.name for result in world.results[before:])
    assert set(per_target.values()) <= {1, 2}
    assert world.ledger.own.missed_slots == pytest.approx(6 * count, abs=count)
    world.advance(30)
    assert min(probe.runs for record in world.ledger for probe in record.probes.values()) >= 17


def test_a_long_interval_does_not_lose_its_turn_to_a_short_stop(world):
    server = world.server(infer=world.ok())
    world.start(world.job(server, probe="infer", interval=3600.0))
    world.advance(3590)
    world.advance(world.probe(probe="infer").next_at - world.wall() - 0.5)
    before = len(server.runs)
    world.loop.freeze(10.0)
    world.advance(1.0)
    assert len(server.runs) == before + 1


def test_the_plan_is_told(world):
    server = world.server(health=world.ok(), infer=world.fails(Reason.EXPECTATION))
    world.start(world.job(server, interval=15.0), world.job(server, probe="infer", interval=60.0))
    assert world.probe().next_at == pytest.approx(world.wall(), abs=0.2)
    world.advance(2)
    assert world.probe().interval == 15.0
    assert 0 < world.probe().next_at - world.wall() <= 15.0
    assert world.probe(probe="infer").interval == 5.0
    assert world.probe(probe="infer").next_at == pytest.approx(
        world.of("infer")[0].ended + 5.0 + world.wall() - world.now
    )


def test_a_failed_canary_is_asked_again_after_recheck_doubling_up_to_its_interval(world):
    server = world.server(infer=world.ok())
    world.start(world.job(server, probe="infer", interval=60.0, timeout=30.0, recheck=5.0))
    world.advance(100)
    server.answers["infer"] = world.fails(Reason.EXPECTATION, latency=0.0)
    begun = len(server.runs)
    world.advance(400)
    waits = gaps(server.starts("infer")[begun:])
    assert waits[:4] == pytest.approx([5.0, 10.0, 20.0, 40.0], abs=0.01)
    assert 0 < waits[4] <= 60.0
    assert waits[5:] == pytest.approx([60.0] * len(waits[5:]))
    assert world.probe(probe="infer").interval == 60.0


def test_cheap_probes_are_not_rechecked(world):
    server = world.server(health=world.fails(Reason.AUTH))
    world.start(world.job(server, interval=15.0))
    world.advance(100)
    assert gaps(server.starts("health"))[1:] == pytest.approx([15.0] * 5, abs=0.01)


@pytest.mark.parametrize(("asked", "waited"), [(40.0, 40.0), (86_400.0, 150.0), (1.0, None)])
def test_a_retry_after_stretches_the_interval_at_most_tenfold(world, asked, waited):
    server = world.server(health=world.fails(Reason.RATE_LIMITED, retry_after=asked, latency=0.0))
    world.start(world.job(server, interval=15.0, retry=Retry(attempts=1)))
    world.advance(1000)
    waits = gaps(server.starts("health"))[1:]
    assert waits == pytest.approx([waited or 15.0] * len(waits), abs=0.01)
    assert world.probe().interval == (waited or 15.0)
