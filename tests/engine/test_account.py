"""Servers that account for their requests in all: what a canary took, by two readings around it."""

import asyncio

import pytest

from exporter.model.failure import Failure, Reason
from exporter.model.load import Load, Spent
from exporter.model.observation import Part

CANARY = {"interval": 60.0, "timeout": 30.0}


class Server:
    """Answers canaries, and says how many it answered and what they took: a quarter of a second each in its queue."""

    def __init__(self, world, latency=0.5):
        self.world = world
        self.answered = 7
        self.others = 0
        self.read = []
        self.answer = world.ok(latency=latency)
        self.telling_takes = 0.002
        self.trouble = None

    async def ask(self, exchange):
        found = await self.answer(exchange)
        self.answered += 1 + self.others
        return found

    async def tell(self, exchange):
        self.read.append(self.world.now)
        await asyncio.sleep(self.telling_takes)
        if self.trouble and len(self.read) > 1:
            raise self.trouble
        return Load(spent=Spent(self.answered, {Part.QUEUE: self.answered * 0.25, Part.COMPUTE: self.answered * 1.5}))

    def job(self, **more):
        more = {**CANARY, "accounts": True, **more}
        return self.world.job(self.ask, probe="infer", load=self.tell, **more)


@pytest.fixture
def server(world):
    return Server(world)


def run(world, job):
    world.start(job)
    world.advance_to(lambda: len(world.results) == 1)
    world.turning.cancel()
    world.advance(0)
    return world.results[0]


def test_what_it_grew_by_is_what_the_canary_took(world, server):
    result = run(world, server.job())
    assert result.observation.server_seconds == {Part.QUEUE: pytest.approx(0.25), Part.COMPUTE: pytest.approx(1.5)}
    assert server.read == [pytest.approx(result.started), pytest.approx(result.ended)]
    assert world.exchanges[0].opened >= server.read[0] + server.telling_takes
    assert result.measurement.duration == pytest.approx(0.5)
    assert result.load_after is None
    assert world.ledger.targets["t"].probes["infer"].server_seconds == result.observation.server_seconds


def test_the_requests_of_others_are_not_told_apart(world, server):
    server.others = 1
    assert run(world, server.job()).observation.server_seconds == {}
    assert len(server.read) == 2


def test_a_reading_that_outlasts_the_canary_may_hold_it(world, server):
    server.telling_takes = 0.7
    result = run(world, server.job())
    assert result.observation.server_seconds == {}
    assert len(server.read) == 1
    assert result.load is not None


def test_a_canary_waits_for_the_first_reading_and_not_for_long(world, server):
    server.answer = world.ok(latency=0.001)
    assert run(world, server.job()).observation.server_seconds
    server.telling_takes, server.read = 0.9, []
    result = world.loop.run_until_complete(world.engine.once(server.job(target="slow")))
    assert result.measurement.duration == pytest.approx(0.001)
    assert result.ended - result.started == pytest.approx(0.201)


def test_a_second_reading_that_fails_takes_nothing_from_the_result(world, server):
    server.trouble = Failure(Reason.RESET)
    result = run(world, server.job())
    assert result.observation.server_seconds == {}
    assert (result.reason, result.load.spent.requests) == (None, 7)


def test_of_a_canary_that_failed_nothing_is_told(world, server):
    server.answer = world.fails(Reason.EXPECTATION, observed=True)
    assert run(world, server.job()).observation.server_seconds == {}
    assert len(server.read) == 1


def test_on_demand_within_its_own_timeout(world, server):
    result = world.loop.run_until_complete(world.engine.once(server.job()))
    assert result.observation.server_seconds
    server.answer, server.telling_takes = world.ok(latency=1.8), 0.15
    result = world.loop.run_until_complete(world.engine.once(server.job(timeout=2.0)))
    assert (result.reason, result.observation.server_seconds) == (None, {})
    assert world.now <= result.started + 2.0 + 0.05  # where the backstop ends it


def test_the_ledger_forgets_what_the_next_run_is_not_told(world, server):
    world.start(server.job())
    world.advance(5)
    probe = world.ledger.targets["t"].probes["infer"]
    assert probe.server_seconds
    server.others = 3
    world.advance(60)
    assert probe.server_seconds == {}
