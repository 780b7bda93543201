"""One bad target never touches another."""

import asyncio
import random
from collections import Counter

import pytest

from exporter.engine import Limits
from exporter.model.failure import Failure, Reason

pytestmark = pytest.mark.slow

TARGETS = 1000


def delays(world, prefix, since):
    return sorted(
        result.started - result.planned
        for result in world.results
        if result.job.target.name.startswith(prefix) and result.planned >= since
    )


@pytest.mark.parametrize("canaries", [False, True])
def test_a_thousand_that_time_out_do_not_delay_a_thousand_that_answer(world, canaries):
    """On 200 slots, of which the dead alone would take 500."""
    world.make(Limits(concurrency=200, per_host=8))
    dead, alive = world.server(health=world.hang), world.server(health=world.ok(latency=0.02))
    if canaries:
        dead.answers["health"], dead.answers["infer"] = world.ok(latency=0.02), world.hang
    jobs = [world.job(alive, f"alive-{index}", interval=10.0) for index in range(TARGETS)]
    for index in range(TARGETS):
        jobs.append(world.job(dead, f"dead-{index}", interval=10.0))
        if canaries:
            jobs.append(world.job(dead, f"dead-{index}", "infer", interval=30.0, timeout=15.0))
    world.start(*jobs)
    world.advance(45)  # until each has shown once what it is
    settled, before = world.now, len(world.results)
    world.advance(20)
    healthy = delays(world, "alive", settled)
    assert len(healthy) == pytest.approx(2 * TARGETS, rel=0.01)
    assert healthy[-1] <= 0.01
    hung = [result for result in world.results[before:] if result.reason is Reason.TIMEOUT]
    assert len(hung) >= 100 * 20 / 15.0 - 100  # half of the slots go on asking them
    assert all(result.reason is None for result in world.results if result.job.target.name.startswith("alive"))


def test_half_of_all_hang_at_once(world):
    """Each that was well has to time out once before that is known; what it has waiting besides steps aside then."""
    world.make(Limits(concurrency=60, per_host=8))
    hung, alive = world.server(health=world.ok(0.02), infer=world.ok(0.5)), world.server(health=world.ok(0.02))
    world.start(
        *(world.job(alive, f"alive-{index}", interval=10.0) for index in range(300)),
        *(world.job(hung, f"hung-{index}", interval=10.0) for index in range(300)),
        *(world.job(hung, f"hung-{index}", "infer", interval=60.0, timeout=30.0) for index in range(300)),
    )
    world.advance(70)
    hung.answers["health"] = hung.answers["infer"] = world.hang
    world.advance(80)  # 300 times 5 s on 60 slots that others want too, and canaries of 30 s that were begun meanwhile
    settled = world.now
    world.advance(60)
    healthy = delays(world, "alive", settled)
    assert len(healthy) == pytest.approx(6 * 300, rel=0.01)
    assert healthy[-1] <= 0.01


def test_one_host_that_hangs_delays_only_itself(world):
    world.make(Limits(concurrency=100, per_host=4))
    dead, alive = world.server(health=world.hang), world.server(health=world.ok())
    world.start(
        *(world.job(dead, f"dead-{index}", host="gateway", interval=10.0) for index in range(300)),
        *(world.job(alive, f"alive-{index}", interval=10.0) for index in range(100)),
    )
    world.advance(60)
    assert delays(world, "alive", 0.0)[-1] <= 0.01
    assert world.ledger.own.in_flight <= 4 + 100


def test_behind_one_gateway_the_dead_leave_half_of_it_to_the_living(world):
    world.make(Limits(concurrency=100, per_host=8))
    dead, alive = world.server(health=world.hang), world.server(health=world.ok())
    world.start(
        *(world.job(dead, f"dead-{index}", host="gateway", interval=10.0) for index in range(40)),
        *(world.job(alive, f"alive-{index}", host="gateway", interval=10.0) for index in range(40)),
    )
    world.advance(60)
    settled = world.now
    world.advance(60)
    assert delays(world, "alive", settled)[-1] <= 0.01


def test_all_die_at_once_and_come_back_without_a_wave(world):
    world.engine._runner._random = random.Random(1).random
    server = world.server(health=world.ok(), infer=world.ok())
    world.start(
        *(world.job(server, f"t{index}", interval=10.0) for index in range(200)),
        *(world.job(server, f"t{index}", "infer", interval=60.0, timeout=30.0) for index in range(200)),
    )
    world.advance(60)

    def peak(seconds):
        begun, before = world.now, len(world.exchanges)
        world.advance(seconds)
        return max(Counter(int(exchange.opened - begun) for exchange in world.exchanges[before:]).values())

    mean = 200 / 10.0 + 200 / 60.0
    server.down = world.refused
    # Three attempts for health, and a canary with its re-checks: more traffic, never all of it in one second.
    assert peak(40) <= 8 * mean
    server.down = None
    assert peak(20) <= 4 * mean


def test_whoever_was_cut_off_at_the_same_moment_asks_again_at_moments_of_their_own(world):
    """A server that restarts resets all it has in flight at once: their waits are drawn, over all of the backoff."""
    world.engine._runner._random = random.Random(1).random
    restarts = world.now + 40.0

    async def answer(exchange):
        await asyncio.sleep(max(0.0, restarts - world.now))
        raise Failure(Reason.RESET, "the server restarts")

    server = world.server(health=world.ok())
    world.start(*(world.job(server, f"t{index}", interval=30.0, timeout=10.0) for index in range(1000)))
    world.advance(32)
    server.down = answer
    world.advance(8 + 0.55)  # the first wait is drawn from half a second
    cut = sum(exchange.closed == restarts for exchange in world.exchanges)
    again = Counter(int((at - restarts) / 0.05) for at, _ in server.runs if at > restarts)
    assert cut > 200
    assert sum(again.values()) >= cut
    assert max(again.values()) <= cut / 4  # of ten parts
