"""One attempt by itself: its deadline, whoever's task it is made in, and its end."""

import asyncio

import pytest

from exporter.engine.attempt import attempt
from exporter.model.failure import Reason
from exporter.transport.alarm import Timers


@pytest.fixture
def make(world):
    """`make(ask)`: one attempt of five seconds, in the running task."""

    async def make(ask):
        job = world.job(ask)
        timers = Timers(world.loop.time)
        return await attempt(lambda deadline: world.open(job, deadline, "0"), ask, 5.0, timers, lambda: None)

    return make


def test_what_was_found(world, make):
    async def ask(exchange):
        return 7

    made = world.loop.run_until_complete(make(ask))
    assert (made.found, made.failure, made.asleep) == (7, None, None)
    assert world.exchanges[0].closed is not None


def test_a_caller_that_was_cancelled_before_and_went_on(world, make):
    """Its old request, which nobody took back, is not taken for one that came now."""

    async def story():
        task = asyncio.current_task()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asyncio.sleep(1)
        made = await make(world.stuck)
        return made, task.cancelling()

    made, cancelling = world.loop.run_until_complete(story())
    assert made.failure.reason is Reason.TIMEOUT
    assert cancelling == 1


def test_the_callers_own_timeout_passes_through(world, make):
    async def story():
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(1.0):
                await make(world.stuck)
        return asyncio.current_task().cancelling()

    begun = world.now
    assert world.loop.run_until_complete(story()) == 0
    assert world.now - begun == pytest.approx(1.0)
    assert world.exchanges[0].closed is not None
