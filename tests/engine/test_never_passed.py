"""A canary that never passed since it was configured says so: it may be our request that is wrong."""

import pytest

from exporter.model.failure import MAX_DETAIL, Reason
from exporter.model.state import State

OURS = "never passed since it was configured, probably our request: "
NEVER = "never passed since it was configured: "


def jobs(world, server, **more):
    return [
        world.job(server, probe="health", interval=5.0, timeout=5.0),
        world.job(server, probe="infer", interval=30.0, timeout=5.0, **more),
    ]


def last(world):
    return world.probe(probe="infer").last.detail


@pytest.mark.parametrize(
    ("answer", "detail"),
    [
        (lambda world: world.fails(Reason.HTTP_STATUS, "HTTP 422: no", http_status=422), f"{OURS}HTTP 422: no"),
        (lambda world: world.fails(Reason.EXPECTATION, "it is 1"), f"{OURS}it is 1"),
        (lambda world: world.fails(Reason.AUTH), OURS.removesuffix(": ")),
        (lambda world: world.fails(Reason.HTTP_STATUS, "HTTP 500", http_status=500), f"{NEVER}HTTP 500"),
        (lambda world: world.hang, f"{NEVER}no answer"),
        # These come whatever is asked.
        (lambda world: world.refused, "connection refused"),
        (lambda world: world.fails(Reason.OVERLOADED, "busy"), "busy"),
        (lambda world: world.fails(Reason.NOT_READY, "soon"), "soon"),
        (lambda world: world.fails(Reason.INTERNAL, "ours"), "ours"),
    ],
)
def test_what_the_detail_says(world, answer, detail):
    server = world.server(health=world.ok(), infer=answer(world))
    world.start(*jobs(world, server))
    world.advance(20)
    assert last(world) == detail
    assert world.probe(probe="infer").recent_failures[-1].detail == detail
    assert world.of("infer")[-1].detail == detail


def test_the_state_says_so_until_it_passed_once(world):
    server = world.server(health=world.ok(), infer=world.fails(Reason.EXPECTATION, "it is 1"))
    world.start(*jobs(world, server))
    world.advance(20)
    verdict = world.ledger.targets["t"].verdict
    assert (verdict.state, verdict.detail) == (State.UNHEALTHY, f"{OURS}it is 1")
    server.answers["infer"] = world.ok()
    world.advance(60)
    server.answers["infer"] = world.fails(Reason.EXPECTATION, "it is 2")
    world.advance(60)
    verdict = world.ledger.targets["t"].verdict
    assert (verdict.state, verdict.detail, last(world)) == (State.UNHEALTHY, "it is 2", "it is 2")


def test_another_definition_has_to_pass_anew_and_other_labels_do_not(world):
    server = world.server(health=world.ok(), infer=world.ok())
    world.start(*jobs(world, server))
    world.advance(20)
    server.answers["infer"] = world.fails(Reason.EXPECTATION, "it is 1")
    world.engine.reconcile(jobs(world, server, labels={"a": "b"}))
    world.advance(60)
    assert last(world) == "it is 1"
    world.engine.reconcile(jobs(world, server, fingerprint="2"))
    world.advance(60)
    assert last(world) == f"{OURS}it is 1"


def test_a_cheap_probe_says_no_such_thing(world):
    server = world.server(health=world.fails(Reason.EXPECTATION, "it is 1"))
    world.start(world.job(server, probe="health"))
    world.advance(20)
    assert world.probe().last.detail == "it is 1"


def test_a_run_outside_the_schedule_says_no_such_thing(world):
    job = world.job(world.fails(Reason.EXPECTATION, "it is 1"), probe="infer")
    assert world.loop.run_until_complete(world.engine.once(job)).detail == "it is 1"


def test_the_detail_stays_bounded(world):
    server = world.server(health=world.ok(), infer=world.fails(Reason.EXPECTATION, "x" * 300))
    world.start(*jobs(world, server))
    world.advance(20)
    assert len(last(world)) == MAX_DETAIL
