"""What a scrape costs per target, in calls of our own functions: a count, unlike a time, is the same anywhere.

Families of what a target does not use must not be asked one by one, and one that did not change not at all.
"""

import sys
from inspect import CO_ASYNC_GENERATOR, CO_COROUTINE
from pathlib import Path

import exporter
from exporter.ledger import Dirty
from exporter.metrics.exposition import Exposition
from exporter.model.state import State
from tests.metrics.reading import scrape
from tests.metrics.world import World, job

#: Calls per target that ran since the last scrape, and per one that did not.
CHANGED = 18
UNCHANGED = 4

OURS = str(Path(exporter.__file__).parent / "metrics")


async def calls(world: World, *, changed: bool) -> int:
    exposition = Exposition(world.ledger)
    await scrape(exposition)
    if changed:
        for record in world.ledger:
            record.dirty |= Dirty.RUN
    made = 0

    def count(frame: object, event: str, _: object) -> None:
        nonlocal made
        code = frame.f_code  # type: ignore[attr-defined]
        # How many slices there are depends on the time they take, and so how often what waits between them goes on.
        sliced = code.co_flags & (CO_COROUTINE | CO_ASYNC_GENERATOR) or code.co_name == "_slice"
        made += event == "call" and code.co_filename.startswith(OURS) and not sliced

    sys.setprofile(count)
    try:
        await scrape(exposition)
    finally:
        sys.setprofile(None)
    return made


def watched(count: int) -> World:
    world = World()
    for number in range(count):
        each = job(f"target-{number}")
        world.watch(each)
        world.judge(each.target.name, State.HEALTHY)
        world.run(world.result(each, duration=0.02))
    return world


async def test_a_scrape_takes_few_calls_per_target() -> None:
    few, many = watched(10), watched(60)
    changed = (await calls(many, changed=True) - await calls(few, changed=True)) / 50
    unchanged = (await calls(many, changed=False) - await calls(few, changed=False)) / 50
    print(f"\nper target: {changed:.1f} calls when it changed, {unchanged:.1f} when not")
    assert unchanged <= UNCHANGED
    assert changed <= CHANGED
