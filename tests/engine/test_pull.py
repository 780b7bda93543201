"""Probes that are pulled forward by what others saw, or by name."""

import itertools
from collections import Counter

import pytest

from exporter.model.failure import Reason
from exporter.model.job import Kind
from exporter.model.state import State
from tests.engine.test_schedule import gaps


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


def test_a_first_run_that_was_pulled_stands_for_its_first_moment(world):
    """All first moments lie within a second here, and a canary of two would be under way at its own."""
    jobs = []
    for number in range(25):
        server = world.server(health=world.ok(), infer=world.ok(latency=2.0))
        jobs += [world.job(server, f"t{number}", probe, interval=3600.0) for probe in ("health", "infer")]
    world.start(*jobs)
    world.advance(100)
    assert [world.probe(f"t{number}", "infer").skipped for number in range(25)] == [{}] * 25


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


def test_detect_pulls_and_is_pulled_like_health(world):
    server = world.server(health=world.ok(), infer=world.ok())
    world.start(world.job(server, kind=Kind.DETECT, interval=3600.0), world.job(server, probe="infer", interval=3600.0))
    world.advance(1)
    assert Counter(name for _, name in server.runs) == {"health": 1, "infer": 1}
