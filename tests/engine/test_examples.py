"""The situations that must come out right: whole engine, virtual time, fake servers.

tests/e2e/test_examples.py has those where it matters how a server words its answers.
"""

from dataclasses import replace

import pytest

from exporter.model.cost import Allowance
from exporter.model.failure import Reason, Status
from exporter.model.job import Kind, Scope
from exporter.model.load import Load
from exporter.model.observation import Observation
from exporter.model.state import State

pytestmark = pytest.mark.slow


def watched(world, server, *, health=5.0, canary="infer", every=300.0, timeout=30.0, **more):
    """A target with a health probe and a canary."""
    return [
        world.job(server, probe="health", interval=health, timeout=5.0, **more),
        world.job(server, probe=canary, interval=every, timeout=timeout, **more),
    ]


def verdict(world):
    return world.ledger.targets["t"].verdict


def test_a_killed_server_is_an_error_and_its_canary_is_asked_again(world):
    server = world.server(health=world.ok(), infer=world.ok())
    world.start(*watched(world, server))
    world.advance(400)
    assert world.states() == [State.HEALTHY]
    asked = len(server.starts("infer"))
    server.down = world.refused
    assert world.advance_to(lambda: world.state() is State.ERROR) <= 5.0 + 5.0
    assert (verdict(world).reason, verdict(world).probe) == (Reason.CONNECT_REFUSED, "health")
    assert not verdict(world).verified
    world.advance(0.1)
    assert len(server.starts("infer")) == asked + 1
    world.advance(120)
    assert world.states() == [State.HEALTHY, State.ERROR]


def test_the_first_attempts_of_a_killed_server_end_within_its_run(world):
    """Attempts 500 ms and 1 s apart; the state is there before the timeout would have been."""
    server = world.server(health=world.ok(), infer=world.ok())
    world.start(*watched(world, server, health=15.0))
    world.advance(100)
    server.down = world.refused
    world.advance(16.6)
    assert world.state() is State.ERROR
    assert world.of("health")[-1].attempts == 3


def test_it_comes_back_when_the_pulled_canary_passes(world):
    server = world.server(health=world.ok(), infer=world.ok(latency=2.0))
    world.start(*watched(world, server))
    world.advance(400)
    server.down = world.refused
    world.advance(200)
    server.down = None
    assert 2.0 <= world.advance_to(lambda: world.state() is State.HEALTHY) <= 5.0 + 2.0 + 0.1
    assert world.states() == [State.HEALTHY, State.ERROR, State.HEALTHY]
    assert verdict(world).verified


def test_it_comes_back_loading_first(world):
    loading = world.fails(Reason.NOT_READY)
    server = world.server(health=world.ok(), ready=world.ok(), infer=world.ok())
    world.start(world.job(server, probe="ready", interval=5.0), *watched(world, server))
    world.advance(400)
    server.down = world.refused
    world.advance(30)
    server.down, server.answers["ready"], server.answers["infer"] = None, loading, loading
    world.advance(60)
    assert world.state() is State.LOADING
    server.answers["ready"] = server.answers["infer"] = world.ok()
    assert world.advance_to(lambda: world.state() is State.HEALTHY) <= 5.1
    assert world.states() == [State.HEALTHY, State.ERROR, State.LOADING, State.HEALTHY]


def test_a_canary_that_times_out_once_and_passes_on_its_recheck(world):
    server = world.server(health=world.ok(), infer=world.ok())
    world.start(*watched(world, server, every=60.0))
    world.advance(200)
    server.answers["infer"] = world.hang
    world.advance_to(lambda: len(world.of("infer")) and world.of("infer")[-1].reason is Reason.TIMEOUT)
    failed = world.of("infer")[-1]
    server.answers["infer"] = world.ok()
    world.advance(5.02)
    assert server.starts("infer")[-1] == pytest.approx(failed.ended + 5.0, abs=0.01)
    world.advance(100)
    assert world.states() == [State.HEALTHY]
    probe = world.probe(probe="infer")
    assert probe.failures == {(Status.ERROR, Reason.TIMEOUT): 1}
    assert probe.runs == probe.attempts == len(server.starts("infer")), "the recheck is a run like all others"


@pytest.mark.parametrize("canary", ["infer", "stream"])
def test_health_is_200_and_the_canary_hangs(world, canary):
    server = world.server(health=world.ok(), **{canary: world.ok()})
    world.start(*watched(world, server, canary=canary, every=60.0))
    world.advance(200)
    server.answers[canary] = world.hang
    world.advance_to(lambda: world.state() is State.ZOMBIE)
    assert world.probe(probe=canary).failures == {(Status.ERROR, Reason.TIMEOUT): 2}
    assert world.states() == [State.HEALTHY, State.ZOMBIE]
    assert (verdict(world).reason, verdict(world).probe, verdict(world).verified) == (Reason.TIMEOUT, canary, True)
    record = world.ledger.targets["t"]
    assert record.disagreements["ok", "bad"] == 2
    server.answers[canary] = world.ok()
    world.advance(61)
    assert world.states() == [State.HEALTHY, State.ZOMBIE, State.HEALTHY]


def test_following_time_of_a_canary(world):
    """A change of the canary is known within its interval, two timeouts and one recheck."""
    server = world.server(health=world.ok(), infer=world.ok())
    world.start(*watched(world, server, every=60.0, timeout=30.0))
    world.advance(199.9)
    server.answers["infer"] = world.hang
    assert world.advance_to(lambda: world.state() is State.ZOMBIE) <= 60.0 + 2 * 30.0 + 5.0 + 0.1


def test_no_worker_behind_a_healthy_ping_is_a_zombie_and_never_saturated(world):
    no_worker = world.fails(Reason.HTTP_STATUS, "has no worker", http_status=503)
    server = world.server(health=world.ok(), infer=no_worker)
    world.start(*watched(world, server))
    world.advance(60)
    assert world.states() == [State.ZOMBIE]


@pytest.mark.parametrize(("room", "state"), [(0, State.SATURATED), (100, State.ZOMBIE)])
def test_one_and_the_same_refusal_is_read_by_what_the_management_port_says(world, room, state):
    """TorchServe says "has no worker" with 503 for a full queue too: only the queue's room tells."""

    async def predict(exchange):
        reason = Reason.HTTP_STATUS if room else Reason.OVERLOADED
        return await world.fails(reason, "has no worker to serve inference request", http_status=503)(exchange)

    load = Load(waiting=100 - room, running=4, capacity=4) if not room else Load(waiting=0, running=0, capacity=4)
    server = world.server(health=world.ok(), infer=predict)
    health, canary = watched(world, server)
    world.start(health, replace(canary, load=world.telling(load)))
    world.advance(60)
    assert world.states() == [state]


def test_ready_loading_and_a_predicting_server_is_loading(world):
    """BentoML: readyz 503 on purpose, predict 200."""
    server = world.server(health=world.ok(), ready=world.fails(Reason.NOT_READY), infer=world.ok())
    world.start(world.job(server, probe="ready", interval=60.0), *watched(world, server))
    world.advance(100)
    assert world.state() is State.LOADING
    assert verdict(world).reason is Reason.NOT_READY


def test_ready_of_the_whole_server_does_not_outvote_the_canary(world):
    """A server that is not ready because of another model."""
    server = world.server(ready=world.fails(Reason.HTTP_STATUS, http_status=400), infer=world.ok())
    world.start(
        world.job(server, probe="ready", interval=5.0, scope=Scope.SERVER),
        world.job(server, probe="infer", interval=60.0, timeout=30.0),
    )
    world.advance(100)
    assert world.state() is State.HEALTHY
    assert world.ledger.targets["t"].disagreements["bad", "ok"] >= 1


def test_a_key_that_is_refused(world):
    server = world.server(health=world.ok(), infer=world.fails(Reason.AUTH, "401", http_status=401))
    world.start(*watched(world, server))
    world.advance(400)
    assert world.states() == [State.UNHEALTHY]
    assert (verdict(world).reason, verdict(world).probe) == (Reason.AUTH, "infer")


def test_an_input_that_is_wrong(world):
    body = "422: instances: field required"
    server = world.server(
        health=world.ok(), infer=world.fails(Reason.HTTP_STATUS, body, http_status=422, observed=True)
    )
    world.start(*watched(world, server))
    world.advance(400)
    assert world.states() == [State.UNHEALTHY]
    assert verdict(world).reason is Reason.HTTP_STATUS
    assert verdict(world).detail == f"never passed since it was configured, probably our request: {body}"


def test_a_model_that_was_unloaded(world):
    server = world.server(health=world.ok(), ready=world.ok(), infer=world.ok())
    world.start(world.job(server, probe="ready", interval=5.0), *watched(world, server))
    world.advance(100)
    missing = world.fails(Reason.MODEL_NOT_FOUND, "Model iris not found", http_status=404)
    server.answers["ready"] = server.answers["infer"] = missing
    world.advance(30)
    assert world.states() == [State.HEALTHY, State.UNHEALTHY]
    assert verdict(world).reason is Reason.MODEL_NOT_FOUND


def test_a_gateway_that_limits_health_and_a_canary_that_passes(world):
    server = world.server(health=world.fails(Reason.RATE_LIMITED, http_status=429), infer=world.ok())
    world.start(*watched(world, server))
    world.advance(400)
    assert world.state() is State.HEALTHY
    assert sum(world.ledger.targets["t"].disagreements.values()) == 0


def test_a_canary_that_is_refused_for_load(world):
    server = world.server(health=world.ok(), infer=world.ok())
    world.start(*watched(world, server, every=60.0))
    world.advance(100)
    server.answers["infer"] = world.fails(Reason.RATE_LIMITED, http_status=429)
    world.advance(61)
    assert world.states() == [State.HEALTHY, State.SATURATED]
    assert sum(world.ledger.targets["t"].disagreements.values()) == 0


def test_a_model_that_is_not_loaded_and_may_not_be_woken(world):
    server = world.server(health=world.ok(), ready=world.ok(), infer=world.asleep())
    world.start(world.job(server, probe="ready", interval=5.0), *watched(world, server, every=60.0))
    world.advance(300)
    assert world.states() == [State.HEALTHY]
    assert not verdict(world).verified
    probe = world.probe(probe="infer")
    assert (probe.runs, probe.paused) == (0, {"asleep": True})
    assert probe.skipped["asleep"] >= 4


@pytest.mark.parametrize("state", [State.HEALTHY, State.ERROR])
def test_a_budget_that_is_spent_leaves_the_cheap_verdict(world, state):
    server = world.server(health=world.ok(), infer=world.ok())
    world.start(*watched(world, server, every=60.0, budget=Allowance(None, 2, 24 * 3600.0)))
    world.advance_to(lambda: world.probe(probe="infer").skipped["budget"] > 0)
    server.answers["health"] = world.refused if state is State.ERROR else world.ok()
    world.advance(300)
    assert world.state() is state
    assert not verdict(world).verified
    probe = world.probe(probe="infer")
    assert (probe.runs, probe.paused["budget"], len(server.starts("infer"))) == (2, True, 2)


@pytest.mark.parametrize("stopped_at", [0.0, 1.3, 2.9, 17.0, 31.7, 44.4, 59.0])
def test_a_server_that_is_stopped_is_an_error_and_never_a_zombie(world, stopped_at):
    server = world.server(health=world.ok(), infer=world.ok())
    world.start(*watched(world, server, every=60.0))
    world.advance(200 + stopped_at)
    server.down = world.hang
    assert world.advance_to(lambda: world.state() is not State.HEALTHY) <= 5.0 + 5.0 + 0.1
    world.advance(300)
    assert world.states() == [State.HEALTHY, State.ERROR]
    server.down = None
    world.advance(30)
    assert world.states() == [State.HEALTHY, State.ERROR, State.HEALTHY]


def test_only_a_canary(world):
    server = world.server(infer=world.ok())
    world.start(world.job(server, probe="infer", interval=60.0, timeout=30.0))
    world.advance(1)
    assert world.states() == [State.HEALTHY]
    server.down = world.refused
    world.advance(70)
    assert world.states() == [State.HEALTHY, State.ERROR]


def test_metadata_that_does_not_hold_demotes(world):
    server = world.server(health=world.ok(), metadata=world.ok())
    world.start(world.job(server), world.job(server, probe="metadata", interval=60.0))
    world.advance(100)
    server.answers["metadata"] = world.fails(Reason.EXPECTATION, "version 2, expected 3", observed=True)
    world.advance(60)
    assert world.states() == [State.HEALTHY, State.UNHEALTHY]
    assert (verdict(world).reason, verdict(world).probe) == (Reason.EXPECTATION, "metadata")
    server.answers["metadata"] = world.ok()
    world.advance(60)
    assert world.state() is State.HEALTHY


def test_a_detecting_target_is_judged_by_that(world):
    async def unknown(exchange):
        return Observation()

    world.start(world.job(unknown, probe="health", kind=Kind.DETECT))
    world.advance(1)
    assert world.states() == [State.HEALTHY]


def test_starting_up_is_loading_until_healthy_once(world):
    server = world.server(health=world.refused, infer=world.refused)
    world.start(*watched(world, server, startup=600.0))
    world.advance(300)
    assert world.states() == [State.LOADING]
    server.answers.update(health=world.ok(), infer=world.ok())
    world.advance(10)
    server.down = world.refused
    world.advance(20)
    assert world.states() == [State.LOADING, State.HEALTHY, State.ERROR]


def test_the_time_to_start_up_ends_without_a_run(world):
    server = world.server(health=world.refused)
    world.start(world.job(server, interval=100.0, startup=30.0))
    world.advance(29)
    assert world.states() == [State.LOADING]
    world.advance(1.1)
    assert world.states() == [State.LOADING, State.ERROR]
