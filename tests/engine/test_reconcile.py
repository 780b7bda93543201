"""A new list of jobs: what is unchanged goes on, the rest begins or ends."""

import dataclasses

import pytest

from exporter.engine import Limits
from exporter.model.state import State
from tests.engine.test_schedule import gaps


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


def test_a_state_stays_while_a_changed_probe_has_not_spoken(world):
    server = world.server(health=world.refused)
    world.start(world.job(server))
    world.advance(30)
    assert world.states() == [State.ERROR]
    server.answers["health"] = world.ok(latency=1.0)
    world.engine.reconcile([world.job(server, fingerprint="2")])
    world.advance(10)
    assert world.states() == [State.ERROR, State.HEALTHY]
