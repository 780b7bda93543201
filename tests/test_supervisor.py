import asyncio
from collections.abc import Awaitable, Callable
from types import SimpleNamespace

import pytest

from exporter import supervisor
from exporter.ledger import Own
from exporter.supervisor import HOPELESS, Supervisor


@pytest.fixture
def own() -> Own:
    return Own()


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """What is waited for between a crash and the next start; nobody really waits."""
    asked: list[float] = []
    real = asyncio.sleep

    async def sleep(seconds: float) -> None:
        asked.append(seconds)
        await real(0)

    monkeypatch.setattr(supervisor.asyncio, "sleep", sleep)
    return asked


def crashing(times: int) -> tuple[Callable[[], Awaitable[None]], asyncio.Event]:
    """Something that crashes so many times, and then runs."""
    left, runs = [times], asyncio.Event()

    async def run() -> None:
        if left[0]:
            left[0] -= 1
            raise RuntimeError("crashed")
        runs.set()
        await asyncio.Event().wait()

    return run, runs


async def test_what_crashes_is_started_again_and_counted(own: Own, waits: list[float]) -> None:
    keeper = Supervisor(own)
    run, runs = crashing(8)
    task = keeper.keep("wheel", run)
    assert task.get_name() == "wheel"
    await asyncio.wait_for(runs.wait(), 10)
    assert waits == [1, 2, 4, 8, 16, 32, 60, 60]
    assert own.component_restarts == {"wheel": 8}
    assert own.internal_errors == {"wheel": 8}
    await keeper.close()
    assert task.cancelled()


async def test_what_merely_ends_is_started_again_too_and_is_no_error(own: Own, waits: list[float]) -> None:
    keeper = Supervisor(own)
    ends, twice = [0], asyncio.Event()

    async def run() -> None:
        ends[0] += 1
        if ends[0] == 3:
            twice.set()

    keeper.keep("reload", run)
    await asyncio.wait_for(twice.wait(), 10)
    await keeper.close()
    assert own.component_restarts["reload"] >= 2
    assert not own.internal_errors


async def test_what_crashes_again_and_again_is_an_ailment_until_it_ran_for_a_while(
    own: Own, waits: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [1000.0]
    monkeypatch.setattr(supervisor, "time", SimpleNamespace(monotonic=lambda: now[0]))  # not the loop's
    keeper = Supervisor(own)
    run, runs = crashing(HOPELESS - 1)
    keeper.keep("reload", run)
    await asyncio.wait_for(runs.wait(), 10)
    assert keeper.ailments() == []

    run, runs = crashing(HOPELESS)
    keeper.keep("wheel", run)
    await asyncio.wait_for(runs.wait(), 10)
    assert keeper.ailments() == [f"wheel crashed {HOPELESS} times in a row"]
    now[0] += 3600
    assert keeper.ailments() == []
    await keeper.close()


async def test_what_is_gone_is_no_ailment(own: Own, waits: list[float]) -> None:
    keeper = Supervisor(own)
    run, runs = crashing(HOPELESS)
    task = keeper.keep("discovery", run)
    await asyncio.wait_for(runs.wait(), 10)
    assert keeper.ailments()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert keeper.ailments() == []


async def test_a_crash_after_a_long_run_is_the_first_again(
    own: Own, waits: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [1000.0]
    monkeypatch.setattr(supervisor, "time", SimpleNamespace(monotonic=lambda: now[0]))  # not the loop's
    keeper, runs, third = Supervisor(own), [0], asyncio.Event()

    async def run() -> None:
        runs[0] += 1
        if runs[0] == 3:
            now[0] += 61
        if runs[0] == 4:
            third.set()
            await asyncio.Event().wait()
        raise RuntimeError("crashed")

    keeper.keep("wheel", run)
    await asyncio.wait_for(third.wait(), 10)
    assert waits == [1, 2, 1]
    await keeper.close()
