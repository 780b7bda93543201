"""Replicas of one target: each a host of its own, and what goes away leaves the others alone."""

from dataclasses import replace
from typing import Any

from exporter.engine import Limits
from exporter.model.endpoint import Endpoint
from exporter.model.job import Job
from exporter.model.state import State


def replica(world: Any, answer: Any, address: str, **more: Any) -> Job:
    name = f"g@{address}:80"
    job: Job = world.job(answer, name, **more)
    endpoint = Endpoint("http", "all.svc", 80, addresses=(address,))
    return replace(job, target=replace(job.target, endpoint=endpoint, group="g", address=f"{address}:80"))


def test_replicas_do_not_share_the_slots_of_their_common_name(world: Any) -> None:
    world.make(Limits(concurrency=100, per_host=1))
    hung, well = world.server(health=world.hang), world.server(health=world.ok())
    world.start(replica(world, hung, "10.0.0.1", interval=5.0), replica(world, well, "10.0.0.2", interval=5.0))
    world.advance(60)
    waited = [run.started - run.planned for run in world.results if run.job.target.name == "g@10.0.0.2:80"]
    assert len(waited) > 10
    assert max(waited) <= 0.01, "the one that hangs holds its own slot only"


def test_one_address_keeps_its_slots_whatever_target_asks_it(world: Any) -> None:
    world.make(Limits(concurrency=100, per_host=1))
    plain = world.job(world.stuck, "plain", host="10.0.0.1", port=80, interval=5.0)
    world.start(plain, replica(world, world.stuck, "10.0.0.1", interval=5.0))
    world.advance(3)
    assert (world.ledger.own.in_flight, world.ledger.own.waiting) == (1, 1)


def test_an_address_that_leaves_takes_nothing_of_the_others_along(world: Any) -> None:
    server = world.server(health=world.ok())
    one, two = (replica(world, server, address) for address in ("10.0.0.1", "10.0.0.2"))
    world.start(one, two)
    world.advance(100)
    runs = world.probe("g@10.0.0.1:80").runs
    due = world.engine._watches["g@10.0.0.1:80"].probes["health"].offset
    three = replica(world, server, "10.0.0.3")
    changes = world.engine.reconcile([replica(world, server, "10.0.0.1"), three])
    assert [job.target.name for job in changes.kept] == ["g@10.0.0.1:80"]
    assert list(world.ledger.groups["g"].members) == ["g@10.0.0.1:80", "g@10.0.0.3:80"]
    world.advance(30)
    assert world.probe("g@10.0.0.1:80").runs >= runs + 1
    assert world.engine._watches["g@10.0.0.1:80"].probes["health"].offset == due
    assert world.states("g@10.0.0.1:80") == [State.HEALTHY], "it was not judged anew"
    assert dict(world.ledger.groups["g"].states()) == {State.HEALTHY: 2}


def test_a_target_by_name_gives_way_to_its_replicas_and_comes_back(world: Any) -> None:
    server = world.server(health=world.ok())
    by_name = world.job(server, "g", host="all.svc", port=80)
    world.start(by_name)
    world.advance(20)
    world.engine.reconcile([replica(world, server, "10.0.0.1")])
    assert list(world.ledger.targets) == ["g@10.0.0.1:80"]
    world.engine.reconcile([by_name])
    assert (list(world.ledger.targets), world.ledger.groups) == (["g"], {})
