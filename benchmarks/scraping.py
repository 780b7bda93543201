"""What a scrape costs when every target has changed since the last: python -m benchmarks.scraping TARGETS PROBES

In a process of its own, and all in CPU time, so that other programs make no difference. The peer is prometheus_client's
`generate_latest` with the same series; it is asked for a tenth of the targets, and compared per target.
"""

import asyncio
import gc
import json
import random
import subprocess
import sys
import time
from typing import NamedTuple

from prometheus_client.openmetrics.exposition import generate_latest

from benchmarks.peers import OURS
from benchmarks.table import Row
from exporter.ledger import Dirty
from exporter.metrics.exposition import Exposition
from exporter.metrics.negotiation import OPENMETRICS
from exporter.model.job import Job, Kind
from exporter.model.state import State
from tests.metrics.oracle import Oracle
from tests.metrics.world import PHASES, World, job


class Cost(NamedTuple):
    """CPU seconds of one scrape of ours and of the peer, per target, and the longest the loop waited."""

    targets: int
    series: float
    ours: float
    theirs: float
    stall: float
    megabytes: float


def jobs_of(number: int, probes: int) -> list[Job]:
    """A target with so many probes of the cheap kind."""
    return [job(f"target-{number}", f"health-{n}" if n else "health", Kind.HEALTH) for n in range(probes)]


def run_all(world: World, jobs: list[Job], dice: random.Random, oracle: Oracle | None = None) -> None:
    """Times have all the digits that measured ones have."""
    world.now += 15
    for each in jobs:
        world.now += dice.random() / 1000
        phases = {phase: dice.expovariate(100) for phase in PHASES}
        result = world.result(each, duration=dice.expovariate(20), phases=phases)
        world.run(result)
        if oracle is not None:
            oracle.run(result)


def library(targets: int, probes: int) -> float:
    """CPU seconds per target of the peer."""
    dice, world = random.Random(1), World()
    oracle = Oracle(clock=lambda: world.now)
    jobs = [each for number in range(targets) for each in jobs_of(number, probes)]
    for each in jobs:
        world.watch(each)
        oracle.watch(each)
        oracle.judge(each.target.name, State.HEALTHY, verified=False)
    run_all(world, jobs, dice, oracle)
    spent = []
    for _ in range(2):
        began = time.process_time()
        generate_latest(oracle.registry)
        spent.append(time.process_time() - began)
    return min(spent) / targets


async def ours(targets: int, probes: int) -> Cost:
    """Ours, all targets changed; the longest turn of the loop is the least of three scrapes' longest."""
    dice, world = random.Random(2), World()
    jobs = [each for number in range(targets) for each in jobs_of(number, probes)]
    for each in jobs:
        world.watch(each)
    for name in {each.target.name for each in jobs}:
        world.judge(name, State.HEALTHY)
    exposition = Exposition(world.ledger)
    run_all(world, jobs, dice)
    spent, stalls, text = [], [], b""
    for _ in range(4):
        for record in world.ledger:
            record.dirty |= Dirty.RUN
        gc.collect()
        gc.freeze()  # as the exporter does once it is loaded
        longest = [0.0]

        async def watch(longest: list[float] = longest) -> None:
            last = time.thread_time()
            while True:
                await asyncio.sleep(0)
                now = time.thread_time()
                longest[0] = max(longest[0], now - last)
                last = now

        watcher = asyncio.create_task(watch())
        await asyncio.sleep(0)
        began = time.process_time()
        text = b"".join([piece async for piece in exposition.render(OPENMETRICS)])
        spent.append(time.process_time() - began)
        watcher.cancel()
        stalls.append(longest[0])
    series = text.count(b"\nmodel_probe_") / targets
    return Cost(targets, series, min(spent[1:]) / targets, 0.0, min(stalls[1:]), len(text) / 1e6)


def row(targets: int, probes: int) -> Row:
    """Measured in a process of its own."""
    command = ["taskset", "-c", str(OURS), sys.executable, "-m", "benchmarks.scraping", str(targets), str(probes)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"bench: {' '.join(command[3:])} failed\n{done.stderr[-3000:]}")
    seen = Cost(*json.loads(done.stdout))
    times = seen.theirs / seen.ours
    figure = (
        f"{times:.0f} x cheaper than generate_latest ({seen.ours * targets * 1e3:.0f} ms, {seen.megabytes:.0f} MB), "
        f"stall {seen.stall * 1e3:.1f} ms"
    )
    met = times >= 25 and seen.stall <= 0.005
    return Row(f"scrape of {targets:,} targets x {seen.series:.0f} series", figure, ">= 25 x, stall <= 5 ms", met)


def main() -> None:
    targets, probes = int(sys.argv[1]), int(sys.argv[2])
    theirs = library(max(100, targets // 10), probes)
    cost = asyncio.run(ours(targets, probes))
    print(json.dumps(cost._replace(theirs=theirs)))


if __name__ == "__main__":
    main()
