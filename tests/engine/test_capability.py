"""Probes of what a model can: they set a number of their own and never speak for the target."""

import pytest

from exporter.model.cost import Allowance, Cost
from exporter.model.failure import Reason
from exporter.model.job import Kind
from exporter.model.state import State


def jobs(world, server, **more):
    return [
        world.job(server, probe="health", interval=5.0, timeout=5.0),
        world.job(server, probe="infer", interval=30.0, timeout=5.0),
        world.job(server, probe="tools", kind=Kind.INFER, interval=3600.0, timeout=5.0, capability="tools", **more),
    ]


def capabilities(world):
    return world.ledger.targets["t"].capabilities


@pytest.mark.parametrize(
    ("answer", "found"),
    [
        (lambda world: world.ok(), {"tools": True}),
        (lambda world: world.fails(Reason.EXPECTATION, "not called"), {"tools": False}),
        (lambda world: world.fails(Reason.HTTP_STATUS, "HTTP 400", http_status=400), {"tools": False}),
        (lambda world: world.fails(Reason.HTTP_STATUS, "HTTP 500", http_status=500), {"tools": False}),
        (lambda world: world.hang, {}),
        (lambda world: world.refused, {}),
        (lambda world: world.fails(Reason.OVERLOADED), {}),
        (lambda world: world.fails(Reason.NOT_READY), {}),
        (lambda world: world.fails(Reason.INTERNAL), {}),
        (lambda world: world.asleep(), {}),
    ],
)
def test_what_a_run_shows_and_that_the_state_does_not_care(world, answer, found):
    server = world.server(health=world.ok(), infer=world.ok(), tools=answer(world))
    world.start(*jobs(world, server))
    world.advance(200)
    assert capabilities(world) == found
    assert world.states() == [State.HEALTHY]
    record = world.ledger.targets["t"]
    assert record.verdict.verified
    assert sum(record.disagreements.values()) == 0
    assert len(server.starts("tools")) >= 1


def test_the_state_of_a_target_with_nothing_else_rests_on_no_canary(world):
    server = world.server(health=world.ok(), tools=world.ok())
    world.start(*(job for job in jobs(world, server) if job.probe != "infer"))
    world.advance(60)
    verdict = world.ledger.targets["t"].verdict
    assert (verdict.state, verdict.verified) == (State.HEALTHY, False)
    assert world.ledger.targets["t"].lifecycle is None


def test_it_is_asked_once_after_the_first_cheap_run_and_then_on_its_own_schedule(world):
    server = world.server(health=world.ok(), infer=world.ok(), tools=world.fails(Reason.EXPECTATION))
    world.start(*jobs(world, server))
    world.advance(10)
    assert len(server.starts("tools")) == 1
    assert server.starts("health")[0] < server.starts("tools")[0]
    world.advance(300)  # a conclusion needs no second look
    assert len(server.starts("tools")) == 1


def test_it_is_asked_again_soon_where_nothing_came_back(world):
    server = world.server(health=world.ok(), infer=world.ok(), tools=world.refused)
    world.start(*jobs(world, server))
    world.advance(20)
    assert capabilities(world) == {}
    server.answers["tools"] = world.ok()
    world.advance(60)
    assert capabilities(world) == {"tools": True}


def test_a_failed_one_pulls_nothing_forward(world):
    server = world.server(health=world.ok(), infer=world.ok(), tools=world.ok())
    world.start(*jobs(world, server))
    world.advance(100)
    before = len(server.starts("health"))
    server.answers["tools"] = world.fails(Reason.EXPECTATION)
    world.pull(probe="tools")
    world.advance(0.1)
    assert capabilities(world) == {"tools": False}
    assert len(server.starts("health")) == before


def test_it_is_not_said_of_a_model_that_the_request_is_wrong(world):
    server = world.server(health=world.ok(), infer=world.ok(), tools=world.fails(Reason.EXPECTATION, "not called"))
    world.start(*jobs(world, server))
    world.advance(20)
    assert world.probe(probe="tools").last.detail == "not called"


def test_it_counts_against_the_budget(world):
    server = world.server(health=world.ok(), tools=world.ok())
    budget = Allowance(tokens=100, requests=None, per=3600.0)
    world.start(
        world.job(server, probe="health", budget=budget),
        world.job(server, probe="tools", kind=Kind.INFER, capability="tools", cost=Cost(101), budget=budget),
    )
    world.advance(60)
    assert server.starts("tools") == []
    assert world.probe(probe="tools").skipped["budget"] >= 1


def test_two_probes_of_one_capability_both_have_to_show_it(world):
    server = world.server(health=world.ok(), one=world.ok(), two=world.fails(Reason.EXPECTATION))
    world.start(
        world.job(server, probe="health"),
        *(world.job(server, probe=name, kind=Kind.INFER, capability="tools") for name in ("two", "one")),
    )
    world.advance(60)
    assert capabilities(world) == {"tools": False}
