"""Canaries that would wake their model: no run, no failure, and a target that is judged by the rest."""

from itertools import pairwise

import pytest

from exporter.model.failure import Evidence, Reason, Status
from exporter.model.job import Retry
from exporter.model.observation import Observation
from exporter.model.state import State


def watched(world, server, *, every=60.0, **more):
    return [
        world.job(server, probe="health", interval=5.0, timeout=5.0),
        world.job(server, probe="stream", interval=every, timeout=30.0, **more),
    ]


def verdict(world):
    return world.ledger.targets["t"].verdict


def stream(world):
    return world.probe(probe="stream")


def test_a_model_that_is_not_loaded_is_healthy_and_not_verified(world):
    """Ollama: the model is not listed as running, and nobody said that it may be woken."""
    server = world.server(health=world.ok(), stream=world.asleep())
    world.start(*watched(world, server))
    world.advance(200)
    assert world.states() == [State.HEALTHY]
    assert not verdict(world).verified
    assert stream(world).skipped == {"asleep": len(server.starts("stream"))}
    assert stream(world).paused == {"asleep": True}
    assert (stream(world).runs, stream(world).attempts, stream(world).last) == (0, 0, None)
    assert not stream(world).failures
    assert not world.of("stream")
    assert sum(world.ledger.targets["t"].disagreements.values()) == 0


def test_it_stays_planned_on_its_grid_with_no_recheck(world):
    server = world.server(health=world.ok(), stream=world.asleep())
    world.start(*watched(world, server))
    world.advance(400)
    starts = server.starts("stream")[1:]
    assert [later - earlier for earlier, later in pairwise(starts)] == pytest.approx([60.0] * (len(starts) - 1))
    assert stream(world).interval == 60.0


def test_a_run_ends_the_pause_and_speaks(world):
    server = world.server(health=world.ok(), stream=world.asleep())
    world.start(*watched(world, server))
    world.advance(100)
    server.answers["stream"] = world.ok()
    world.advance(60)
    assert stream(world).paused == {"asleep": False}
    assert verdict(world).verified
    assert world.states() == [State.HEALTHY]
    server.answers["stream"] = world.asleep()
    world.advance(60)
    assert stream(world).paused == {"asleep": True}
    assert not verdict(world).verified
    server.answers["stream"] = world.ok()
    world.advance(61)
    assert verdict(world).verified  # though its evidence was ok all the time


def test_streaks_go_on_where_they_were(world):
    """One failure, asleep, one more failure: twice in a row, because a skipped slot breaks no streak."""
    server = world.server(health=world.ok(), stream=world.ok())
    world.start(*watched(world, server))
    world.advance(100)
    answers = [world.hang, world.asleep(), world.hang]

    async def ask(exchange):
        answer = answers.pop(0) if len(answers) > 1 else answers[0]
        return await answer(exchange)

    server.answers["stream"] = ask
    world.advance_to(lambda: world.state() is State.ZOMBIE)
    assert stream(world).failures == {(Status.ERROR, Reason.TIMEOUT): 2}
    assert stream(world).skipped == {"asleep": 1}


def test_a_recheck_that_finds_it_asleep_goes_back_to_the_grid(world):
    server = world.server(health=world.ok(), stream=world.ok())
    world.start(*watched(world, server))
    world.advance(100)
    server.answers["stream"] = world.hang
    world.advance_to(lambda: bool(stream(world).failures))
    server.answers["stream"] = world.asleep()
    asked = len(server.starts("stream"))
    world.advance(120)
    starts = server.starts("stream")[asked:]
    assert starts[0] - world.of("stream")[-1].ended == pytest.approx(5.0, abs=0.01)
    assert [later - earlier for earlier, later in pairwise(starts[1:])] == pytest.approx([60.0] * (len(starts) - 2))
    assert stream(world).interval == 60.0
    assert world.states() == [State.HEALTHY]


def test_no_attempt_follows(world):
    server = world.server(health=world.ok(), stream=world.asleep())
    world.start(*watched(world, server, retry=Retry(attempts=3)))
    world.advance(59)
    assert len(server.starts("stream")) <= 2


def test_an_older_sleep_does_not_speak_for_a_server_that_came_back(world):
    """It is held until the canary, which the change pulls forward, has looked again."""
    server = world.server(health=world.ok(), stream=world.asleep())
    world.start(*watched(world, server, every=300.0))
    world.advance(50)
    server.down = world.refused
    world.advance_to(lambda: world.state() is State.ERROR)
    world.advance(30)
    server.down = None
    server.answers["stream"] = world.ok(latency=2.0)
    world.advance_to(lambda: bool(world.of("health")) and world.of("health")[-1].evidence is Evidence.OK)
    assert world.state() is State.ERROR
    assert world.advance_to(lambda: world.state() is State.HEALTHY) == pytest.approx(2.0, abs=0.1)
    assert verdict(world).verified


def test_nothing_is_read_of_the_load_of_a_sleeping_model_for_long(world):
    telling = world.telling(None, latency=0.9)
    server = world.server(health=world.ok(), stream=world.asleep())
    world.start(*watched(world, server, load=telling))
    world.advance_to(lambda: bool(telling.read))
    world.advance(0.01)
    assert telling.at_once == 0


def test_on_demand_it_says_so_and_is_no_failure(world):
    begun = world.now
    result = world.loop.run_until_complete(
        world.engine.once(world.job(world.asleep("not loaded;\nit has s3cr3t"), probe="stream"))
    )
    assert (result.skipped, result.outcome, result.detail) == ("asleep", "asleep", "not loaded; it has ***")
    assert (result.evidence, result.reason, result.attempts, result.failures) == (Evidence.NONE, None, 1, ())
    assert result.observation == Observation()
    assert result.ended - begun < 0.1
