"""What a scrape costs, as a ratio within one run; figures are printed (pytest -s) and only the ratio is asserted."""

import asyncio
import gc
import random
import time
import tracemalloc

import pytest
from prometheus_client.openmetrics.exposition import generate_latest

from exporter.ledger import Dirty
from exporter.metrics.exposition import Exposition
from exporter.metrics.negotiation import OPENMETRICS
from exporter.model.state import State
from tests.metrics.oracle import Oracle
from tests.metrics.reading import scrape
from tests.metrics.world import World, job

pytestmark = pytest.mark.slow


def series_lines(text: str) -> int:
    return text.count("\nmodel_probe_")


TARGETS = 2000
LEAST = 15


def all_run(world: World, jobs: list, dice: random.Random, *others: object) -> None:
    world.now += 15
    for each in jobs:
        result = world.result(each, duration=dice.expovariate(20))
        world.run(result)
        for other in others:
            other.run(result)


async def test_a_scrape_is_many_times_cheaper_than_generate_latest() -> None:
    """Every target changed since the last scrape, the dearest case; OpenMetrics and its exemplars from both."""
    dice = random.Random(1)
    world = World()
    oracle = Oracle(clock=lambda: world.now)
    jobs = [job(f"target-{number}") for number in range(TARGETS)]
    for each in jobs:
        world.watch(each)
        oracle.watch(each)
        world.judge(each.target.name, State.HEALTHY)
        oracle.judge(each.target.name, State.HEALTHY, verified=False)
    exposition = Exposition(world.ledger)
    await scrape(exposition, OPENMETRICS)
    all_run(world, jobs, dice, oracle)
    spent = []
    for _ in range(3):
        for record in world.ledger:
            record.dirty |= Dirty.RUN
        gc.collect()
        gc.freeze()  # as the exporter does once it is loaded
        began = time.process_time()
        text = await scrape(exposition, OPENMETRICS)
        spent.append(time.process_time() - began)
    gc.collect()
    began = time.process_time()
    theirs = generate_latest(oracle.registry).decode()
    library = time.process_time() - began
    gc.unfreeze()

    ours = series_lines(text) - TARGETS  # model_probe_info, which the oracle has not
    assert ours == series_lines(theirs)
    ratio = library / min(spent)
    print(
        f"\n{TARGETS} targets, {ours / TARGETS:.0f} series each, all changed: {min(spent) * 1000:.0f} ms of CPU, "
        f"generate_latest {library * 1000:.0f} ms, {ratio:.0f} times cheaper"
    )
    assert ratio >= LEAST


async def test_what_the_loop_waits_for_a_scrape_is_reported() -> None:
    """The most work between two turns of the loop while a large scrape is written, in CPU time: machines differ."""
    dice = random.Random(2)
    world = World()
    jobs = [job(f"target-{number}") for number in range(TARGETS)]
    world.watch(*jobs)
    exposition = Exposition(world.ledger)
    await scrape(exposition)
    all_run(world, jobs, dice)
    gc.collect()
    gc.freeze()
    gaps: list[float] = []

    async def watch_loop() -> None:
        last = time.thread_time()
        while True:
            await asyncio.sleep(0)
            now = time.thread_time()
            gaps.append(now - last)
            last = now

    watcher = asyncio.create_task(watch_loop())
    await asyncio.sleep(0)
    text = await scrape(exposition)
    watcher.cancel()
    gc.unfreeze()
    gaps.sort()
    print(
        f"\n{len(text) / 1e6:.1f} MB in {len(gaps)} turns; worst wait {gaps[-1] * 1000:.2f} ms, "
        f"99th of a hundred {gaps[len(gaps) * 99 // 100] * 1000:.2f} ms"
    )
    assert len(gaps) > 20, "a scrape of this size must leave the loop many times"


async def test_memory_per_target_is_reported() -> None:
    world = World()
    world.watch(job("first"))
    exposition = Exposition(world.ledger)
    await scrape(exposition)
    count = 500
    gc.collect()
    tracemalloc.start()
    try:
        jobs = [job(f"target-{number}") for number in range(count)]
        gc.collect()
        before = tracemalloc.get_traced_memory()[0]
        world.watch(*jobs)
        all_run(world, jobs, random.Random(3))
        gc.collect()
        records = tracemalloc.get_traced_memory()[0] - before
        await scrape(exposition)
        gc.collect()
        text = tracemalloc.get_traced_memory()[0] - before - records
    finally:
        tracemalloc.stop()
    print(
        f"\nper target: {records / count / 1024:.1f} KiB of numbers and results, {text / count / 1024:.1f} KiB of text"
    )
    assert text / count < 12 * 1024
