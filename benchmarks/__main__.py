"""Measure, and print one table with every target: python -m benchmarks [--rounds N] [--seconds N] [--only WORD]."""

import argparse
import compileall
import resource
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

from benchmarks import cpu, scraping, sizes, truth
from benchmarks.farm import TARGETS, Farm, build, certificate
from benchmarks.peers import THEIRS
from benchmarks.table import Row, progress, show
from tests.support.ports import free_port

#: What `--only` chooses from, in the order of the table.
PARTS = ("cpu", "schedule", "scrape", "latency", "size")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--rounds", type=int, default=2, help="rounds of CPU per probe (default 2)")
    parser.add_argument("--seconds", type=float, default=8, help="seconds of each round (default 8)")
    parser.add_argument(
        "--only", action="append", help=f"one of {', '.join(PARTS)}, or a word of a row of cpu; may be repeated"
    )
    options = parser.parse_args()
    wanted = options.only or PARTS
    # A connection each for 10,000 targets, in the exporter and in the farm.
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    compileall.compile_dir("exporter", quiet=2)  # as an installed one is; else the first start would be its compiler's
    work, tell, table = Path(".bench"), progress(), []
    program = build(work)
    with tempfile.TemporaryDirectory(dir=work) as name:
        folder = Path(name)
        table += cpu_rows(folder, program, wanted, options.rounds, options.seconds, tell)
        if "schedule" in wanted:
            with Farm(program, free_port(), THEIRS, 6000) as farm:
                for keep_alive in (False, True):
                    tell(f"3,000 probes/s, {'keep-alive' if keep_alive else 'new connections'}")
                    table.append(cpu.schedule(folder, farm, options.seconds, keep_alive=keep_alive))
        if "scrape" in wanted:
            for targets, probes in ((100, 1), (1000, 1), (10_000, 1), (2000, 5)):
                tell(f"a scrape of {targets:,} targets")
                table.append(scraping.row(targets, probes))
        if "latency" in wanted:
            tell("latency error at 1,000 in flight")
            table.append(latency(folder))
        if "size" in wanted:
            table += size_rows(folder, program, tell)
    if not table:
        raise SystemExit(f"bench: nothing is called {', '.join(wanted)}")
    show(table)


def cpu_rows(
    folder: Path, program: Path, wanted: list[str], rounds: int, seconds: float, tell: Callable[[str], None]
) -> Iterator[Row]:
    """Everybody in turns, so that what the machine does besides hits all alike."""
    with ExitStack() as stack:
        plain = stack.enter_context(Farm(program, free_port(), THEIRS))
        shown = certificate(folder)
        secure = None
        if shown is not None:
            try:
                secure = stack.enter_context(Farm(program, free_port(), THEIRS, TARGETS, shown))
            except SystemExit:
                print("bench: no figures with TLS: the farm was built without (apt-get install libssl-dev)")
        everybody = cpu.contenders(folder, plain, secure)
        chosen = [one for one in everybody if "cpu" in wanted or any(word in one.name for word in wanted)]
        measured: dict[str, list[cpu.Round]] = {one.name: [] for one in chosen}
        for number in range(rounds):
            for one in chosen:
                tell(f"CPU per probe, round {number + 1} of {rounds}: {one.name}")
                measured[one.name].append(cpu.measure(one, seconds))
        yield from cpu.rows(measured, everybody)


def latency(folder: Path) -> Row:
    """Reported less true time to the first byte, while 1,000 wait for answers and 10,000 targets are scraped."""
    found = truth.measure(
        folder, targets=10_000, interval=20.0, seconds=20.0, rest="6000", scrape_every=2.0, pinned=True
    )
    errors, null = truth.part(found.ours, "first_byte"), truth.part(found.null, "first_byte")
    p50, p99 = (truth.quantile(errors, q) for q in (0.5, 0.99))
    figure = f"p50 {p50 * 1e3:.2f}, p99 {p99 * 1e3:.2f} ms"
    if null:
        figure += f" (null engine {truth.quantile(null, 0.5) * 1e3:.2f}, {truth.quantile(null, 0.99) * 1e3:.2f})"
    what = f"latency error at {found.in_flight:,} in flight, scraped"
    return Row(what, figure, "p50 <= 0.25, p99 <= 3 ms", p50 <= 0.00025 and p99 <= 0.003, found.waited)


def size_rows(folder: Path, program: Path, tell: Callable[[str], None]) -> list[Row]:
    """Start, memory and idle cost at every size."""
    tell("one target, base install")
    base = sizes.measure(folder, program, 1, fast=False)
    found = []
    for count in sizes.COUNTS:
        tell(f"{count:,} targets every {sizes.INTERVAL:g} s")
        found.append(sizes.measure(folder, program, count, fast=True))
    tell(f"{sizes.COUNTS[-1]:,} targets, keep-alive")
    kept = sizes.measure(folder, program, sizes.COUNTS[-1], fast=True, keep_alive=True)
    return sizes.rows(base, found, kept)


if __name__ == "__main__":
    main()
