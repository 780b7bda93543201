"""Measure, and print one table with every target: python -m benchmarks [--rounds N] [--seconds N] [--only WORD]."""

import argparse
import compileall
import os
import resource
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path

from benchmarks import cpu, scraping, truth
from benchmarks.farm import TARGETS, Farm, build, certificate
from benchmarks.peers import THEIRS
from benchmarks.sizes import SORTS, Sizes
from benchmarks.table import ABSENT, NOT_RUN, Row, held, part, progress, show
from benchmarks.targets import ERROR_P50, ERROR_P99
from tests.support.ports import free_port

#: What `--only` chooses from, in the order of the table.
PARTS = ("cpu", "schedule", "scrape", "latency", "size")

#: Rows of latency, by whose stamps it has.
LATENCY = {
    "loop": "latency error at 1,000 in flight, scraped",
    "kernel": "the same with `timestamps: kernel`",
}

Tell = Callable[[str], None]


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--rounds", type=int, default=2, help="rounds of CPU per probe (default 2)")
    parser.add_argument("--seconds", type=float, default=6, help="seconds of each round (default 6)")
    parser.add_argument(
        "--only", action="append", help=f"one of {', '.join(PARTS)}, or a word of a row of cpu; may be repeated"
    )
    options = parser.parse_args()
    # A connection each for 10,000 targets, in the exporter and in the farm.
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    os.sched_setaffinity(0, {THEIRS})  # what is measured has its core to itself
    compileall.compile_dir("exporter", quiet=2)  # as an installed one is; else the first start would be its compiler's
    work = Path(".bench").resolve()
    program = build(work)
    wanted = options.only or PARTS
    table: list[Row] = []
    try:
        with tempfile.TemporaryDirectory(dir=work) as folder:
            table.extend(measured(Path(folder), program, wanted, options.rounds, options.seconds, progress()))
    finally:  # also when somebody has seen enough
        if table:
            show(table)
    if not table:
        raise SystemExit(f"bench: nothing is called {', '.join(wanted)}")
    sys.exit(any(row.met == NOT_RUN for row in table))


def measured(
    folder: Path, program: Path, wanted: Sequence[str], rounds: int, seconds: float, tell: Tell
) -> Iterator[Row]:
    """The rows of the table, as they are measured."""
    yield from cpu_rows(folder, program, wanted, rounds, seconds, tell)
    if "schedule" in wanted:
        with Farm(program, free_port(), THEIRS, 6000) as farm:
            for rate in cpu.RATES:
                for kept in (False, True):
                    one = partial(cpu.schedule, folder, farm, seconds, rate, keep_alive=kept)
                    yield from part(cpu.scheduled(rate, keep_alive=kept), one, tell, cpu.promised(rate))
    if "scrape" in wanted:
        for size in scraping.SIZES:
            yield from part(scraping.scraped(*size), partial(scraping.rows, *size), tell, scraping.promised(*size))
    if "latency" in wanted:
        for timestamps in ("loop", "kernel"):
            what = LATENCY[timestamps]
            yield from part(what, partial(latency, what, folder, timestamps), tell, (ERROR_P50, ERROR_P99))
    if "size" in wanted:
        sizes = Sizes(folder, program)
        for sort in SORTS:
            tell(str(sort))
            yield from sizes.rows(sort)


def cpu_rows(
    folder: Path, program: Path, wanted: Sequence[str], rounds: int, seconds: float, tell: Tell
) -> Iterator[Row]:
    """Everybody in turns, so that what the machine does besides hits all alike."""
    with ExitStack() as stack:
        plain = stack.enter_context(Farm(program, free_port(), THEIRS))
        secure = None
        shown = certificate(folder)
        if shown is not None:
            try:
                secure = stack.enter_context(Farm(program, free_port(), THEIRS, TARGETS, shown))
            except SystemExit:
                shown = None
        everybody = cpu.contenders(folder, plain, secure)
        chosen = [one for one in everybody if "cpu" in wanted or any(word in one.name for word in wanted)]
        findings = cpu.Findings()
        for number in range(rounds):
            for one in chosen:
                tell(f"CPU per probe, round {number + 1} of {rounds}: {one.name}")
                findings.take(one, seconds)
        yield from findings.rows(chosen)
        if chosen and secure is None:
            yield Row(
                "CPU per probe with TLS", "no farm that speaks it (apt-get install libssl-dev openssl)", met=ABSENT
            )


def latency(what: str, folder: Path, timestamps: str) -> Iterable[Row]:
    """Reported less true time to the first byte, while 1,000 wait for answers and 10,000 targets are scraped."""
    found = truth.measure(
        folder, targets=10_000, interval=20.0, seconds=20.0, rest="6000", scrape_every=2.0, pinned=True,
        timestamps=timestamps,
    )  # fmt: skip
    errors, null = truth.part(found.ours or found.kernel, "first_byte"), truth.part(found.null, "first_byte")
    p50, p99 = (truth.quantile(errors, q) * 1e3 for q in (0.5, 0.99))
    figure = f"p50 {p50:.2f}, p99 {p99:.2f} ms, {found.in_flight:,} in flight"
    if null:
        figure += f" (null engine {truth.quantile(null, 0.5) * 1e3:.2f}, {truth.quantile(null, 0.99) * 1e3:.2f})"
    return [held(what, figure, (p50, ERROR_P50), (p99, ERROR_P99), waited=found.waited)]


if __name__ == "__main__":
    main()
