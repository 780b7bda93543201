"""The exporter under load for a long time: python -m benchmarks.soak [--minutes M] [--targets N].

Most targets are healthy servers of the farm, some are of the hostile server, one for each of its misbehaviours and
again. It is scraped as Prometheus does. What the machine did to it is told apart: periods in which others had its core
explain missed slots, and nothing else does. Ends with 1 when a bound is broken.
"""

import argparse
import gzip
import http.client
import json
import re
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from itertools import pairwise
from pathlib import Path
from statistics import linear_regression, median
from typing import Any, NamedTuple

from benchmarks.accounting import cpu_seconds, memory, waited_seconds
from benchmarks.farm import Farm, build
from benchmarks.peers import OURS, PROMETHEUS, THEIRS
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
#: The part of a period in which others had the core, above which it is they who make us late.
BUSY = 0.2
#: What may still be at work in the kernel for a moment.
SLACK = 16
_OWN = re.compile(rb"^(model_exporter_\w+(?:\{[^}]*\})?) (\S+)", re.MULTILINE)


class Look(NamedTuple):
    """One scrape and what the kernel says at that moment. Seconds, bytes; counters since the start of the process."""

    at: float
    own: dict[str, float]
    took: float
    size: int
    sent: int
    resident: int
    files: int
    threads: int
    cpu: float
    waited: float

    @property
    def missed(self) -> float:
        return self.own["model_exporter_missed_slots_total"]


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


def look(port: int, pid: int) -> Look:
    """Scrape as Prometheus does, and look around."""
    began = time.perf_counter()
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
    connection.request("GET", "/metrics", headers=PROMETHEUS)
    answer = connection.getresponse()
    assert answer.status == 200
    body = answer.read()
    took = time.perf_counter() - began
    connection.close()
    text = gzip.decompress(body) if answer.headers.get("Content-Encoding") == "gzip" else body
    own = {name.decode(): float(value) for name, value in _OWN.findall(text)}
    status = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    files = len(list(Path(f"/proc/{pid}/fd").iterdir()))
    return Look(
        began, own, took, len(text), len(body), memory(pid)[0], files, int(status["Threads"]), cpu_seconds(pid),
        waited_seconds(pid),
    )  # fmt: skip


def whole(port: int) -> Scrape:
    """A scrape with every target's series."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
    connection.request("GET", "/metrics")
    text = connection.getresponse().read().decode()
    connection.close()
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
    pairs = list(pairwise(looks))
    unexplained = sum(b.missed - a.missed for a, b in pairs if (b.waited - a.waited) / (b.at - a.at) < BUSY)
    failures, runs = (
        total(after, name, "healthy") - total(before, name, "healthy")
        for name in ("model_probe_failures_total", "model_probe_runs_total")
    )
    hostile = total(after, "model_probe_runs_total", "hostile") - total(before, "model_probe_runs_total", "hostile")
    errors = sum(value for key, value in last.own.items() if "internal_errors" in key or "component_restarts" in key)
    took = [median(one.took for one in part) for part in (early, late)]
    sizes = [one.size for one in looks]
    files, threads = (
        [max(getattr(one, name) for one in part) for part in (early, late)] for name in ("files", "threads")
    )
    waiting = [one.own["model_exporter_probes_waiting"] for one in looks]
    steady = max(sizes) <= min(sizes) * 1.02
    cpu = (last.cpu - first.cpu) / (last.at - first.at)
    others = (last.waited - first.waited) / (last.at - first.at)
    return [
        Bound("runs of healthy targets", f"{runs:.0f}", "> 0", runs > 0),
        Bound("runs of hostile targets", f"{hostile:.0f}", "> 0", hostile > 0),
        Bound("failures of healthy targets", f"{failures:.0f}", "0", failures == 0),
        Bound("missed slots", f"{last.missed - first.missed:.0f}", "", True),
        Bound(f"  with less than {BUSY:.0%} of the core taken", f"{unexplained:.0f}", "0", unexplained == 0),
        Bound("delay of a start, p99", f"<= {_delay(first, last, 0.99):g} s", "0.1 s, or others had the core",
              _delay(first, last, 0.99) <= 0.1 or others >= BUSY),
        Bound("runs that wait for a slot, first and last look", f"{waiting[0]:.0f}, {waiting[-1]:.0f}", "", True),
        Bound("internal errors and restarts", f"{errors:.0f}", "0", errors == 0),
        _memory(looks, targets, filled_at),
        Bound("descriptors, most of each half", f"{files[0]}, {files[1]}", f"+ 10 % + {SLACK}",
              files[1] <= files[0] * 1.1 + SLACK),
        Bound("threads, most of each half", f"{threads[0]}, {threads[1]}", "+ 2", threads[1] <= threads[0] + 2),
        Bound("bytes of a scrape, least and most", f"{min(sizes)}, {max(sizes)}", "within 2 %", steady),
        Bound("a scrape with gzip, median of each half", f"{took[0]:.2f}, {took[1]:.2f} s; {last.sent / 2**20:.1f} MiB",
              "+ 50 %, or others had the core", took[1] <= took[0] * 1.5 + 0.1 or others >= BUSY),
        Bound("runs marked as suspect", f"{_rise(first, last, 'suspect_measurements'):.0f}", "", True),
        Bound("CPU of one core; others had it", f"{cpu:.0%}; {others:.0%}", "<= 100 %", cpu <= 1),
    ]  # fmt: skip


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
        look(port, process.pid)
        before = whole(port)
        looks = [look(port, process.pid)]
        end = looks[0].at + max(minutes * 60, 4 * PERIOD)
        while looks[-1].at + PERIOD <= end:
            time.sleep(max(0.0, looks[-1].at + PERIOD - time.perf_counter()))
            assert process.returncode is None, process.tail()
            looks.append(look(port, process.pid))
            if len(looks) % 20 == 0:
                print(f"{(looks[-1].at - looks[0].at) / 60:.0f} of {minutes:g} minutes", flush=True)
        filled_at = looks[0].at + (RECENT_GOOD - 3) * interval
        return judge(looks, before, whole(port), targets, filled_at)


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
    broken = [bound.what for bound in bounds if not bound.holds]
    sys.exit(f"soak: broken: {', '.join(broken)}" if broken else 0)


if __name__ == "__main__":
    main()
