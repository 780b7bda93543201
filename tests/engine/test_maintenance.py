"""Targets that are left alone: nothing is asked, nothing changes, and everything is asked when it is over."""

import logging

import pytest

from exporter.model.failure import Reason
from exporter.model.maintenance import Span, Wish
from exporter.model.state import State


def watched(world, server, target="t", **more):
    return [
        world.job(server, target, "health", interval=5.0, timeout=5.0, **more),
        world.job(server, target, "stream", interval=60.0, timeout=30.0, **more),
    ]


def planned(world, after, seconds):
    """A window that begins in so many seconds."""
    begins = world.wall() + after
    return (Span(begins, begins + seconds),)


def announce(world, *names, seconds=300.0, **traits):
    async def announce():
        return world.engine.pauses.announce(Wish(frozenset(names), traits, seconds))

    return world.loop.run_until_complete(announce())


def withdraw(world, name):
    async def withdraw():
        return world.engine.pauses.withdraw(name)

    return world.loop.run_until_complete(withdraw())


def reconcile(world, *jobs):
    async def reconcile():
        world.engine.reconcile(jobs)

    world.loop.run_until_complete(reconcile())


def asked(server):
    return len(server.runs)


@pytest.fixture
def server(world):
    return world.server(health=world.ok(), stream=world.ok())


def test_in_a_window_nothing_is_asked_and_the_state_stays(world, server):
    world.start(*watched(world, server, maintenance=planned(world, 100, 600)))
    world.advance(101)
    before = asked(server)
    server.down = world.refused  # it is being replaced
    world.advance(598)
    assert asked(server) == before
    assert world.states() == [State.HEALTHY]
    assert world.probe().skipped["maintenance"] == pytest.approx(120, abs=2)
    assert world.probe(probe="stream").skipped["maintenance"] == 10
    assert world.probe().paused["maintenance"]
    assert world.probe(probe="stream").paused["maintenance"]
    assert world.ledger.targets["t"].rests_until == pytest.approx(world.wall() + 1, abs=0.1)


def test_at_its_end_everything_is_asked_at_once(world, server):
    world.start(*watched(world, server, maintenance=planned(world, 100, 600)))
    world.advance(699.9)
    before = asked(server)
    world.advance(0.5)
    assert {name for _, name in server.runs[before:]} == {"health", "stream"}
    assert world.probe().paused == {"maintenance": False}
    assert world.ledger.targets["t"].rests_until is None
    assert world.states() == [State.HEALTHY]
    world.advance(300)
    assert world.states() == [State.HEALTHY]
    assert set(world.probe().skipped) == {"maintenance"}


def test_a_server_that_did_not_come_back_is_found_out(world, server):
    world.start(*watched(world, server, maintenance=planned(world, 100, 600)))
    world.advance(200)
    server.down = world.refused
    world.advance(499)
    assert world.states() == [State.HEALTHY]
    world.advance(2)
    assert world.states() == [State.HEALTHY, State.ERROR]


def test_what_was_wrong_before_stays_wrong_until_it_was_asked(world, server):
    server.answers["stream"] = world.fails(Reason.EXPECTATION)
    world.start(*watched(world, server, maintenance=planned(world, 100, 3600)))
    world.advance(101)
    assert world.state() is State.UNHEALTHY
    server.answers["stream"] = world.ok(latency=2.0)
    world.advance(3598)
    assert world.state() is State.UNHEALTHY
    world.advance(1.5)
    assert world.state() is State.UNHEALTHY
    world.advance(2.5)
    assert world.state() is State.HEALTHY


def test_a_run_that_was_under_way_is_booked_and_says_nothing(world, server):
    world.start(*watched(world, server))
    world.advance_to(lambda: world.state() is State.HEALTHY)
    server.answers["stream"] = world.fails(Reason.RESET, latency=20.0)
    world.pull(probe="stream")
    server.answers["health"] = world.fails(Reason.TIMEOUT, latency=4.0)
    world.advance_to(lambda: world.engine._watches["t"].probes["health"].flight is not None)
    world.advance(1)
    assert announce(world, "t") is not None
    world.advance(30)
    assert world.probe(probe="stream").runs == 2
    assert world.probe().failures
    assert world.probe().paused["maintenance"]
    assert world.states() == [State.HEALTHY]
    before = asked(server)
    world.advance(200)
    assert asked(server) == before  # nor did it pull anything forward


def test_who_waits_for_a_slot_is_called_off(world, server):
    from exporter.engine import Limits

    world.make(Limits(concurrency=1))
    slow = world.server(health=world.ok(latency=50.0))
    world.start(world.job(slow, "slow", interval=300.0, timeout=100.0))
    world.advance_to(lambda: bool(slow.starts("health")))
    reconcile(world, world.job(slow, "slow", interval=300.0, timeout=100.0), *watched(world, server))
    world.advance(10)
    assert announce(world, "t") is not None
    world.advance(100)
    assert asked(server) == 0


def test_announced_by_name_or_by_label(world, server):
    other = world.server(health=world.ok(), stream=world.ok())
    world.start(*watched(world, server, "a", labels={"team": "ml"}), *watched(world, other, "b"))
    world.advance(70)
    made = announce(world, team="ml", seconds=100.0)
    before = asked(server), asked(other)
    world.advance(90)
    assert asked(server) == before[0]
    assert asked(other) > before[1] + 10
    assert world.engine.pauses.announced == (made,)
    world.advance(11)
    assert asked(server) > before[0]
    assert world.engine.pauses.announced == ()


def test_withdrawn_it_ends_at_once(world, server):
    world.start(*watched(world, server))
    world.advance(70)
    made = announce(world, "t")
    world.advance(50)
    before = asked(server)
    assert withdraw(world, made.id)
    world.advance(1)
    assert asked(server) > before
    assert not withdraw(world, made.id)


def test_the_one_that_ends_last_counts(world, server):
    world.start(*watched(world, server))
    world.advance(70)
    announce(world, "t", seconds=50.0)
    longer = announce(world, "t", seconds=100.0)
    world.advance(60)
    before = asked(server)
    assert world.ledger.targets["t"].rests_until == longer.ends
    withdraw(world, longer.id)
    world.advance(1)
    assert asked(server) > before


def test_it_survives_a_reload_and_holds_for_what_comes_later(world, server):
    world.start(*watched(world, server, "a"))
    world.advance(70)
    announce(world, team="ml", seconds=300.0)
    late = world.server(health=world.ok(), stream=world.ok())
    reconcile(
        world, *watched(world, server, "a", labels={"team": "ml"}), *watched(world, late, "b", labels={"team": "ml"})
    )
    before = asked(server)
    world.advance(200)
    assert (asked(server), asked(late)) == (before, 0)
    assert world.state("b") is State.UNKNOWN
    world.advance(110)
    assert world.state("b") is State.HEALTHY


def test_there_is_an_end_to_announcing(world, server):
    world.start(*watched(world, server))
    made = [announce(world, "x") for _ in range(101)]
    assert [each is None for each in made] == [False] * 100 + [True]
    withdraw(world, made[7].id)
    assert announce(world, "x") is not None


def test_windows_do_not_count_for_who_was_told_to_look_now(world, server):
    world.make(windows=False)
    world.start(*watched(world, server, maintenance=planned(world, -100, 6000)))
    world.advance(10)
    assert world.state() is State.HEALTHY


def test_a_clock_that_is_set_is_followed_within_a_minute(world, server):
    world.start(*watched(world, server, maintenance=planned(world, 7200, 600)))
    world.advance(70)
    ahead = world.wall
    world.engine.pauses._wall = world.engine.pauses._timers[0]._wall = lambda: ahead() + 7200
    world.advance(61)
    before = asked(server)
    world.advance(60)
    assert asked(server) == before


def test_begin_and_end_are_told(world, server, caplog):
    caplog.set_level(logging.INFO, "exporter.engine.pauses")
    jobs = [
        job
        for number in range(12)
        for job in watched(world, server, f"t{number:02}", maintenance=planned(world, 60, 60))
    ]
    world.start(*jobs)
    world.advance(200)
    told = [(record.getMessage(), record.fields) for record in caplog.records]
    names = ",".join(f"t{number:02}" for number in range(10)) + ",..."
    assert told == [
        ("maintenance begins", {"targets": names, "count": 12}),
        ("maintenance ends", {"targets": names, "count": 12}),
    ]


def test_a_failure_from_before_is_no_flicker_afterwards(world, server):
    """The health check that was under way failed, for its server was being stopped; ready answers before it does."""
    server.answers["ready"] = world.ok()
    world.start(*watched(world, server), world.job(server, probe="ready", interval=5.0))
    world.advance_to(lambda: world.state() is State.HEALTHY)
    server.answers["health"] = world.fails(Reason.CONNECT, latency=4.0)
    world.advance_to(lambda: world.engine._watches["t"].probes["health"].flight is not None)
    announce(world, "t", seconds=60.0)
    world.advance(59)
    assert world.probe().failures
    server.answers["health"] = world.ok(latency=2.0)
    world.advance(60)
    assert world.states() == [State.HEALTHY]


def test_a_target_that_is_new_in_maintenance_waits_for_its_end(world, server):
    world.start(*watched(world, server, maintenance=planned(world, -100, 400)))
    world.advance(299)
    assert asked(server) == 0
    assert world.state() is State.UNKNOWN
    assert world.probe(probe="stream").skipped["maintenance"] in (5, 6)
    world.advance(2)
    assert world.state() is State.HEALTHY
