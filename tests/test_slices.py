"""Long work on the loop: others have their turn in between, and nothing of it is lost."""

import asyncio

import pytest

from exporter import slices
from exporter.slices import unhurried


@pytest.mark.parametrize(("seconds", "turns"), [(0.0, 100), (3600.0, 1)])
async def test_others_have_their_turn(monkeypatch: pytest.MonkeyPatch, seconds: float, turns: int) -> None:
    monkeypatch.setattr(slices, "SLICE", seconds)
    turned = 0

    async def count() -> None:
        nonlocal turned
        while True:
            turned += 1
            await asyncio.sleep(0)

    other = asyncio.create_task(count())
    await asyncio.sleep(0)
    assert [item async for item in unhurried(range(100))] == list(range(100))
    assert turned in (turns, turns + 1)
    other.cancel()
