"""Start, memory and what healthy targets cost all day, at 1 to 10,000 targets, each every 15 s."""

import time
from pathlib import Path
from typing import NamedTuple

from benchmarks import peers
from benchmarks.accounting import cpu_seconds, memory, waited_seconds
from benchmarks.farm import Farm
from benchmarks.peers import THEIRS, Load
from benchmarks.table import Row, held
from tests.support.ports import free_port

INTERVAL = 15.0
COUNTS = (1, 100, 1000, 10_000)


class Size(NamedTuple):
    """One size: seconds from exec to the first probe, resident bytes after all ran and were scraped, part of a core."""

    count: int
    first: float
    resident: int
    core: float
    waited: float


def measure(folder: Path, program: Path, count: int, *, fast: bool, keep_alive: bool = False) -> Size:
    """Start the exporter, wait until every target was asked, scrape it, and account for one interval."""
    with Farm(program, free_port(), THEIRS, count) as farm:
        farm.reset(INTERVAL)
        load = Load(farm.urls, INTERVAL, keep_alive)
        with peers.exporter(folder, load, fast=fast) as running:
            while farm.report().requests < count:
                time.sleep(0.2)
            first = farm.report().first - running.began
            time.sleep(1.0)
            assert running.scrape is not None
            running.scrape()
            cpu, waited, began = cpu_seconds(running.pid), waited_seconds(running.pid), time.perf_counter()
            time.sleep(INTERVAL if count > 1 else 5.0)
            passed = time.perf_counter() - began
            core = (cpu_seconds(running.pid) - cpu) / passed
            waited = (waited_seconds(running.pid) - waited) / passed
            return Size(count, first, memory(running.pid)[0], core, waited)


def rows(base: Size, sizes: list[Size], kept: Size | None) -> list[Row]:
    """`base` is one target on the base install; the others are with [fast], `kept` with kept connections."""
    found = [
        held("memory of one target, base install", base.resident, 60 * 2**20, f"{base.resident / 2**20:.0f} MiB",
             "<= 60 MiB", base.waited),
        held("first probe after exec, base install", base.first, 1.0, f"{base.first:.1f} s", "<= 1 s", base.waited),
    ]  # fmt: skip
    one = sizes[0]
    for size in sizes:
        more = (size.resident - one.resident) / max(1, size.count - one.count)
        figure = f"first probe after {size.first:.1f} s, {size.resident / 2**20:.0f} MiB, {size.core:.1%} of a core"
        found.append(Row(f"{size.count:,} targets every {INTERVAL:g} s, [fast]", figure, waited=size.waited))
        if size.count == COUNTS[-1]:
            found += [
                held("memory per further target", more, 12 * 1024, f"{more / 1024:.1f} KiB", "<= 12 KiB"),
                held(f"{size.count:,} targets loaded, first probe", size.first, 5.0, f"{size.first:.1f} s", "<= 5 s",
                     size.waited),
                held(f"{size.count:,} idle targets, new connections", size.core, 0.15, f"{size.core:.0%} of a core",
                     "<= 15 %", size.waited),
            ]  # fmt: skip
    if kept is not None:
        found.append(held(f"{kept.count:,} idle targets, keep-alive", kept.core, 0.15, f"{kept.core:.0%} of a core",
                          "<= 15 %", kept.waited))  # fmt: skip
    return found
