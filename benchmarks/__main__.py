"""Measure and print one table: python -m benchmarks [--rounds N] [--seconds N] [--only NAME]."""

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path
from typing import NamedTuple

from benchmarks import peers
from benchmarks.accounting import cpu_seconds, memory, waited_seconds
from benchmarks.farm import TARGETS, Arrivals, Farm, build
from benchmarks.peers import INTERVAL, Running
from tests.support.ports import free_port

SCRAPE_EVERY = 10.0
BLACKBOX = "blackbox_exporter"


class Round(NamedTuple):
    """One peer, measured once. CPU seconds per probe; bytes; the part of the time it waited for its core."""

    cpu: float
    arrivals: Arrivals
    missed: float
    resident: int
    waited: float


def measure(peer: AbstractContextManager[Running], farm: Farm, seconds: float) -> Round:
    """Let a peer run in, then account for it over `seconds`."""
    with peer as running:
        time.sleep(INTERVAL + 2)
        if running.scrape:
            running.scrape()
        missed = running.missed()
        farm.reset(INTERVAL)
        began, cpu, waited = time.perf_counter(), cpu_seconds(running.pid), waited_seconds(running.pid)
        scraped = began
        while (now := time.perf_counter()) < began + seconds:
            if running.scrape and now >= scraped + SCRAPE_EVERY:
                scraped += SCRAPE_EVERY
                running.scrape()
            time.sleep(0.05)
        cpu = cpu_seconds(running.pid) - cpu
        waited = (waited_seconds(running.pid) - waited) / seconds
        arrivals = farm.report()
        expected = seconds * TARGETS / INTERVAL
        if not 0.97 < arrivals.requests / expected < 1.03:
            print(f"bench: {arrivals.requests} probes arrived where {expected:.0f} were due")
        missed = running.missed() - missed
        return Round(cpu / arrivals.requests, arrivals, missed, memory(running.pid)[0], waited)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--only", action="append", help="measure only the rows that contain this; may be repeated")
    options = parser.parse_args()
    work = Path(".bench")
    program = build(work)
    port = free_port()
    with Farm(program, port, peers.THEIRS) as farm, tempfile.TemporaryDirectory(dir=work) as folder:
        ours = partial(peers.exporter, Path(folder), farm.urls)
        rows = {
            BLACKBOX: partial(peers.blackbox, Path(folder), farm.urls),
            "model-exporter [fast]": partial(ours, fast=True),
            "model-exporter, plain asyncio": partial(ours, fast=False),
            "model-exporter [fast], keep-alive": partial(ours, fast=True, keep_alive=True),
        }
        if options.only:
            rows = {name: row for name, row in rows.items() if any(word in name for word in options.only)}
        measured: dict[str, list[Round]] = {name: [] for name in rows}
        for number in range(options.rounds):
            for name, row in rows.items():
                print(f"round {number + 1} of {options.rounds}: {name}", flush=True)
                measured[name].append(measure(row(), farm, options.seconds))
    report(measured, options.seconds)
    scrape()


def scrape() -> None:
    """What a scrape costs beside prometheus_client's renderer: the figures of the test that holds the ratio."""
    command = [sys.executable, "-m", "pytest", "-q", "-s", "tests/metrics/test_cost.py"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    print("\nA scrape, in one process:")
    print("\n".join(line for line in done.stdout.splitlines() if line[:1].isdigit()))
    if done.returncode:
        raise SystemExit(f"bench: {' '.join(command[1:])} failed\n{done.stdout[-3000:]}")


def report(measured: dict[str, list[Round]], seconds: float) -> None:
    """The table: medians over the rounds, the worst gap of all of them."""
    rounds = len(next(iter(measured.values())))
    print(f"\n{TARGETS} targets, {TARGETS / INTERVAL:.0f} probes/s, one core, {rounds} rounds of {seconds:g} s each")
    heads = ("CPU/probe", "ratio", "missed", "gap off by p50, p99; range", "memory", "waited")
    print("{:34} {:>9} {:>6} {:>6} {:>28} {:>8} {:>6}".format("", *heads))
    base = statistics.median(r.cpu for r in measured[BLACKBOX]) if BLACKBOX in measured else None
    for name, results in measured.items():
        cpu = statistics.median(r.cpu for r in results)
        p50 = statistics.median(r.arrivals.p50 for r in results)
        p99 = statistics.median(r.arrivals.p99 for r in results)
        shortest, longest = min(r.arrivals.shortest for r in results), max(r.arrivals.longest for r in results)
        gaps = (
            "(the driver's)"
            if name == BLACKBOX
            else f"{p50 * 1e3:.1f} {p99 * 1e3:.1f} ms, {shortest:.2f}-{longest:.2f} s"
        )
        missed = sum(r.missed for r in results)
        resident = max(r.resident for r in results) / 2**20
        ratio = f"{cpu / base:.2f}" if base else "-"
        waited = max(r.waited for r in results)
        print(f"{name:34} {cpu * 1e6:6.0f} us {ratio:>6} {missed:6.0f} {gaps:>28} {resident:4.0f} MiB {waited:6.0%}")
    if max(r.waited for results in measured.values() for r in results) > 0.02:
        print("waited: part of the time in which others had the core; above 2 % the gaps are the machine's, not ours")


if __name__ == "__main__":
    main()
