"""Schedule, pull-forward, re-check, expiry, and what a new list of jobs does."""

import asyncio
import dataclasses
import itertools
import logging
from collections import Counter

import pytest

from exporter.engine import Limits
from exporter.model.failure import Reason
from exporter.model.job import Kind, Retry
from exporter.model.state import State


def gaps(times):
    return [later - sooner for sooner, later in itertools.pairwise(times)]


# --- schedule ---------------------------------------------------------------------------------------------------------


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


# --- re-check and Retry-After -----------------------------------------------------------------------------------------


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


# --- pull-forward -----------------------------------------------------------------------------------------------------


def quiet(world, server, *probes):
    """Probes whose own moments are hours apart, all asked once and settled."""
    world.start(*(world.job(server, probe=probe, interval=36_000.0, timeout=30.0, recheck=5.0) for probe in probes))
    world.advance(100)
    server.runs.clear()


def test_a_failed_canary_pulls_health_and_ready(world):
    server = world.server(health=world.ok(), ready=world.ok(), metadata=world.ok(), infer=world.ok())
    quiet(world, server, "health", "ready", "metadata", "infer")
    server.answers["infer"] = world.fails(Reason.EXPECTATION)
    world.pull(probe="infer")
    world.advance(1)
    assert Counter(name for _, name in server.runs) == {"infer": 1, "health": 1, "ready": 1}


@pytest.mark.parametrize("probe", ["health", "ready"])
def test_a_changed_cheap_probe_pulls_the_canaries_either_way(world, probe):
    server = world.server(health=world.ok(), ready=world.ok(), infer=world.ok(), stream=world.ok())
    quiet(world, server, "health", "ready", "infer", "stream")
    for answer in (world.fails(Reason.AUTH), world.ok()):
        server.runs.clear()
        server.answers[probe] = answer
        world.pull("t")
        world.advance(1)
        assert Counter(name for _, name in server.runs) == {"health": 1, "ready": 1, "infer": 1, "stream": 1}
        server.runs.clear()
        world.pull("t")  # no change: no pull
        world.advance(1)
        assert Counter(name for _, name in server.runs) == {"health": 1, "ready": 1}
        world.advance(100)


def test_a_first_answer_is_no_change(world):
    server = world.server(health=world.ok(), ready=world.ok(latency=1.0), infer=world.ok())
    world.start(*(world.job(server, probe=probe, interval=3600.0) for probe in ("health", "ready", "infer")))
    world.advance(100)
    assert Counter(name for _, name in server.runs) == {"health": 1, "ready": 1, "infer": 1}
    assert world.ledger.targets["t"].verdict.verified


def test_a_first_bad_answer_makes_the_canary_speak_again(world):
    server = world.server(health=world.ok(), ready=world.fails(Reason.AUTH, latency=1.0), infer=world.ok())
    world.start(*(world.job(server, probe=probe, interval=3600.0) for probe in ("health", "ready", "infer")))
    world.advance(100)
    assert Counter(name for _, name in server.runs) == {"health": 1, "ready": 1, "infer": 2}


def test_a_passing_canary_pulls_ready_while_it_says_loading(world):
    server = world.server(ready=world.fails(Reason.NOT_READY), infer=world.fails(Reason.NOT_READY))
    world.start(
        world.job(server, probe="ready", interval=3600.0),
        world.job(server, probe="infer", interval=60.0, recheck=60.0),
    )
    world.advance(70)
    server.answers.update(ready=world.ok(), infer=world.ok())
    server.runs.clear()
    world.advance(61)
    assert world.state() is State.HEALTHY
    assert Counter(name for _, name in server.runs)["ready"] == 1


def test_a_probe_under_way_is_pulled_when_it_ends_and_never_runs_twice_at_once(world):
    server = world.server(health=world.ok(latency=2.0), infer=world.ok())
    quiet(world, server, "health", "infer")
    for _ in range(3):
        world.pull("t")
        world.advance(0.5)
    world.advance(10)
    assert gaps(server.starts("health")) == pytest.approx([2.0])


def test_probes_that_keep_contradicting_each_other_do_not_run_in_circles(world):
    """Each canary that fails pulls a health that is another one than before, which pulls the canary."""
    turn = itertools.cycle([world.ok(), world.fails(Reason.RATE_LIMITED)])

    async def fickle(exchange):
        return await next(turn)(exchange)

    server = world.server(health=fickle, infer=world.fails(Reason.AUTH))
    world.start(world.job(server, interval=15.0), world.job(server, probe="infer", interval=60.0))
    world.advance(300)
    assert 300 / 15.0 < len(server.starts("health")) <= 300 / 5.0 + 300 / 15.0 + 5
    assert len(server.starts("infer")) <= 300 / 5.0 + 300 / 60.0 + 5


def test_a_flap_of_health_leaves_the_target_verified_again(world):
    server = world.server(health=world.ok(), infer=world.ok(latency=1.0))
    world.start(world.job(server, interval=5.0), world.job(server, probe="infer", interval=3600.0))
    world.advance(100)
    server.answers["health"] = world.fails(Reason.AUTH)
    world.advance(5)
    server.answers["health"] = world.ok()
    world.advance_to(lambda: not world.ledger.targets["t"].verdict.verified)
    world.advance(1.1)
    assert world.ledger.targets["t"].verdict.verified
    assert world.state() is State.HEALTHY


def test_a_canary_starts_its_rechecks_anew_after_a_cheap_change(world):
    """What is back and not quite warm is asked again soon, not after the long wait its failures had earned."""
    server = world.server(health=world.ok(), infer=world.ok())
    world.start(world.job(server, interval=5.0), world.job(server, probe="infer", interval=600.0))
    world.advance(100)
    server.down = world.refused
    world.advance(400)
    server.down, server.answers["infer"] = None, world.fails(Reason.TIMEOUT)
    world.advance(6)
    server.answers["infer"] = world.ok()
    assert world.advance_to(lambda: world.state() is State.HEALTHY) <= 6.0


def test_pull_by_name(world):
    server = world.server(health=world.ok(), ready=world.ok(), infer=world.ok())
    quiet(world, server, "health", "ready", "infer")
    assert world.pull("t")
    assert not world.pull("nobody")
    world.advance(1)
    assert Counter(name for _, name in server.runs) == {"health": 1, "ready": 1}


def test_one_probe_can_be_asked_for_and_is_never_asked_twice_for_that(world):
    """A run that is under way is soon enough: what waits at a gate would double the work of a long one."""
    server = world.server(health=world.ok(), ready=world.ok(), infer=world.ok(latency=3.0))
    quiet(world, server, "health", "ready", "infer")
    assert world.ask("t", "infer")
    world.advance(1)
    assert world.ask("t", "infer")
    world.advance(10)
    assert Counter(name for _, name in server.runs) == {"infer": 1}
    assert not world.ask("t", "stream")
    assert not world.ask("nobody", "infer")


# --- expiry -----------------------------------------------------------------------------------------------------------


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


# --- a new list of jobs -----------------------------------------------------------------------------------------------


def test_unchanged_jobs_keep_phase_counters_and_state_and_get_no_extra_run(world):
    servers = [world.server(health=world.ok()) for _ in range(5)]

    def jobs():
        return [world.job(server, f"t{index}", interval=10.0) for index, server in enumerate(servers)]

    world.start(*jobs())
    for _ in range(30):
        world.advance(3.3)
        changes = world.engine.reconcile(jobs())
        assert (changes.added, changes.removed, len(changes.kept)) == ((), (), 5)
    for index, server in enumerate(servers):
        assert gaps(server.starts("health"))[1:] == pytest.approx([10.0] * (len(server.runs) - 2), abs=1e-6)
        assert world.probe(f"t{index}").runs >= 9
    assert all(len(world.states(f"t{index}")) == 1 for index in range(5))


def test_new_labels_change_the_series_and_nothing_else(world):
    server = world.server(health=world.ok())
    world.start(world.job(server, labels={"team": "a"}))
    world.advance(50)
    runs, revision = world.probe().runs, world.ledger.revision
    world.engine.reconcile([world.job(server, labels={"team": "b"})])
    assert world.ledger.targets["t"].target.labels == {"team": "b"}
    assert world.ledger.revision > revision
    assert world.probe().runs == runs
    world.advance(15)
    assert world.results[-1].job.target.labels == {"team": "b"}
    revision = world.ledger.revision
    world.engine.reconcile([world.job(server, labels={"team": "b"})])
    assert world.ledger.revision == revision


def test_a_removed_target_is_gone_and_its_run_is_cancelled(world):
    server = world.server(health=world.hang)
    world.start(world.job(server), world.job(world.ok(), "other"))
    world.advance(1)
    assert world.exchanges[0].closed is None
    removed = world.now
    world.engine.reconcile([world.job(world.ok(), "other")])
    assert set(world.ledger.targets) == {"other"}
    world.advance(1)
    assert world.exchanges[0].closed == removed
    world.advance(100)
    assert len(server.runs) == 1
    assert {result.job.target.name for result in world.results} == {"other"}


def test_a_target_removed_while_it_waits_for_a_slot(world):
    world.make(Limits(concurrency=1, per_host=1))
    world.start(world.job(world.hang, "hog", interval=5.0))
    world.advance(0.5)
    hog = world.engine._watched.jobs["hog", "health"]
    server = world.server(health=world.ok())
    world.engine.reconcile([hog, world.job(server)])
    world.advance(1)
    assert world.ledger.own.waiting == 1
    world.engine.reconcile([hog])
    assert world.ledger.own.waiting == 0
    world.advance(20)
    assert server.runs == []


def test_a_changed_probe_starts_anew_and_its_target_goes_on(world):
    server = world.server(health=world.ok(), ready=world.ok())
    ready = world.job(server, probe="ready", interval=5.0)
    world.start(world.job(server, interval=10.0), ready)
    world.advance(100)
    generation = world.ledger.targets["t"].generation
    changes = world.engine.reconcile([world.job(server, interval=20.0, fingerprint="2", labels={"a": "b"}), ready])
    assert (len(changes.added), len(changes.removed), len(changes.kept)) == (1, 1, 1)
    assert world.ledger.targets["t"].generation == generation
    assert world.ledger.targets["t"].target.labels == {"a": "b"}
    assert world.probe().runs == 0
    world.advance(1)
    assert world.probe().runs == 1
    assert world.states() == [State.HEALTHY]


def test_the_only_probe_changing_does_not_end_the_target(world):
    server = world.server(health=world.ok(), ready=world.ok())
    world.start(world.job(server))
    world.advance(100)
    world.engine.reconcile([world.job(server, fingerprint="2")])
    assert world.state() is State.HEALTHY
    world.engine.reconcile([world.job(server, probe="ready")])
    assert world.state() is State.HEALTHY
    world.advance(1)
    assert list(world.ledger.targets["t"].probes) == ["ready"]
    assert world.states() == [State.HEALTHY]


def test_another_address_is_another_target(world):
    server = world.server(health=world.ok())
    world.start(world.job(server))
    world.advance(100)
    generation = world.ledger.targets["t"].generation
    other = world.server(health=world.hang)
    world.engine.reconcile([world.job(other, port=9000, fingerprint="2")])
    assert world.ledger.targets["t"].generation > generation
    assert world.state() is State.UNKNOWN
    world.advance(0.5)
    assert len(other.runs) == 1
    world.advance(5)
    assert world.state() is State.ERROR


@pytest.mark.parametrize("fingerprint", ["1", "2"])
def test_a_result_of_what_was_replaced_is_dropped(world, fingerprint):
    """The run ended in the same turn of the loop in which its job was replaced."""
    server = world.server(health=world.ok(latency=1.0))
    world.start(world.job(server))
    world.advance_to(lambda: world.ledger.own.in_flight == 1)
    flight = next(iter(world.engine._runner.flights))
    ready = world.job(world.ok(), probe="ready", interval=1000.0)
    world.engine.reconcile([ready])
    world.engine.reconcile([ready, world.job(server, fingerprint=fingerprint)])
    result = world.loop.run_until_complete(world.engine.once(world.job(server)))
    flight.done(dataclasses.replace(result, generation=flight.generation))
    assert world.probe().runs == 0
    world.advance(100)
    assert gaps(server.starts("health"))[3:] == pytest.approx([15.0] * (len(server.runs) - 4))


def test_a_canary_added_later_does_not_wait_for_its_phase(world):
    server = world.server(health=world.ok(), infer=world.ok())
    health = world.job(server, interval=3600.0)
    world.start(health)
    world.advance(100)
    world.engine.reconcile([health, world.job(server, probe="infer", interval=3600.0)])
    world.advance(1)
    assert len(server.starts("infer")) == 1


def test_a_removed_cheap_probe_does_not_leave_its_canary_waiting(world):
    server = world.server(health=world.hang, infer=world.ok())
    infer = world.job(server, probe="infer", interval=10.0)
    world.start(world.job(server, interval=3600.0, timeout=3600.0), infer)
    world.advance(50)
    assert server.starts("infer") == []
    world.engine.reconcile([infer])
    world.advance(10)
    assert len(server.starts("infer")) == 1


def test_without_its_canary_a_target_is_no_longer_verified(world):
    server = world.server(health=world.ok(), infer=world.ok())
    health = world.job(server, interval=5.0)
    world.start(health, world.job(server, probe="infer", interval=60.0))
    world.advance(100)
    assert world.ledger.targets["t"].verdict.verified
    world.engine.reconcile([health])
    world.advance(5.1)
    assert not world.ledger.targets["t"].verdict.verified
    assert world.states() == [State.HEALTHY]


def test_jobs_given_before_the_wheel_turns_are_planned_when_it_does(world):
    server = world.server(health=world.ok())
    world.engine.reconcile([world.job(server)])
    world.advance(100)
    assert (server.runs, world.engine.turning) == ([], False)
    world.start(world.job(server))
    world.advance(1)
    assert world.engine.turning
    assert server.runs[0][0] == pytest.approx(1100.0, abs=0.1)
    assert world.ledger.own.missed_slots == 0


# --- life -------------------------------------------------------------------------------------------------------------


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


def test_detect_pulls_and_is_pulled_like_health(world):
    server = world.server(health=world.ok(), infer=world.ok())
    world.start(world.job(server, kind=Kind.DETECT, interval=3600.0), world.job(server, probe="infer", interval=3600.0))
    world.advance(1)
    assert Counter(name for _, name in server.runs) == {"health": 1, "infer": 1}


def test_a_stop_of_our_own_makes_no_evidence_old(world):
    server = world.server(health=world.ok())
    world.start(*(world.job(server, f"t{index}", interval=5.0) for index in range(300)))
    world.advance(10)
    world.loop.freeze(100.0)
    world.advance(6)
    assert {change.verdict.state for _, change in world.changes} == {State.HEALTHY}


def test_a_state_stays_while_a_changed_probe_has_not_spoken(world):
    server = world.server(health=world.refused)
    world.start(world.job(server))
    world.advance(30)
    assert world.states() == [State.ERROR]
    server.answers["health"] = world.ok(latency=1.0)
    world.engine.reconcile([world.job(server, fingerprint="2")])
    world.advance(10)
    assert world.states() == [State.ERROR, State.HEALTHY]
