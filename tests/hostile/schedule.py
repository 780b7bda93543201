"""The whole table: the rounds, the schedule with all rows on it at once, and what healthy targets felt of it."""

import asyncio
import time
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics

from tests.hostile.process import Hostile
from tests.hostile.rounds import PART, SLACK, Line, Rounds
from tests.hostile.rows import HEALTHY, Row
from tests.hostile.subjects import CONTROLS, EVERY, Exporter, planted
from tests.support.proc import Proc
from tests.support.scrape import Scrape
from tests.support.web import fetch, until

#: Seconds in which healthy servers alone are asked, and in which all rows are on the schedule.
QUIET, ALL = 4.0, 15.0
#: Seconds beyond the interval, in 99 of 100 gaps between two runs of a control, and in the longest of them: as such, or
#: as often what healthy runs alone bring about on this machine.
LATE, LONGEST, TIMES = 0.1, 0.25, 3.0
#: Bytes of a label's value that the config's words may make up, and a server's.
LABEL, TOLD = 256, 128


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
    whole.numbers["nothing yet"] = _of(proc)
    await _calm(exporter, rows)
    began = time.monotonic()
    await rounds.busy(QUIET)
    quiet, asked = _gaps(hostile, began), time.monotonic()
    whole.numbers["before"] = _of(proc)
    descriptors, memory = proc.descriptors(), proc.rss()
    for name, go in (("alone", rounds.alone), ("twenty at once", rounds.twenty)):
        began = time.monotonic()
        await go()
        whole.numbers[name] = f"{time.monotonic() - began:.0f} s, {_of(proc)}"
    before = (descriptors, proc.threads(), memory)  # pools have their threads by now
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
    for seen in (crowded, gaps):
        whole.must(_p99(seen) <= EVERY + _late(LATE, _p99(quiet)), "healthy targets were kept waiting")
        whole.must(seen[-1] <= EVERY + _late(LONGEST, quiet[-1]), "a healthy target was kept waiting for long")
    _healthy(exporter.daemon.scrape(), hostile, whole)
    await asyncio.to_thread(exporter.watch, ())
    left = {sample.labels.get("target") for sample in exporter.daemon.scrape().samples}
    whole.must(not left & set(rounds.lines), "series of targets that are gone")
    await _gone(exporter, proc, before, whole)
    _secret(exporter, whole)
    return whole


async def _calm(exporter: Exporter, rows: Sequence[Row]) -> None:
    """As many targets for a while, at a server that is well: what records of so many leave behind, in the memory that
    Python keeps for more of them, is no hostile answer's.
    """
    await asyncio.to_thread(exporter.watch, [exporter.calm(row) for row in rows])
    names = {row.key for row in rows}

    def ran() -> bool:
        runs = exporter.daemon.scrape().all("model_probe_runs_total")
        return names <= {sample.labels["target"] for sample in runs if sample.value}

    await asyncio.to_thread(until, "every row's target", ran, within=60.0, every=1.0)
    await asyncio.to_thread(exporter.watch, ())


async def _all_at_once(exporter: Exporter, rounds: Rounds, whole: Whole) -> None:
    """Every row on the schedule: its verdicts, the time of its last run, and an exposition that stays valid."""
    until_ = time.monotonic() + ALL
    lines = rounds.lines
    quickest: dict[str, float] = {}
    scrapes = 0
    slack = SLACK + 2 * await rounds.overhead(1)
    wait = True
    while time.monotonic() < until_ or (wait and time.monotonic() < until_ + 3 * ALL):
        scrape = await asyncio.to_thread(exporter.daemon.scrape)
        scrapes += 1
        said = _verdicts(scrape)
        for sample in scrape.all("model_probe_last_duration_seconds"):
            name = sample.labels["target"]
            if name in lines:
                quickest[name] = min(sample.value, quickest.get(name, 1e9))
        # On a machine that stood still a row may have been late: it gets another run.
        wait = not all(
            said[key] & line.row.expected and quickest.get(key, 1e9) <= _most(line.row, slack)
            for key, line in lines.items()
        )
        await asyncio.sleep(0.5)
    for line in lines.values():
        _judge(line, said[line.row.key], quickest.get(line.row.key), slack)
    _told(lines, said, scrape)
    for sample in scrape.samples:
        whole.must(all(len(value.encode()) <= LABEL for value in sample.labels.values()), f"a long label of {sample}")
        whole.must(sample.labels.get("reason") != "internal", f"internal: {sample}")
        whole.must(sample.value == sample.value, f"no number: {sample}")
    whole.must(not list(scrape.all("model_exporter_internal_errors_total")), "internal errors")
    keys = [(sample.name, *sorted(sample.labels.items())) for sample in scrape.samples]
    whole.must(len(keys) == len(set(keys)), "the same series twice")
    text = fetch(f"{exporter.daemon.url}/metrics", headers={"Accept": "application/openmetrics-text"}).body
    await asyncio.to_thread(lambda: list(parse_openmetrics(text)))
    whole.numbers["series"] = f"{len(keys)}, in {scrapes} scrapes"


def _judge(line: Line, said: set[str], seconds: float | None, slack: float) -> None:
    """What the schedule made of a row; `seconds` of its quickest run, None where there was none."""
    row = line.row
    line.verdicts |= said - line.odd(said) if said & row.expected else said
    if seconds is None:
        line.wrong.append("all: never ran")
        return
    line.seconds["all"] = seconds
    if seconds > _most(row, slack):
        line.wrong.append("all: late")


def _most(row: Row, slack: float) -> float:
    """Seconds that its runs may take."""
    return PART * row.timeout if row.fast else row.timeout + slack


def _told(lines: Mapping[str, Line], said: Mapping[str, set[str]], scrape: Scrape) -> None:
    """What servers say is in one series of a target at most, and cut; a stream without a token has no first one."""
    info: Counter[str] = Counter()
    for sample in scrape.all("model_probe_info"):
        name = sample.labels["target"]
        info[name] += 1
        if name in lines and (info[name] > 1 or any(len(value.encode()) > TOLD for value in sample.labels.values())):
            lines[name].wrong.append("all: info")
    for sample in scrape.all("model_probe_ttft_seconds_count"):
        name = sample.labels["target"]
        if name in lines and sample.value and said[name] == {"empty"}:
            lines[name].wrong.append("all: a first token of an empty stream")


def _verdicts(scrape: Scrape) -> Mapping[str, set[str]]:
    """Of all runs so far, by target."""
    said: defaultdict[str, set[str]] = defaultdict(set)
    for sample in scrape.samples:
        if sample.name == "model_probe_failures_total" and sample.value:
            said[sample.labels["target"]].add(sample.labels["reason"])
        elif sample.name == "model_probe_successes_total" and sample.value:
            said[sample.labels["target"]].add(HEALTHY)
    return said


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


def _healthy(scrape: Scrape, hostile: Hostile, whole: Whole) -> None:
    names = [f"{number:02}" for number in range(CONTROLS)]
    runs, good, skipped = (
        sum(sample.value for name in names for sample in scrape.all(f"model_probe_{what}_total", target=name))
        for what in ("runs", "successes", "skipped")
    )
    whole.numbers["healthy runs"] = f"{good:.0f} of {runs:.0f}, {skipped:.0f} skipped"
    whole.must(good == runs, "a healthy target was not told to be healthy")
    _, pauses = _seen(hostile)
    stood = max((end - start for start, end in pauses), default=0.0)
    whole.numbers["this machine"] = f"stood still for at most {stood:.3f} s"
    whole.must(not skipped or stood > EVERY / 2, "a run of a healthy target was skipped")


def _late(seconds: float, usual: float) -> float:
    """Seconds that a gap may be too long: so many, or thrice what it was beside healthy runs."""
    return max(seconds, TIMES * (usual - EVERY))


def _p99(gaps: Sequence[float]) -> float:
    return gaps[int(0.99 * (len(gaps) - 1))]


def _gaps(hostile: Hostile, since: float) -> list[float]:
    """The times between two runs of one control, by what its server saw, in order of length; without those in which the
    server itself did not get to run.
    """
    seen, pauses = _seen(hostile)
    assert len(seen) >= CONTROLS
    gaps = [
        after - before - sum(max(0.0, min(end, after) - max(start, before)) for start, end in pauses)
        for path, stamps in seen.items() if path != "/control/on-demand"
        for before, after in pairwise(stamps) if before >= since
    ]  # fmt: skip
    return sorted(gaps) or [0.0]  # of a few rows the rounds may be over before any control ran twice


def _seen(hostile: Hostile) -> tuple[dict[str, list[float]], list[tuple[float, float]]]:
    """When each control was asked, and when the server that was asked did not get to run."""
    told = fetch(f"http://127.0.0.1:{hostile.healthy}/arrivals").json()
    return told["arrivals"], told["pauses"]


def _secret(exporter: Exporter, whole: Whole) -> None:
    """It is in nothing that can be seen."""
    daemon = exporter.daemon
    texts = [daemon.get(path).body for path in ("/metrics", "/", "/config", "/api/v1/targets")]
    texts += [daemon.process.stdout, daemon.process.stderr, Path(f"/proc/{exporter.pid}/cmdline").read_text()]
    whole.must(not any(map(planted, texts)), "the secret can be seen")
    whole.must("Traceback" not in daemon.process.stderr, "a traceback in the log")
