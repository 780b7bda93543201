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
from exporter.metrics.negotiation import OPENMETRICS, PROTOBUF, Format
from exporter.model.state import State
from tests.metrics.oracle import Oracle
from tests.metrics.world import PHASES, World, job

pytestmark = pytest.mark.slow


def series_lines(text: str) -> int:
    return text.count("\nmodel_probe_")


TARGETS = 1000
LEAST = 15


async def scrape(exposition: Exposition, form: Format = OPENMETRICS) -> list[bytes]:
    """As it goes out: in pieces."""
    return [piece async for piece in exposition.render(form)]


def all_run(world: World, jobs: list, dice: random.Random, *others: object) -> None:
    """Times have all the digits that measured ones have."""
    world.now += 15
    for each in jobs:
        world.now += dice.random() / 1000
        phases = {phase: dice.expovariate(100) for phase in PHASES}
        result = world.result(each, duration=dice.expovariate(20), phases=phases)
        world.run(result)
        for other in others:
            other.run(result)


async def test_a_scrape_is_many_times_cheaper_than_generate_latest() -> None:
    """Every target changed since the last scrape, the dearest case; OpenMetrics has exemplars from both."""
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
    forms = {"OpenMetrics": OPENMETRICS, "protobuf": PROTOBUF}
    for form in forms.values():
        await scrape(exposition, form)
    all_run(world, jobs, dice, oracle)
    spent: dict[str, list[float]] = {name: [] for name in forms}
    library = []
    for number in range(3):  # in turns, because other programs come and go
        for name, form in forms.items():
            for record in world.ledger:
                record.dirty |= Dirty.RUN
            gc.collect()
            gc.freeze()  # as the exporter does once it is loaded
            began = time.process_time()
            pieces = await scrape(exposition, form)
            spent[name].append(time.process_time() - began)
            gc.unfreeze()
            if form is OPENMETRICS:
                ours = series_lines(b"".join(pieces).decode()) - TARGETS  # model_probe_info, which the oracle has not
        if number < 2:
            gc.collect()
            began = time.process_time()
            theirs = generate_latest(oracle.registry)
            library.append(time.process_time() - began)

    assert ours == series_lines(theirs.decode())
    print()
    for name, times in spent.items():
        ratio = min(library) / min(times)
        print(
            f"{TARGETS} targets, {ours / TARGETS:.0f} series each, all changed, {name}: {min(times) * 1000:.0f} ms of "
            f"CPU, generate_latest {min(library) * 1000:.0f} ms, {ratio:.0f} times cheaper"
        )
        assert ratio >= LEAST, name


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
    pieces = await scrape(exposition)
    watcher.cancel()
    gc.unfreeze()
    gaps.sort()
    print(
        f"\n{sum(map(len, pieces)) / 1e6:.1f} MB in {len(gaps)} turns; worst wait {gaps[-1] * 1000:.2f} ms, "
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
        await scrape(exposition, PROTOBUF)
        gc.collect()
        protobuf = tracemalloc.get_traced_memory()[0] - before - records - text
    finally:
        tracemalloc.stop()
    print(
        f"\nper target: {records / count / 1024:.1f} KiB of numbers and results, {text / count / 1024:.1f} KiB of "
        f"text, {protobuf / count / 1024:.1f} KiB of protobuf"
    )
    assert text / count < 12 * 1024
