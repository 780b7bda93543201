"""A server comes, goes and comes back, and what that says of its load."""

import asyncio
from dataclasses import replace

import pytest

from exporter.ledger.lifecycle import USUAL
from exporter.model.endpoint import Endpoint
from exporter.model.failure import Reason
from exporter.model.observation import Observation
from exporter.model.state import State
from tests.engine.conftest import FakeExchange, Server, World


def life(world: World) -> tuple[float | None, float | None]:
    found = world.ledger.targets["t"].lifecycle
    return found.load, found.penalty


def served(world: World, *, first: float = 3.0) -> Server:
    """A server whose canary takes `first` seconds once, and then half a second."""
    waits = [first]

    async def infer(exchange: FakeExchange) -> Observation:
        await asyncio.sleep(waits.pop() if waits else 0.5)
        return Observation()

    server = world.server(health=world.ok(), infer=infer)
    server.colder = waits  # type: ignore[attr-defined]
    return server


def test_added_while_it_runs(world: World) -> None:
    server = served(world)
    world.start(world.job(server), world.job(server, probe="infer", interval=30.0))
    begun = world.now
    world.advance_to(lambda: bool(world.of("infer")))
    assert life(world) == (pytest.approx(world.now - begun, abs=0.01), None)
    world.advance_to(lambda: len(world.of("infer")) == USUAL)
    assert life(world)[1] is None
    world.advance_to(lambda: len(world.of("infer")) == USUAL + 1)
    assert life(world)[1] == pytest.approx(2.5, abs=0.01)


def test_added_before_it_is_there(world: World) -> None:
    server = served(world)
    server.down = world.refused
    world.start(world.job(server), world.job(server, probe="infer", interval=30.0))
    begun = world.now
    world.advance(100)
    assert life(world) == (None, None)
    server.down = None
    world.advance_to(lambda: world.state() is State.HEALTHY)
    assert life(world)[0] == pytest.approx(world.now - begun, abs=0.01)
    assert 100 < (life(world)[0] or 0) < 130


def test_restarted(world: World) -> None:
    server = served(world)
    world.start(world.job(server), world.job(server, probe="infer", interval=30.0))
    world.advance(400)
    assert life(world)[1] is not None
    server.down = world.refused
    gone = world.now
    world.advance_to(lambda: world.state() is State.ERROR)
    assert life(world) == (None, None)
    world.advance(60)
    server.colder.append(4.5)  # type: ignore[attr-defined]
    server.down = None
    world.advance_to(lambda: world.state() is State.HEALTHY)
    load, penalty = life(world)
    assert load == pytest.approx(world.now - gone, abs=16)  # it is found gone within an interval
    assert load >= 60
    assert penalty is None
    world.advance(400)
    assert life(world) == (load, pytest.approx(4.0, abs=0.01))


@pytest.mark.parametrize("reason", [Reason.HTTP_STATUS, Reason.OVERLOADED, Reason.NOT_READY, Reason.TIMEOUT])
def test_not_well_is_not_gone(world: World, reason: Reason) -> None:
    server = served(world)
    world.start(world.job(server), world.job(server, probe="infer", interval=30.0))
    world.advance(400)
    before = life(world)
    server.down = world.fails(reason)
    world.advance(200)
    server.down = None
    world.advance(200)
    assert life(world) == before


def test_at_another_address_it_is_added_anew(world: World) -> None:
    server = served(world)
    jobs = [world.job(server), world.job(server, probe="infer", interval=30.0)]
    world.start(*jobs)
    world.advance(400)
    moved = replace(jobs[0].target, endpoint=Endpoint("http", "elsewhere", 8000))
    world.engine.reconcile([replace(job, target=moved, fingerprint="2") for job in jobs])
    assert life(world) == (None, None)
    begun = world.now
    world.advance_to(lambda: life(world)[0] is not None)
    assert life(world)[0] == pytest.approx(world.now - begun, abs=0.01)


def test_without_a_canary_nothing_is_known(world: World) -> None:
    world.start(world.job(world.server(health=world.ok())))
    world.advance(600)
    assert world.ledger.targets["t"].lifecycle is None
