import asyncio
from typing import Any

import pytest

from exporter import slices
from exporter.model.state import State
from exporter.web.selection import Wanted, select, wanted


async def test_looking_through_many_targets_leaves_the_loop_to_the_measuring(
    monkeypatch: pytest.MonkeyPatch, house: Any
) -> None:
    for number in range(500):
        house.watch(f"t{number}")
    monkeypatch.setattr(slices, "SLICE", 0.0)
    looking = asyncio.create_task(select(house.ledger, Wanted(text="t49")))
    turns = 0
    while not looking.done():
        await asyncio.sleep(0)
        turns += 1
    assert turns >= 500
    assert len(looking.result().records) == 11


async def test_a_target_removed_meanwhile_harms_nothing(monkeypatch: pytest.MonkeyPatch, house: Any) -> None:
    for number in range(20):
        house.watch(f"t{number}")
    monkeypatch.setattr(slices, "SLICE", 0.0)
    looking = asyncio.create_task(select(house.ledger, Wanted()))
    await asyncio.sleep(0)
    for number in range(20):
        house.ledger.remove(f"t{number}", "health")
    assert (await looking).counts.total() == 20


def test_a_filter_is_read_leniently() -> None:
    assert wanted("", "") == Wanted()
    assert wanted("zombie", " Llama ") == Wanted(State.ZOMBIE, "llama")
    assert wanted("ZOMBIE", "x" * 900) == Wanted(None, "x" * 200)
