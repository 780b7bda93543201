"""CPU per probe, beside the peers: every one pinned to the same core in its turn, medians over the rounds."""

import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path
from typing import NamedTuple

from benchmarks import peers
from benchmarks.accounting import Meter, memory
from benchmarks.farm import Arrivals, Farm
from benchmarks.peers import OURS, Absent, Load, Running
from benchmarks.table import ABSENT, NO, NOT_RUN, STRETCH, YES, Row, held, unheld, why
from benchmarks.targets import FRESH, FRESH_CLOUDPROBER, GAPS, KEPT, MISSED, PLAIN, Target

SCRAPE_EVERY = 10.0
#: Seconds a peer runs before it is accounted for, beside one interval.
RUN_IN = 2.0
#: Probes a second on one core that are promised without a missed slot, and that would be better.
RATES = (3000, 5000)

Start = Callable[[], AbstractContextManager[Running]]


class Round(NamedTuple):
    """One peer, measured once. CPU seconds per probe; bytes; the part of the time it waited for its core."""

    cpu: float
    rate: float
    arrivals: Arrivals
    missed: float
    resident: int
    waited: float


class Contender(NamedTuple):
    """Somebody who is measured. `beside` names those it is compared with, and what it may take of theirs."""

    name: str
    start: Start
    farm: Farm
    load: Load
    beside: Mapping[str, Target | None] = {}


def measure(one: Contender, seconds: float) -> Round:
    """Let a peer run in, then account for it over `seconds`."""
    farm, interval = one.farm, one.load.interval
    with one.start() as running:
        time.sleep(interval + RUN_IN)
        if running.scrape:
            running.scrape()
        missed = running.missed()
        farm.reset(interval)
        meter, began = Meter(running.pid, OURS), time.perf_counter()
        scraped = began
        while (now := time.perf_counter()) < began + seconds:
            if running.scrape and now >= scraped + SCRAPE_EVERY:
                scraped += SCRAPE_EVERY
                running.scrape()
            time.sleep(0.05)
        cpu, waited = meter.read()
        passed = time.perf_counter() - began
        arrivals = farm.report()
        if not arrivals.requests:
            raise SystemExit(f"bench: no probe of {one.name} arrived")
        missed = running.missed() - missed
        return Round(
            cpu / arrivals.requests, arrivals.requests / passed, arrivals, missed, memory(running.pid)[0], waited
        )


BLACKBOX, CLOUDPROBER = "blackbox_exporter", "cloudprober"


def contenders(folder: Path, plain: Farm, secure: Farm | None) -> list[Contender]:
    """Everybody: first the peers, then ourselves with what we may take of theirs."""

    def ours(load: Load, *, fast: bool = True) -> Start:
        return partial(peers.exporter, folder, load, fast=fast)

    def blackbox(load: Load) -> Start:
        return partial(peers.blackbox, folder, load)

    fresh = Load(plain.urls)
    quick = fresh._replace(interval=fresh.interval / 2)
    kept = fresh._replace(keep_alive=True)
    streamed = Load(plain.at("/events"), stream=True)
    quickly, shaken = f"{BLACKBOX}, {quick.rate:,.0f}/s", f"{BLACKBOX}, TLS"
    them = [
        Contender(BLACKBOX, blackbox(fresh), plain, fresh),
        Contender(quickly, blackbox(quick), plain, quick),
        Contender(CLOUDPROBER, partial(peers.cloudprober, folder, fresh), plain, fresh),
    ]
    us = [
        Contender("[fast]", ours(fresh), plain, fresh, {BLACKBOX: FRESH, CLOUDPROBER: FRESH_CLOUDPROBER}),
        Contender(f"[fast], {quick.rate:,.0f}/s", ours(quick), plain, quick, {quickly: FRESH}),
        Contender("plain asyncio", ours(fresh, fast=False), plain, fresh, {BLACKBOX: PLAIN}),
        Contender("[fast], keep-alive", ours(kept), plain, kept, {BLACKBOX: KEPT}),
        Contender("[fast], a stream of 20 events", ours(streamed), plain, streamed, {BLACKBOX: None}),
    ]
    if secure is not None:
        load = Load(secure.urls)
        them.insert(2, Contender(shaken, blackbox(load), secure, load))
        us.append(Contender("[fast], TLS", ours(load), secure, load, {shaken: None}))
    return them + us


class Findings:
    """What the rounds found, and of those that could not run, why."""

    def __init__(self) -> None:
        self._rounds: dict[str, list[Round]] = {}
        self._broken: dict[str, tuple[str, str]] = {}

    def take(self, one: Contender, seconds: float) -> None:
        """One round. Who could not run once is not asked again."""
        if one.name in self._broken:
            return
        try:
            self._rounds.setdefault(one.name, []).append(measure(one, seconds))
        except (Exception, SystemExit) as error:
            self._broken[one.name] = why(error), ABSENT if isinstance(error, Absent) else NOT_RUN

    def rows(self, chosen: Sequence[Contender]) -> Iterator[Row]:
        """Medians over the rounds, and for each comparison a row with its ratio."""
        for one in chosen:
            targets = [target for target in one.beside.values() if target is not None]
            what = f"CPU per probe: {one.name}"
            if one.name in self._broken:
                reason, met = self._broken[one.name]
                yield unheld(what, reason, *targets, met=met)
            elif not one.beside:
                yield self._alone(what, one.name)
            else:
                yield from (self._compared(what, one.name, other, target) for other, target in one.beside.items())

    def _alone(self, what: str, name: str) -> Row:
        rounds = self._rounds[name]
        rate = statistics.median(one.rate for one in rounds)
        return Row(what, f"{_cpu(rounds) * 1e6:.0f} us, {rate:.0f}/s came", waited=_waited(rounds))

    def _compared(self, what: str, name: str, other: str, target: Target | None) -> Row:
        rounds, others = self._rounds[name], self._rounds.get(other, ())
        late = statistics.median(one.arrivals.p99 for one in rounds)
        missed = sum(one.missed for one in rounds)
        figure = f"{_cpu(rounds) * 1e6:.0f} us, gaps off by {late * 1e3:.1f} ms (p99), {missed:.0f} missed"
        if other == CLOUDPROBER:
            what += f", beside {CLOUDPROBER}"
        waited = max(_waited(rounds), _waited(others))
        if not others:
            return unheld(what, f"{figure}; no {other}", *([target] if target else []), met=ABSENT, waited=waited)
        ratio = round(_cpu(rounds) / _cpu(others), 2)
        figure = f"{ratio:.2f} x {other.split(',')[0]}; {figure}"
        if target is None:
            return Row(what, figure, waited=waited)
        return held(what, figure, (ratio, target), waited=waited)


def _cpu(rounds: Sequence[Round]) -> float:
    return statistics.median(one.cpu for one in rounds)


def _waited(rounds: Sequence[Round]) -> float:
    return max((one.waited for one in rounds), default=0.0)


def schedule(folder: Path, farm: Farm, seconds: float, rate: int, *, keep_alive: bool) -> list[Row]:
    """So many probes a second on one core: nothing missed, and the gaps are what they should be."""
    load = Load(farm.urls, interval=len(farm.urls) / rate, keep_alive=keep_alive)
    one = Contender("", partial(peers.exporter, folder, load, fast=True), farm, load)
    seen = measure(one, seconds)
    late = seen.arrivals.p99
    figure = f"{seen.missed:.0f} missed, gaps off by {late * 1e3:.1f} ms (p99), {seen.cpu * seen.rate:.0%} of the core"
    row = held(scheduled(rate, keep_alive=keep_alive), figure, (seen.missed, MISSED), (late * 1e3, GAPS),
               waited=seen.waited)  # fmt: skip
    if rate == RATES[0]:
        return [row]
    return [row._replace(wanted="", stretch=row.wanted, met=STRETCH if row.met == YES else NO.lower())]


def promised(rate: int) -> tuple[Target, ...]:
    """The targets of a row of `schedule`."""
    return (MISSED, GAPS) if rate == RATES[0] else ()


def scheduled(rate: int, *, keep_alive: bool) -> str:
    """The name of a row of `schedule`."""
    return f"schedule at {rate:,} probes/s, {'keep-alive' if keep_alive else 'new connections'}"
