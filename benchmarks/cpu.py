"""CPU per probe, beside the peers: every one pinned to the same core in its turn, medians over the rounds."""

import os
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path
from typing import NamedTuple

from benchmarks import peers
from benchmarks.accounting import cpu_seconds, memory, waited_seconds
from benchmarks.farm import Arrivals, Farm
from benchmarks.peers import Load, Running
from benchmarks.table import Row, held

SCRAPE_EVERY = 10.0
#: Seconds a peer runs before it is accounted for, beside one interval.
RUN_IN = 2.0


class Round(NamedTuple):
    """One peer, measured once. CPU seconds per probe; bytes; the part of the time it waited for its core."""

    cpu: float
    arrivals: Arrivals
    missed: float
    resident: int
    waited: float


class Contender(NamedTuple):
    """Somebody who is measured; `base` is the name of whom it is compared with."""

    name: str
    start: Callable[[], AbstractContextManager[Running]]
    farm: Farm
    load: Load
    base: str = ""
    limit: float | None = None


def measure(one: Contender, seconds: float) -> Round:
    """Let a peer run in, then account for it over `seconds`."""
    farm, interval = one.farm, one.load.interval
    with one.start() as running:
        time.sleep(interval + RUN_IN)
        if running.scrape:
            running.scrape()
        missed = running.missed()
        farm.reset(interval)
        began, cpu, waited = time.perf_counter(), cpu_seconds(running.pid), waited_seconds(running.pid)
        scraped = began
        while (now := time.perf_counter()) < began + seconds:
            if running.scrape and now >= scraped + SCRAPE_EVERY:
                scraped += SCRAPE_EVERY
                running.scrape()
            time.sleep(0.05)
        cpu = cpu_seconds(running.pid) - cpu
        waited = (waited_seconds(running.pid) - waited) / (time.perf_counter() - began)
        arrivals = farm.report()
        if not arrivals.requests:
            raise SystemExit(f"bench: no probe of {one.name} arrived")
        missed = running.missed() - missed
        return Round(cpu / arrivals.requests, arrivals, missed, memory(running.pid)[0], waited)


def contenders(folder: Path, plain: Farm, secure: Farm | None) -> list[Contender]:
    """Everybody, with what their CPU may be of whom they are compared with."""

    def ours(load: Load, *, fast: bool = True) -> Callable[[], AbstractContextManager[Running]]:
        return partial(peers.exporter, folder, load, fast=fast)

    blackbox = "blackbox_exporter"
    fresh = Load(plain.urls)
    kept = fresh._replace(keep_alive=True)
    streamed = Load(plain.at("/events"), stream=True)
    them = [Contender(blackbox, partial(peers.blackbox, folder, fresh), plain, fresh)]
    us = [
        Contender("[fast]", ours(fresh), plain, fresh, blackbox, 0.35),
        Contender("plain asyncio", ours(fresh, fast=False), plain, fresh, blackbox, 0.70),
        Contender("[fast], keep-alive", ours(kept), plain, kept, blackbox, 0.20),
        Contender("[fast], a stream of 20 events", ours(streamed), plain, streamed, blackbox),
    ]
    if secure is not None:
        shaken = Load(secure.urls)
        them.append(Contender(f"{blackbox}, TLS", partial(peers.blackbox, folder, shaken), secure, shaken))
        us.append(Contender("[fast], TLS", ours(shaken), secure, shaken, f"{blackbox}, TLS"))
    if os.environ.get(peers.CLOUDPROBER):
        them.append(Contender("cloudprober", partial(peers.cloudprober, folder, fresh), plain, fresh))
        us.append(Contender("[fast] beside cloudprober", ours(fresh), plain, fresh, "cloudprober", 0.70))
    return them + us


def rows(measured: Mapping[str, Sequence[Round]], everybody: Sequence[Contender]) -> list[Row]:
    """Medians over the rounds, as ratios."""
    found = []
    for one in everybody:
        rounds = measured.get(one.name)
        if not rounds:
            continue
        cpu = statistics.median(r.cpu for r in rounds)
        waited = max(r.waited for r in rounds)
        figure = f"{cpu * 1e6:.0f} us"
        if not one.base:
            found.append(Row(f"CPU per probe at {one.load.rate:.0f}/s: {one.name}", figure, waited=waited))
            continue
        late = statistics.median(r.arrivals.p99 for r in rounds)
        figure += f", gaps off by {late * 1e3:.1f} ms (p99), {sum(r.missed for r in rounds):.0f} missed"
        what = f"CPU per probe: {one.name}"
        base = measured.get(one.base)
        if not base:
            found.append(Row(what, figure, waited=waited))
            continue
        ratio = cpu / statistics.median(r.cpu for r in base)
        figure = f"{ratio:.2f} x {one.base.split(',')[0]}; {figure}"
        if one.limit is None:
            found.append(Row(what, figure, waited=waited))
        else:
            found.append(held(what, round(ratio, 2), one.limit, figure, f"<= {one.limit:.2f} x", waited))
    return found


def schedule(folder: Path, farm: Farm, seconds: float, *, keep_alive: bool) -> Row:
    """3,000 probes a second on one core: nothing missed, and the gaps are what they should be."""
    load = Load(farm.urls, interval=len(farm.urls) / 3000, keep_alive=keep_alive)
    one = Contender("", partial(peers.exporter, folder, load, fast=True), farm, load)
    seen = measure(one, seconds)
    late = seen.arrivals.p99
    rate = seen.arrivals.requests / seconds
    figure = f"{seen.missed:.0f} missed, gaps off by {late * 1e3:.1f} ms (p99), {seen.cpu * rate:.0%} of the core"
    what = f"schedule at 3,000 probes/s, {'keep-alive' if keep_alive else 'new connections'}"
    return Row(what, figure, "0 missed, p99 <= 10 ms", seen.missed == 0 and late <= 0.010, seen.waited)
