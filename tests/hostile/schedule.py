"""The whole table: the rounds, the schedule with all rows on it at once, and what healthy targets felt of it."""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics

from tests.hostile.process import Hostile
from tests.hostile.rounds import PART, SLACK, Rounds
from tests.hostile.rows import HEALTHY, Row
from tests.hostile.subjects import CONTROLS, EVERY, Exporter, planted
from tests.support.proc import Proc
from tests.support.scrape import Scrape
from tests.support.web import fetch, until

#: Seconds in which healthy servers alone are asked, and in which all rows are on the schedule.
QUIET, ALL = 4.0, 15.0
#: Seconds beyond the interval, in 99 of 100 gaps between two runs of a control: as such, or as often what healthy runs
#: alone bring about. `CROWDED` is for copies which `/probe` is asked for all together, up to sixty of them: a parser
#: that is at a text of ten megabytes lets nobody in between, however busy the machine is.
LATE, CROWDED, TIMES = 0.1, 0.25, 3.0
#: Bytes of a label's value that a server's words may make up, or the config's.
LABEL = 256


@dataclass
class Whole:
    """What was seen of the exporter as such: numbers to show, and what is wrong."""

    numbers: dict[str, str] = field(default_factory=dict)
    wrong: list[str] = field(default_factory=list)

    def must(self, holds: bool, what: str) -> None:
        if not holds:
            self.wrong.append(what)


async def together(exporter: Exporter, rounds: Rounds, rows: Sequence[Row], hostile: Hostile) -> Whole:
    """All rounds, one after the other, beside the controls."""
    whole = Whole()
    proc = Proc(exporter.pid)
    await asyncio.to_thread(until, "every control", lambda: _controls_ran(exporter), within=30.0)
    await rounds.warm()
    await asyncio.to_thread(exporter.watch, ())  # reading a config this large takes memory once
    began = time.monotonic()
    await rounds.busy(QUIET)
    quiet, asked = _gaps(hostile, began), time.monotonic()
    whole.numbers["before"] = _of(proc)
    descriptors = proc.descriptors()
    for name, go in (("alone", rounds.alone), ("twenty at once", rounds.twenty)):
        began = time.monotonic()
        await go()
        whole.numbers[name] = f"{time.monotonic() - began:.0f} s, {_of(proc)}"
    # Pools have their threads by now, and the allocator what twenty at once took: it must be no more after the next.
    before = (descriptors, proc.threads(), proc.rss())
    proc.forget_peak()
    crowded = _gaps(hostile, asked)
    await asyncio.to_thread(exporter.watch, rows)
    began = time.monotonic()
    await _all_at_once(exporter, rounds, whole)
    whole.numbers["all at once"] = f"RSS at most {proc.peak():.0f} MB"
    gaps = _gaps(hostile, began)
    for what, seen in (("healthy runs at once", quiet), ("the rounds", crowded), ("all rows on the schedule", gaps)):
        whole.numbers[f"controls beside {what}"] = (
            f"every {EVERY:g} s, p99 {_p99(seen):.3f} s, longest {seen[-1]:.3f} s"
        )
    for seen, late in ((crowded, CROWDED), (gaps, LATE)):
        allowed = EVERY + max(late, TIMES * (_p99(quiet) - EVERY))
        whole.must(_p99(seen) <= allowed, "healthy targets were kept waiting")
        whole.must(seen[-1] < 2 * EVERY, "a healthy target was kept waiting for a whole slot")
    _healthy(exporter.daemon.scrape(), whole)
    await asyncio.to_thread(exporter.watch, ())
    await _gone(exporter, proc, before, whole)
    _secret(exporter, whole)
    return whole


async def _all_at_once(exporter: Exporter, rounds: Rounds, whole: Whole) -> None:
    """Every row on the schedule: its verdicts, the time of its last run, and an exposition that stays valid."""
    until_ = time.monotonic() + ALL
    lines = rounds.lines
    slowest: dict[str, float] = {}
    scrapes = 0
    while time.monotonic() < until_ or (len(slowest) < len(lines) and time.monotonic() < until_ + 3 * ALL):
        scrape = await asyncio.to_thread(exporter.daemon.scrape)
        scrapes += 1
        for sample in scrape.all("model_probe_last_duration_seconds"):
            name = sample.labels["target"]
            if name in lines:
                slowest[name] = min(slowest.get(name, 1e9), sample.value)
        await asyncio.sleep(0.5)
    slack = SLACK + 2 * await rounds.overhead(1)
    for line in lines.values():
        row = line.row
        said = {sample.labels["reason"] for sample in scrape.all("model_probe_failures_total", target=row.key)}
        if any(sample.value for sample in scrape.all("model_probe_successes_total", target=row.key)):
            said.add(HEALTHY)
        line.verdicts |= said - line.odd(said) if said & row.expected else said
        if row.key not in slowest:
            line.wrong.append("all: never ran")
            continue
        line.seconds["all"] = slowest[row.key]
        if slowest[row.key] > (PART * row.timeout if row.fast else row.timeout + slack):
            line.wrong.append("all: late")
        if sum(1 for _ in scrape.all("model_probe_info", target=row.key)) > 1:
            line.wrong.append("all: series")
    for sample in scrape.samples:
        whole.must(all(len(value.encode()) <= LABEL for value in sample.labels.values()), f"a long label of {sample}")
        whole.must(sample.labels.get("reason") != "internal", f"internal: {sample}")
    whole.must(not list(scrape.all("model_exporter_internal_errors_total")), "internal errors")
    keys = [(sample.name, *sorted(sample.labels.items())) for sample in scrape.samples]
    whole.must(len(keys) == len(set(keys)), "the same series twice")
    text = fetch(f"{exporter.daemon.url}/metrics", headers={"Accept": "application/openmetrics-text"}).body
    await asyncio.to_thread(lambda: list(parse_openmetrics(text)))
    whole.numbers["series"] = f"{len(keys)}, in {scrapes} scrapes"


async def _gone(exporter: Exporter, proc: Proc, before: tuple[int, int, float], whole: Whole) -> None:
    """What the rows took is given back."""
    descriptors, threads, rss = before
    left = await asyncio.to_thread(proc.settled, descriptors + 2)
    until_ = time.monotonic() + 60
    while proc.rss() > 1.1 * rss and time.monotonic() < until_:
        await asyncio.sleep(0.5)
    whole.numbers["afterwards"] = _of(proc)
    whole.must(not left, f"{left} descriptors stayed open")
    whole.must(proc.threads() <= threads + 2, "threads stayed")
    whole.must(proc.rss() <= 1.1 * rss, "memory stayed")


def _of(proc: Proc) -> str:
    return f"{proc.descriptors()} descriptors, {proc.threads()} threads, RSS {proc.rss():.0f} MB"


def _controls_ran(exporter: Exporter) -> bool:
    scrape = exporter.daemon.scrape()
    return sum(sample.value for sample in scrape.all("model_probe_successes_total")) >= CONTROLS


def _healthy(scrape: Scrape, whole: Whole) -> None:
    names = [f"{number:02}" for number in range(CONTROLS)]
    runs, good, skipped = (
        sum(sample.value for name in names for sample in scrape.all(f"model_probe_{what}_total", target=name))
        for what in ("runs", "successes", "skipped")
    )
    whole.numbers["healthy runs"] = f"{good:.0f} of {runs:.0f}, {skipped:.0f} skipped"
    whole.must(good == runs, "a healthy target was not told to be healthy")
    whole.must(not skipped, "a run of a healthy target was skipped")


def _p99(gaps: Sequence[float]) -> float:
    return gaps[int(0.99 * (len(gaps) - 1))]


def _gaps(hostile: Hostile, since: float) -> list[float]:
    """The times between two runs of one control, by what its server saw, in order of length."""
    seen = fetch(f"http://127.0.0.1:{hostile.healthy}/arrivals").json()
    assert len(seen) >= CONTROLS
    gaps = [
        after - before
        for path, stamps in seen.items() if path != "/control/on-demand"
        for before, after in pairwise(stamps) if before >= since
    ]  # fmt: skip
    return sorted(gaps)


def _secret(exporter: Exporter, whole: Whole) -> None:
    """It is in nothing that can be seen."""
    daemon = exporter.daemon
    texts = [daemon.get(path).body for path in ("/metrics", "/", "/config", "/api/v1/targets")]
    texts += [daemon.process.stdout, daemon.process.stderr, Path(f"/proc/{exporter.pid}/cmdline").read_text()]
    whole.must(not any(map(planted, texts)), "the secret can be seen")
    whole.must("Traceback" not in daemon.process.stderr, "a traceback in the log")
