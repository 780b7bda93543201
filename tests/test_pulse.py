import asyncio
import logging
import threading
import time

import pytest

from exporter import pulse
from exporter.pulse import Pulse
from tests.support.web import until

pytestmark = pytest.mark.slow


def stand_still(seconds: float) -> None:
    time.sleep(seconds)


@pytest.fixture(autouse=True)
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pulse, "BEAT", 0.02)
    monkeypatch.setattr(pulse, "STUCK", 0.3)


async def beats(of: Pulse, more: int = 3) -> None:
    """Wait until the loop has beaten a few times more."""
    seen: set[float] = set()
    async with asyncio.timeout(20):
        while len(seen) <= more:
            seen.add(of._beat)
            await asyncio.sleep(0.01)


async def test_a_block_is_told_with_the_place_and_then_forgotten(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(5):
        beating = Pulse()
        beating.start()
        await beats(beating)
        assert beating.ailments() == []
        stood = time.monotonic()
        with caplog.at_level(logging.ERROR):
            stand_still(1.0)
        if time.monotonic() - stood < 1.5:
            break
        beating.stop()  # this machine stood still for longer
        caplog.clear()
    try:
        with caplog.at_level(logging.ERROR):
            while_stuck = [record.getMessage() for record in caplog.records]
            await beats(beating)
        assert while_stuck == ["event loop stands still"], "said only afterwards"
        assert "stand_still (test_pulse.py:" in caplog.records[0].fields["where"]  # type: ignore[attr-defined]
        (told,) = beating.ailments()
        assert told.startswith("the event loop stood still for 1.")
        monkeypatch.setattr(pulse, "TOLD", 0.0)
        assert beating.ailments() == []
    finally:
        beating.stop()


async def test_a_process_that_was_stopped_is_not_sick(caplog: pytest.LogCaptureFixture) -> None:
    """The thread stood still as well, and nothing was worked."""
    now = [100.0]
    beating = Pulse(clock=lambda: now[0], cpu=lambda: 5.0)
    beating.start()
    try:
        await beats(beating, 0)
        now[0] += 30.0
        stand_still(0.2)  # the thread hears of it before the loop does
        await beats(beating, 0)
        assert beating.ailments() == []
        assert not caplog.records
    finally:
        beating.stop()


async def test_code_that_lets_nobody_else_work_is_told(caplog: pytest.LogCaptureFixture) -> None:
    """The thread stood still too, but the process was busy."""
    now, cpu = [100.0], [5.0]
    beating = Pulse(clock=lambda: now[0], cpu=lambda: cpu[0])
    beating.start()
    try:
        await beats(beating, 0)
        async with asyncio.timeout(20):
            while not beating.ailments():  # the thread has to look in between, for which a busy machine may be too slow
                now[0], cpu[0] = now[0] + 2.0, cpu[0] + 2.0
                stand_still(0.2)
                await asyncio.sleep(0.01)
        assert beating.ailments()[0].startswith("the event loop stood still for 2.0 s")
    finally:
        beating.stop()


async def test_no_thread_is_left() -> None:
    beating = Pulse()
    beating.start()
    assert "pulse" in {thread.name for thread in threading.enumerate()}
    beating.stop()
    until("the thread to end", lambda: "pulse" not in {thread.name for thread in threading.enumerate()}, within=10)
