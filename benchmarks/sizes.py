"""Start, memory and what healthy targets cost all day: from one target to 10,000, with few series and with many."""

import math
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from benchmarks import peers
from benchmarks.accounting import Meter, memory
from benchmarks.farm import Farm
from benchmarks.peers import OURS, THEIRS, Load
from benchmarks.table import ABSENT, Row, held, unheld, why
from benchmarks.targets import FIRST, FIRST_OF_MANY, FURTHER, IDLE, ONE, Target
from tests.support.ports import free_port

MANY = 10_000
#: Seconds over which the cost of a size is taken; where it is promised, it is a whole interval.
SHORT = 5.0
KIB = 2**10
MIB = 2**20


class Sort(NamedTuple):
    """What is started: so many targets, each with so many health probes. `buckets` are the bounds of their histograms,
    in seconds; () stands for the usual ones.
    """

    targets: int
    probes: int = 1
    fast: bool = True
    keep_alive: bool = False
    buckets: tuple[float, ...] = ()

    @property
    def interval(self) -> float:
        """Seconds between two runs of a probe. Five of 10,000 targets are more than one core can do in less."""
        return 15.0 if self.probes == 1 else 30.0

    def __str__(self) -> str:
        targets = "1 target" if self.targets == 1 else f"{self.targets:,} targets"
        probes = "" if self.probes == 1 else f" of {self.probes} probes"
        how = "[fast]" if self.fast else "base install"
        kept = ", keep-alive" if self.keep_alive else ""
        buckets = f", {len(self.buckets)} buckets" if self.buckets else ""
        return f"{targets}{probes} every {self.interval:g} s, {how}{kept}{buckets}"


class Size(NamedTuple):
    """Seconds from exec to the first probe; resident bytes after all ran and were scraped; series of a target; the part
    of a core that it takes; bytes of each target after the first, NaN where there is nothing to reckon them from.
    """

    first: float
    resident: int
    series: float
    core: float
    waited: float
    further: float = math.nan


class Promise(NamedTuple):
    """A target, and how its number is read from a size."""

    what: str
    target: Target
    read: Callable[[Size], float]


BASE, WHOLE, KEPT = Sort(1, fast=False), Sort(MANY), Sort(MANY, keep_alive=True)
#: Memory is promised for targets of 40 series; with the usual buckets they have 51.
FEW = Sort(MANY, buckets=(0.1, 1.0))
#: In the order of the table; one target before more of its kind.
SORTS = (
    BASE, Sort(1), Sort(100), Sort(1000), WHOLE, FEW, KEPT, Sort(1, 5), Sort(100, 5), Sort(1000, 5), Sort(MANY, 5),
)  # fmt: skip
PROMISES: Mapping[Sort, tuple[Promise, ...]] = {
    BASE: (
        Promise("memory of 1 target, base install", ONE, lambda size: size.resident / MIB),
        Promise("first probe after exec, base install", FIRST, lambda size: size.first),
    ),
    WHOLE: (
        Promise("memory of each further target", FURTHER, lambda size: size.further / KIB),
        Promise("first probe after exec, 10,000 targets", FIRST_OF_MANY, lambda size: size.first),
        Promise("10,000 healthy targets all day", IDLE, lambda size: size.core * 100),
    ),
    FEW: (Promise("memory of each further target, 2 buckets", FURTHER, lambda size: size.further / KIB),),
    KEPT: (Promise("10,000 healthy targets all day, keep-alive", IDLE, lambda size: size.core * 100),),
}


def measure(folder: Path, program: Path, sort: Sort) -> Size:
    """Start the exporter, wait until every probe ran, scrape it, and account for some time."""
    with Farm(program, free_port(), THEIRS, sort.targets) as farm:
        farm.reset(sort.interval)
        load = Load(farm.urls, sort.interval, sort.keep_alive, probes=sort.probes, buckets=sort.buckets)
        with peers.exporter(folder, load, fast=sort.fast) as running:
            while farm.report().requests < sort.targets * sort.probes:
                time.sleep(0.2)
            first = farm.report().first - running.began
            time.sleep(1.0)
            if running.scrape:
                running.scrape()
            meter, began = Meter(running.pid, OURS), time.perf_counter()
            time.sleep(sort.interval if sort in (WHOLE, FEW, KEPT) else SHORT)
            cpu, waited = meter.read()
            core = cpu / (time.perf_counter() - began)
            resident = memory(running.pid)[0]
            return Size(first, resident, running.series() / sort.targets, core, waited)


class Sizes:
    """What was measured so far: memory of further targets is reckoned from that of one."""

    def __init__(self, folder: Path, program: Path) -> None:
        self._folder, self._program = folder, program
        self._found: dict[Sort, Size] = {}

    def rows(self, sort: Sort) -> Iterator[Row]:
        """Measure one size: what was found, and a row for each of its promises."""
        promises = PROMISES.get(sort, ())
        try:
            size = measure(self._folder, self._program, sort)
        except (Exception, SystemExit) as error:
            reason = why(error)
            yield unheld(str(sort), reason)
            yield from (unheld(promise.what, reason, promise.target) for promise in promises)
            return
        one = self._found.get(Sort(1, sort.probes, sort.fast))
        if one is not None:
            size = size._replace(further=(size.resident - one.resident) / (sort.targets - 1))
        self._found[sort] = size
        figure = f"first probe after {size.first:.2f} s, {size.resident / MIB:.0f} MiB, {size.core:.1%} of a core"
        if one is not None:
            figure += f"; each further one {size.further / KIB:.1f} KiB, {size.series:.0f} series"
        yield Row(str(sort), figure, waited=size.waited)
        for what, target, read in promises:
            value = read(size)
            if math.isnan(value):
                yield unheld(what, "there is no single target to reckon from", target, met=ABSENT)
            else:
                figure = target.form.format(value)
                if target is FURTHER:
                    figure += f" of {size.series:.3g} series"
                yield held(what, figure, (value, target), waited=size.waited)
