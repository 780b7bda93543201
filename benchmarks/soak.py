"""The exporter under load for a long time: python -m benchmarks.soak [--minutes M] [--targets N].

Most targets are healthy servers of the farm, some are of the hostile server, one for each of its misbehaviours and
again. It is scraped as Prometheus does. What the machine did to it is told apart: moments in which others had its core
explain missed slots, as does a wait for a slot, and nothing else does. Ends with 1 when a bound is broken.
"""

import argparse
import http.client
import json
import re
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack
from itertools import pairwise
from pathlib import Path
from statistics import linear_regression, median
from typing import Any, NamedTuple

from benchmarks.accounting import cpu_seconds, memory, waited_seconds
from benchmarks.farm import Farm, build
from benchmarks.peers import OURS, THEIRS, scraped
from exporter.ledger.numbers import RECENT_GOOD
from tests.hostile.behaviours import BEHAVIOURS
from tests.hostile.process import started
from tests.support.daemon import command
from tests.support.ports import free_port
from tests.support.process import Process
from tests.support.scrape import Scrape
from tests.support.web import answers, until

#: Seconds between two scrapes.
PERIOD = 15.0
#: The part of the time in which others had the core, above which it is they who make us late.
BUSY = 0.2
#: Seconds of a moment, and the part of one in which others had the core, after which it may be they who made us miss.
MOMENT, TAKEN = 0.5, 0.5
#: Why slots are missed.
TAKEN_BY_OTHERS, NO_SLOT, UNEXPLAINED = "others", "no slot", "unexplained"
#: A scrape is given up after so many tries.
TRIES = 3
#: What may still be at work in the kernel for a moment.
SLACK = 16
_OWN = re.compile(rb"^(model_exporter_\w+(?:\{[^}]*\})?) (\S+)", re.MULTILINE)


class Look(NamedTuple):
    """One scrape and what the kernel says at that moment. Seconds, bytes; counters since the start of the process."""

    at: float
    own: dict[str, float]
    took: float
    failed: int  #: scrapes before this one, of the same look
    size: int
    sent: int
    resident: int
    files: int
    threads: int
    cpu: float
    waited: float
    taken: float  #: the most that others had of any moment since the look before

    @property
    def missed(self) -> float:
        return self.own["model_exporter_missed_slots_total"]

    @property
    def waiting(self) -> float:
        return self.own["model_exporter_probes_waiting"]

    @property
    def series(self) -> float:
        return self.own["model_exporter_scrape_series"]


class Moments(threading.Thread):
    """How much of the measured core others had, moment by moment. That we, on the other core, wake late counts as well:
    then the whole machine stood still.
    """

    def __init__(self, pid: int) -> None:
        super().__init__(daemon=True)
        self._pid = pid
        self._worst = 0.0

    def run(self) -> None:
        """Look until the process is gone."""
        at, waited = time.perf_counter(), waited_seconds(self._pid)
        while True:
            time.sleep(MOMENT)
            now = time.perf_counter()
            try:
                more = waited_seconds(self._pid)
            except OSError:
                return
            passed = now - at
            self._worst = max(self._worst, (more - waited) / passed, (passed - MOMENT) / passed)
            at, waited = now, more

    def worst(self) -> float:
        """The most since the last call."""
        worst, self._worst = self._worst, 0.0
        return worst


class Bound(NamedTuple):
    """A row of the table."""

    what: str
    found: str
    allowed: str
    holds: bool


def config(healthy: Sequence[str], hostile: Sequence[str], interval: float) -> dict[str, Any]:
    """One health probe each. Hostile ones are not asked twice, and their bodies are small as they would be."""
    every = {"interval": f"{interval:g}s", "timeout": "5s"}
    return {
        "limits": {"concurrency": 1000, "per_host": 200},
        "modules": {
            "healthy": {"protocol": "http", "probes": {"health": every}},
            "hostile": {
                "protocol": "http",
                "max_body": "1MB",
                "probes": {"health": {**every, "retry": {"attempts": 1}}},
            },
        },
        "targets": [
            {"name": f"{module}-{number}", "url": url, "module": module}
            for module, urls in (("healthy", healthy), ("hostile", hostile))
            for number, url in enumerate(urls)
        ],
    }


def look(port: int, pid: int, moments: Moments) -> Look:
    """Scrape as Prometheus does, and look around. A scrape that fails is tried again, twice."""
    failed = 0
    while True:
        began = time.perf_counter()
        try:
            text, size = scraped(f"http://127.0.0.1:{port}/metrics")
            break
        except (OSError, http.client.HTTPException):
            failed += 1
            if failed == TRIES:
                raise
    took = time.perf_counter() - began
    own = {name.decode(): float(value) for name, value in _OWN.findall(text)}
    status = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    files = len(list(Path(f"/proc/{pid}/fd").iterdir()))
    return Look(
        began, own, took, failed, len(text), size, memory(pid)[0], files, int(status["Threads"]), cpu_seconds(pid),
        waited_seconds(pid), moments.worst(),
    )  # fmt: skip


def whole(port: int) -> Scrape:
    """A scrape with every target's series."""
    text = scraped(f"http://127.0.0.1:{port}/metrics", {})[0].decode()
    wanted = ("model_probe_failures_total", "model_probe_runs_total", "model_probe_skipped_total")
    return Scrape("".join(line for line in text.splitlines(keepends=True) if line.startswith(wanted)))


def total(scrape: Scrape, name: str, module: str, **labels: str) -> float:
    """The sum over all targets of a kind."""
    return sum(one.value for one in scrape.all(name, **labels) if one.labels["target"].startswith(module))


def _delay(first: Look, last: Look, q: float) -> float:
    """The bound of the bucket that holds the quantile of the schedule's delays between two looks."""
    name = "model_exporter_schedule_delay_seconds"
    runs = last.own[f"{name}_count"] - first.own[f"{name}_count"]
    for key, value in last.own.items():
        if key.startswith(f"{name}_bucket") and value - first.own[key] >= q * runs:
            return float(key.split('"')[1])
    return float("inf")


def _missed(looks: Sequence[Look]) -> Counter[str]:
    """Slots that were missed, by what made us miss them."""
    found: Counter[str] = Counter()
    for before, after in pairwise(looks):
        cause = TAKEN_BY_OTHERS if after.taken >= TAKEN else NO_SLOT if before.waiting or after.waiting else UNEXPLAINED
        found[cause] += round(after.missed - before.missed)
    return found


def _memory(looks: Sequence[Look], targets: int, filled_at: float) -> Bound:
    """Growth of the resident memory, once each target remembers as many runs as it ever will."""
    filled = [one for one in looks if one.at >= filled_at]
    allowed, room = "1 % + 1 MiB", 1.0
    if len(filled) < 8:
        filled, allowed, room = list(looks), "1 % + 1 MiB + 2 KiB a target", 1 + targets / 512
    hours = (filled[-1].at - filled[0].at) / 3600
    slope = linear_regression([one.at / 3600 for one in filled], [one.resident / 2**20 for one in filled]).slope
    resident, grown = filled[-1].resident / 2**20, slope * hours
    found = f"{resident:.0f} MiB, {grown:+.1f} MiB ({slope:+.1f} MiB/h)"
    return Bound("resident memory, grown by", found, allowed, grown <= resident * 0.01 + room)


def judge(looks: Sequence[Look], before: Scrape, after: Scrape, targets: int, filled_at: float) -> list[Bound]:
    """Every figure beside what is allowed."""
    first, last = looks[0], looks[-1]
    half = len(looks) // 2
    early, late = looks[:half], looks[half:]
    missed = _missed(looks)
    failures, runs = (
        total(after, name, "healthy") - total(before, name, "healthy")
        for name in ("model_probe_failures_total", "model_probe_runs_total")
    )
    hostile = total(after, "model_probe_runs_total", "hostile") - total(before, "model_probe_runs_total", "hostile")
    errors = sum(value for key, value in last.own.items() if "internal_errors" in key or "component_restarts" in key)
    took = [median(one.took for one in part) for part in (early, late)]
    series, failed = [one.series for one in looks], sum(one.failed for one in looks)
    files, threads = (
        [max(getattr(one, name) for one in part) for part in (early, late)] for name in ("files", "threads")
    )
    steady = max(series) <= min(series) * 1.01
    cpu = (last.cpu - first.cpu) / (last.at - first.at)
    others = (last.waited - first.waited) / (last.at - first.at)
    return [
        Bound("runs of healthy targets", f"{runs:.0f}", "> 0", runs > 0),
        Bound("runs of hostile targets", f"{hostile:.0f}", "> 0", hostile > 0),
        Bound("failures of healthy targets", f"{failures:.0f}", "0", failures == 0),
        Bound("missed slots", f"{last.missed - first.missed:.0f}", "", True),
        Bound("  while others had the core", f"{missed[TAKEN_BY_OTHERS]:.0f}", "", True),
        Bound("  because no slot was free", f"{missed[NO_SLOT]:.0f}", "", True),
        Bound("  unexplained", f"{missed[UNEXPLAINED]:.0f}", "0", missed[UNEXPLAINED] == 0),
        Bound("runs that did not happen", _skipped(before, after), "", True),
        Bound("delay of a start, p99", f"<= {_delay(first, last, 0.99):g} s", "0.1 s, or others had the core",
              _delay(first, last, 0.99) <= 0.1 or others >= BUSY),
        Bound("runs that wait for a slot, most", f"{max(one.waiting for one in looks):.0f}", "", True),
        Bound("internal errors and restarts", f"{errors:.0f}", "0", errors == 0),
        _memory(looks, targets, filled_at),
        Bound("descriptors, most of each half", f"{files[0]}, {files[1]}", f"+ 10 % + {SLACK}",
              files[1] <= files[0] * 1.1 + SLACK),
        Bound("threads, most of each half", f"{threads[0]}, {threads[1]}", "+ 2", threads[1] <= threads[0] + 2),
        Bound("series of a scrape, least and most", f"{min(series):.0f}, {max(series):.0f}", "within 1 %", steady),
        Bound("bytes of a scrape, last", f"{last.size / 1e6:.1f} MB, {last.sent / 1e6:.1f} MB with gzip", "", True),
        Bound("a scrape with gzip, median of each half", f"{took[0]:.2f}, {took[1]:.2f} s",
              "+ 50 %, or others had the core", took[1] <= took[0] * 1.5 + 0.1 or others >= BUSY),
        Bound("scrapes that failed", f"{failed}", "0, or others had the core", not failed or others >= BUSY),
        Bound("runs marked as suspect", f"{_rise(first, last, 'suspect_measurements'):.0f}", "", True),
        Bound("CPU of one core; others had it", f"{cpu:.0%}; {others:.0%}", "<= 100 %", cpu <= 1),
    ]  # fmt: skip


def _skipped(before: Scrape, after: Scrape) -> str:
    counts: Counter[str] = Counter()
    for sign, scrape in ((-1, before), (1, after)):
        for one in scrape.all("model_probe_skipped_total"):
            counts[f"{one.labels['target'].partition('-')[0]} {one.labels['reason']}"] += sign * round(one.value)
    return ", ".join(f"{count} {key}" for key, count in counts.items() if count) or "0"


def _rise(first: Look, last: Look, name: str) -> float:
    key = f"model_exporter_{name}_total"
    return last.own[key] - first.own[key]


def soak(folder: Path, targets: int, minutes: float, interval: float, share: float) -> list[Bound]:
    """Run it and judge."""
    with ExitStack() as stack:
        farm = stack.enter_context(Farm(build(Path(".bench")), free_port(), THEIRS))
        ports = stack.enter_context(started())
        rows = [row for row in BEHAVIOURS if row.scheme == "http" and row.port in ports and row.group != "dns"]
        bad = [rows[number % len(rows)].url(ports) for number in range(round(targets * share))]
        good = [f"{farm.urls[number % len(farm.urls)]}?{number}" for number in range(targets - len(bad))]
        path, port = folder / "soak.yml", free_port()
        path.write_text(json.dumps(config(good, bad, interval)))
        run = ["run", "--config", str(path), "--listen", f"127.0.0.1:{port}", "--log-level", "error"]
        process = stack.enter_context(Process("exporter", ["taskset", "-c", str(OURS), *command(), *run], folder))

        def ready() -> bool:
            assert process.returncode is None, process.tail()
            return answers(f"http://127.0.0.1:{port}/-/ready")

        until("the exporter", ready, within=120, log=process.tail)
        # Each has run three times: all series are there, all that is kept is kept.
        time.sleep(3 * interval + PERIOD)
        moments = Moments(process.pid)
        moments.start()
        look(port, process.pid, moments)
        before = whole(port)
        looks = [look(port, process.pid, moments)]
        end = looks[0].at + max(minutes * 60, 4 * PERIOD)
        while looks[-1].at + PERIOD <= end:
            time.sleep(max(0.0, looks[-1].at + PERIOD - time.perf_counter()))
            assert process.returncode is None, process.tail()
            looks.append(look(port, process.pid, moments))
            _tell(looks, minutes)
        filled_at = looks[0].at + (RECENT_GOOD - 3) * interval
        return judge(looks, before, whole(port), targets, filled_at)


def _tell(looks: Sequence[Look], minutes: float) -> None:
    """One line that is written over, on a terminal alone."""
    first, before, last = looks[0], looks[-2], looks[-1]
    core, others = ((getattr(last, name) - getattr(before, name)) / (last.at - before.at) for name in ("cpu", "waited"))
    if sys.stderr.isatty():
        print(
            f"\r\x1b[K{(last.at - first.at) / 60:.1f} of {minutes:g} minutes: {last.resident / 2**20:.0f} MiB, "
            f"{last.missed - first.missed:.0f} missed, scraped in {last.took:.1f} s, {core:.0%} of the core, "
            f"others {others:.0%}",
            end="", file=sys.stderr, flush=True,
        )  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=30, help="to measure, after it has run in")
    parser.add_argument("--targets", type=int, default=10_000)
    parser.add_argument("--interval", type=float, default=30, help="seconds between two runs of a target")
    parser.add_argument("--hostile", type=float, default=0.05, help="the part of the targets that misbehave")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        bounds = soak(Path(folder), options.targets, options.minutes, options.interval, options.hostile)
    print(f"\n{options.targets} targets every {options.interval:g} s, {options.hostile:.0%} hostile, ", end="")
    print(f"{options.minutes:g} minutes")
    print(f"{'':48} {'found':34} {'allowed':30}")
    for bound in bounds:
        print(f"{bound.what:48} {bound.found:34} {bound.allowed:30} {'' if bound.holds else 'BROKEN'}".rstrip())
    print("\nFor docs/performance.md:")
    print(f"| {options.targets:,} every {options.interval:g} s, {options.minutes:g} minutes |", end="")
    for what in ("CPU", "resident", "missed", "  unexp", "delay", "bytes", "a scrape", "runs marked"):
        print(f" {next(bound.found for bound in bounds if bound.what.startswith(what))} |", end="")
    print()
    broken = [bound.what for bound in bounds if not bound.holds]
    sys.exit(f"soak: broken: {', '.join(broken)}" if broken else 0)


if __name__ == "__main__":
    main()
