"""What is fetched once, renewed in time, and not asked for again at once when it is not to be had."""

import asyncio
import itertools

import pytest

from exporter.model.failure import Failure, Reason
from exporter.transport import lease
from exporter.transport.lease import Lease, Term


class World:
    """A clock and a source, both in a test's hand. `life` is how long what is fetched is good."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.fetched = 0
        self.life = 100.0
        self.failure: Failure | None = None
        self.gate: asyncio.Event | None = None

    async def fetch(self) -> Term[str]:
        self.fetched += 1
        value = f"v{self.fetched}"
        if self.gate is not None:
            await self.gate.wait()
        if self.failure is not None:
            raise self.failure
        return Term(value, self.now + self.life * 0.8, self.now + self.life)


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    made = World()
    monkeypatch.setattr(lease, "perf_counter", lambda: made.now)
    return made


async def turns(count: int = 5) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


async def test_fetched_once_for_all(world: World) -> None:
    held = Lease(world.fetch)
    world.gate = asyncio.Event()
    waiting = [asyncio.create_task(held.get()) for _ in range(10)]
    await turns()
    world.gate.set()
    assert await asyncio.gather(*waiting) == [("v1", True)] * 10
    assert await held.get() == ("v1", False)
    assert world.fetched == 1


async def test_renewed_in_the_background(world: World) -> None:
    held = Lease(world.fetch)
    await held.get()
    world.now += 79
    assert await held.get() == ("v1", False)
    await turns()
    assert world.fetched == 1
    world.now += 2
    assert await held.get() == ("v1", False)
    await turns()
    assert await held.get() == ("v2", False)
    assert world.fetched == 2
    world.now += 101
    assert await held.get() == ("v3", True)


async def test_a_source_that_is_down_is_left_alone_for_longer_and_longer(world: World) -> None:
    held = Lease(world.fetch)
    world.failure = Failure(Reason.AUTH, "down")
    asked_at = []
    for _ in range(400):
        before = world.fetched
        with pytest.raises(Failure, match="down"):
            await held.get()
        if world.fetched > before:
            asked_at.append(world.now)
        world.now += 0.25
    waits = [later - earlier for earlier, later in itertools.pairwise(asked_at)]
    assert waits[:5] == [1.0, 2.0, 4.0, 8.0, 16.0]
    assert waits[5:] == [30.0] * len(waits[5:])
    world.failure = None
    world.now += 31
    assert (await held.get())[0] == f"v{world.fetched}"
    world.failure = Failure(Reason.AUTH, "down")
    world.now += 101
    with pytest.raises(Failure):
        await held.get()
    world.now += 1.01  # a success has made the pause short again
    before = world.fetched
    with pytest.raises(Failure):
        await held.get()
    assert world.fetched == before + 1


async def test_a_retry_after_is_kept_within_bounds(world: World) -> None:
    for asked, wait in ((7.0, 7.0), (3600.0, 30.0), (0.0, 1.0)):
        held = Lease(world.fetch)
        world.failure = Failure(Reason.AUTH, "slowly", retry_after=asked)
        with pytest.raises(Failure) as caught:
            await held.get()
        assert caught.value.retry_after is None
        before = world.fetched
        for moment, more in ((wait - 0.1, 0), (0.2, 1)):
            world.now += moment
            with pytest.raises(Failure):
                await held.get()
            assert world.fetched == before + more


async def test_what_is_held_outlives_a_failed_renewal(world: World) -> None:
    held = Lease(world.fetch)
    await held.get()
    world.failure = Failure(Reason.AUTH, "down")
    world.now += 85
    for _ in range(3):
        assert await held.get() == ("v1", False)
        await turns()
    assert world.fetched == 2
    world.now += 16
    with pytest.raises(Failure, match="down"):
        await held.get()


async def test_each_who_waits_gets_a_failure_of_its_own(world: World) -> None:
    """The runner writes on what it catches."""
    held = Lease(world.fetch)
    world.failure = Failure(Reason.AUTH, "down")
    told = await asyncio.gather(*(held.get() for _ in range(3)), return_exceptions=True)
    try:
        await held.get()
    except Failure as failure:
        told.append(failure)
    assert len({id(each) for each in told}) == 4
    assert {str(each) for each in told} == {"auth: down"}


async def test_giving_up_leaves_the_fetch_going(world: World) -> None:
    held = Lease(world.fetch)
    world.gate = asyncio.Event()
    waiting = asyncio.create_task(held.get())
    await turns()
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    world.gate.set()
    await turns()
    assert await held.get() == ("v1", False)


async def test_refusals(world: World) -> None:
    held = Lease(world.fetch)
    await held.get()
    assert held.refuse("v1")
    assert held.refuse("v1")  # another one is on its way: whoever else was refused waits for it
    assert await held.get() == ("v2", True)
    assert held.refuse("v1")
    assert not held.refuse("v2")  # a moment after the last time it is not its age
    assert await held.get() == ("v2", False)
    world.now += 31
    assert held.refuse("v2")
    assert await held.get() == ("v3", True)


@pytest.mark.parametrize("waits", [True, False])
async def test_a_bug_is_not_hidden(world: World, caplog: pytest.LogCaptureFixture, waits: bool) -> None:
    async def broken() -> Term[str]:
        if waits or world.fetched:
            raise ZeroDivisionError
        return await world.fetch()

    held = Lease(broken)
    if waits:
        with pytest.raises(ZeroDivisionError):
            await held.get()
    else:
        await held.get()
        world.now += 85
        await held.get()  # the renewal has nobody who waits for it
    await turns()
    assert "internal error" in caplog.text


async def test_closing(world: World) -> None:
    held = Lease(world.fetch)
    held.close()
    world.gate = asyncio.Event()
    waiting = asyncio.create_task(held.get())
    await turns()
    held.close()
    await asyncio.wait({waiting}, timeout=10)
    assert waiting.cancelled()
