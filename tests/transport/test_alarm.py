import asyncio
import time

import pytest

from exporter.transport.alarm import Alarm, Timers


@pytest.fixture
def timers() -> Timers:
    return Timers()


def soon(seconds: float = 0.02) -> float:
    return time.perf_counter() + seconds


async def test_an_alarm_is_told_from_a_cancellation(timers: Timers) -> None:
    alarm = Alarm(timers, soon())
    try:
        await asyncio.sleep(10)
    except asyncio.CancelledError:
        assert alarm.rang()
    finally:
        alarm.off()
    task = asyncio.current_task()
    assert task is not None
    assert task.cancelling() == 0

    async def cancelled() -> None:
        mine = Alarm(timers, soon(10))
        try:
            await asyncio.sleep(10)
        except asyncio.CancelledError:
            assert not mine.rang()
            raise
        finally:
            mine.off()

    other = asyncio.create_task(cancelled())
    await asyncio.sleep(0)
    other.cancel()
    with pytest.raises(asyncio.CancelledError):
        await other


async def test_a_cancellation_beside_an_alarm_wins(timers: Timers) -> None:
    async def both() -> None:
        alarm = Alarm(timers, soon(-1))
        task = asyncio.current_task()
        assert task is not None
        timers.at(soon(-1), task.cancel)
        try:
            await asyncio.sleep(10)
        except asyncio.CancelledError:
            assert not alarm.rang()
            raise
        finally:
            alarm.off()

    with pytest.raises(asyncio.CancelledError):
        await asyncio.create_task(both())


async def test_an_alarm_within_an_alarm() -> None:
    ahead = [0.0]
    timers = Timers(lambda: time.perf_counter() + ahead[0])
    outer = Alarm(timers, soon(3600.0))
    inner = Alarm(timers, soon(0.02))
    try:
        await asyncio.sleep(10)
    except asyncio.CancelledError:
        assert inner.rang()
    inner.off()
    ahead[0] = 3600.0
    Alarm(timers, soon(0.02)).off()  # the clock is looked at
    try:
        await asyncio.sleep(10)
    except asyncio.CancelledError:
        assert outer.rang()
    outer.off()


async def test_calls_come_in_order_and_never_early(timers: Timers) -> None:
    rang: list[tuple[float, float]] = []
    done = asyncio.Event()
    start = time.perf_counter()
    for after in (0.06, 0.01, 0.04, 0.02):
        timers.at(start + after, lambda after=after: rang.append((after, time.perf_counter() - start)))
    timers.at(start + 0.03, lambda: pytest.fail("was cancelled")).cancel()
    timers.at(start + 0.08, done.set)
    await done.wait()
    assert [after for after, _ in rang] == [0.01, 0.02, 0.04, 0.06]
    assert all(at >= after for after, at in rang)


async def test_cancelled_ones_do_not_pile_up(timers: Timers) -> None:
    kept = timers.at(soon(100), lambda: None)
    for _ in range(10_000):
        timers.at(soon(100), lambda: None).cancel()
    assert len(timers._heap) < 3000
    assert any(entry[2] is kept for entry in timers._heap)
    timers.close()


async def test_a_call_may_set_another(timers: Timers) -> None:
    done = asyncio.Event()
    timers.at(soon(0.01), lambda: timers.at(soon(0.01), done.set))
    await asyncio.wait_for(done.wait(), 10)


async def test_one_that_was_due_before_it_was_made_rings_at_once(timers: Timers) -> None:
    done = asyncio.Event()
    start = time.perf_counter()
    timers.at(start - 60, done.set)
    await asyncio.wait_for(done.wait(), 10)


def test_they_go_with_the_loop_that_runs(timers: Timers) -> None:
    async def leave_one() -> None:
        timers.at(soon(0.01), lambda: pytest.fail("its loop is gone"))

    async def ring() -> bool:
        alarm = Alarm(timers, soon())
        try:
            await asyncio.wait_for(asyncio.sleep(10), 5)
        except asyncio.CancelledError:
            return alarm.rang()
        finally:
            alarm.off()
        return False

    asyncio.run(leave_one())
    assert asyncio.run(ring())
