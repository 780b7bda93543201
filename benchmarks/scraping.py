"""What a scrape costs when every target has changed since the last: python -m benchmarks.scraping TARGETS PROBES

In a process of its own, and all in CPU time, so that other programs make no difference. The peer is prometheus_client's
`generate_latest` with the same series; of many targets it is asked for a tenth, and compared per target.
"""

import asyncio
import gc
import json
import os
import random
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

from prometheus_client.openmetrics.exposition import generate_latest

from benchmarks.accounting import waited_seconds
from benchmarks.peers import OURS
from benchmarks.table import Row, held
from benchmarks.targets import CHEAPER, STALL, Target
from exporter.ledger import Dirty
from exporter.metrics.exposition import Exposition
from exporter.metrics.negotiation import OPENMETRICS, Format
from exporter.model.job import Job, Kind
from exporter.model.state import State
from tests.metrics.oracle import Oracle
from tests.metrics.world import PHASES, World, job

#: Sizes, in targets and probes of each.
SIZES = ((1, 1), (100, 1), (1000, 1), (10_000, 1), (1, 5), (100, 5), (1000, 5), (2000, 5), (10_000, 5))


class Written(NamedTuple):
    """One scrape of ours: CPU seconds, how long the loop waited at each turn, sorted, and the bytes."""

    spent: float
    waits: list[float]
    body: bytes


class Cost(NamedTuple):
    """CPU seconds of one scrape of ours and of the peer, per target; the longest the loop waited; and the part of the
    time in which others had the core.
    """

    series: float
    ours: float
    theirs: float
    stall: float
    megabytes: float
    waited: float


def jobs_of(targets: int, probes: int = 1) -> list[Job]:
    """So many targets, with so many probes of the cheap kind each."""
    return [
        job(f"target-{number}", f"health{probe or ''}", Kind.HEALTH)
        for number in range(targets)
        for probe in range(probes)
    ]


class Scene:
    """Targets that are watched, healthy and about to run, with the peer's registry where it is wanted."""

    def __init__(self, jobs: Sequence[Job], *, peer: bool = False) -> None:
        self.world, self._jobs, self._dice = World(), jobs, random.Random(1)
        self.oracle = Oracle(clock=lambda: self.world.now) if peer else None
        for each in jobs:
            self.world.watch(each)
            if self.oracle is not None:
                self.oracle.watch(each)
        for name in {each.target.name for each in jobs}:
            self.world.judge(name, State.HEALTHY)
            if self.oracle is not None:
                self.oracle.judge(name, State.HEALTHY, verified=False)
        self.exposition = Exposition(self.world.ledger)

    def run(self) -> None:
        """Everything runs once. Times have all the digits that measured ones have."""
        world, dice = self.world, self._dice
        world.now += 15
        for each in self._jobs:
            world.now += dice.random() / 1000
            phases = {phase: dice.expovariate(100) for phase in PHASES}
            result = world.result(each, duration=dice.expovariate(20), phases=phases)
            world.run(result)
            if self.oracle is not None:
                self.oracle.run(result)

    async def scrape(self, form: Format = OPENMETRICS) -> Written:
        """One scrape after all have run again."""
        for record in self.world.ledger:
            record.dirty |= Dirty.RUN
        waits: list[float] = []

        async def watch() -> None:
            last = time.thread_time()
            while True:
                await asyncio.sleep(0)
                now = time.thread_time()
                waits.append(now - last)
                last = now

        with _frozen():
            watcher = asyncio.create_task(watch())
            await asyncio.sleep(0)
            began = time.process_time()
            pieces = [piece async for piece in self.exposition.render(form)]  # nobody puts them together: they are sent
            spent = time.process_time() - began
            watcher.cancel()
        return Written(spent, sorted(waits), b"".join(pieces))

    def library(self) -> tuple[float, bytes]:
        """CPU seconds of the peer's scrape, and its bytes."""
        assert self.oracle is not None
        with _frozen():
            began = time.process_time()
            body = generate_latest(self.oracle.registry)
            return time.process_time() - began, body


@contextmanager
def _frozen() -> Iterator[None]:
    """No garbage collection of what is there already, as in the exporter once it is loaded."""
    gc.collect()
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


def lines(body: bytes) -> int:
    """Series of targets in a scrape."""
    return body.count(b"\nmodel_probe_")


def library(targets: int, probes: int) -> float:
    """CPU seconds per target of the peer."""
    scene = Scene(jobs_of(targets, probes), peer=True)
    scene.run()
    return min(scene.library()[0] for _ in range(2)) / targets


async def ours(targets: int, probes: int) -> Cost:
    """Ours, the best of three scrapes after a first one."""
    scene = Scene(jobs_of(targets, probes))
    scene.run()
    waited, began = waited_seconds(os.getpid()), time.perf_counter()
    await scene.scrape()
    seen = [await scene.scrape() for _ in range(3)]
    waited = (waited_seconds(os.getpid()) - waited) / (time.perf_counter() - began)
    stall = min(written.waits[-1] for written in seen)
    body = seen[0].body
    spent = min(written.spent for written in seen) / targets
    return Cost(lines(body) / targets, spent, 0.0, stall, len(body) / 1e6, waited)


def rows(targets: int, probes: int) -> list[Row]:
    """Measured in a process of its own."""
    command = ["taskset", "-c", str(OURS), sys.executable, "-m", "benchmarks.scraping", str(targets), str(probes)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"bench: it ended with {done.stderr.strip().rpartition(chr(10))[2]}\n{done.stderr[-3000:]}")
    seen = Cost(*json.loads(done.stdout))
    times = seen.theirs / seen.ours
    figure = f"{seen.ours * targets * 1e3:.3g} ms, {seen.megabytes:.3g} MB, stall {seen.stall * 1e3:.1f} ms"
    if targets > 1:  # of one, most is what the exporter says of itself
        figure = f"{times:.1f} x cheaper than generate_latest; {figure}"
    what = f"{scraped(targets, probes)} ({seen.series:.0f} series)"
    if promised(targets, probes):
        return [held(what, figure, (times, CHEAPER), (seen.stall * 1e3, STALL), waited=seen.waited)]
    return [Row(what, figure, waited=seen.waited)]


def promised(targets: int, probes: int) -> tuple[Target, ...]:
    """The targets of a row."""
    return (CHEAPER, STALL) if (targets, probes) == (10_000, 1) else ()


def scraped(targets: int, probes: int) -> str:
    """The name of a row."""
    many = "1 target" if targets == 1 else f"{targets:,} targets"
    return f"scrape of {many} of {probes} probe{'s' if probes > 1 else ''}"


def main() -> None:
    targets, probes = int(sys.argv[1]), int(sys.argv[2])
    theirs = library(targets if targets * probes <= 1000 else targets // 10, probes)
    cost = asyncio.run(ours(targets, probes))
    print(json.dumps(cost._replace(theirs=theirs)))


if __name__ == "__main__":
    main()
