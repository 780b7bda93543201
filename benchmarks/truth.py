"""How wrong reported times are: python -m benchmarks.truth [--targets N] [--interval S] [--timestamps both].

A server notes when it was asked and when it sent its first and its last byte. What the exporter reports for the same
request, found by its trace id, is held against that, while `/metrics` is being scraped. The part of the error that is
the machine's is what a null engine, which does nothing but measure, suffers in the same seconds.
"""

import argparse
import http.client
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.accounting import Meter
from benchmarks.peers import OURS, THEIRS, scraped
from tests.support.daemon import command as installed
from tests.support.ports import free_port
from tests.support.process import Process
from tests.support.scrape import Scrape
from tests.support.web import answers, fetch, until

#: What targets do, FIRST.GAP.MORE in milliseconds (`benchmarks.truth_server`); `s`: a stream. Three of ten do something
#: else: they wait, so that many are in flight, or all answer at once.
CLASSES = ("0", "7", "30.5.3", "150", "700.50.2", "s30.20.10", "s150.100.15")
#: Seconds in which what is under way at the end comes to its end, and is written.
SETTLE = 4.0
_IN_FLIGHT = re.compile(rb"^model_exporter_probes_in_flight (\S+)", re.MULTILINE)
PARTS = ("first_byte", "transfer", "duration", "ttft")


#: Whose stamps targets are measured by: all by the loop's, all by the kernel's, or every other row of the mix by each.
TIMESTAMPS = ("loop", "kernel", "both")


class Error(NamedTuple):
    """Reported less true, in seconds, of one run. None where the part does not exist."""

    what: str
    suspect: bool
    first_byte: float
    transfer: float
    duration: float
    ttft: float | None


@dataclass
class Round:
    """What one round found: `ours` by the loop's stamps, `kernel` by the kernel's where they were asked for. `records`
    are the exporter's, by trace id; `scrape` is the last one, taken meanwhile.
    """

    ours: list[Error] = field(default_factory=list)
    kernel: list[Error] = field(default_factory=list)
    null: list[Error] = field(default_factory=list)
    records: list[dict[str, Any]] = field(default_factory=list)
    scrape: Scrape = field(default_factory=lambda: Scrape(""))
    scrapes: int = 0
    in_flight: int = 0
    waited: float = 0.0
    cpu: float = 0.0


class Server:
    """The server of `benchmarks.truth_server`, as a process."""

    def __init__(self, folder: Path, pinned: Sequence[str] = ()) -> None:
        self._report = folder / "truth.json"
        self._process = subprocess.Popen(
            [*pinned, sys.executable, "-m", "benchmarks.truth_server"],
            cwd=Path(__file__).parents[1],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._process.stdout is not None
        self.port = int(self._process.stdout.readline())

    def report(self) -> dict[str, list[list[Any]]]:
        """What was asked since the last report, by trace id: lists of `truth_server.Asked`."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"report {self._report}\n")
        self._process.stdin.flush()
        assert self._process.stdout.readline() == "ok\n"
        found: dict[str, list[list[Any]]] = {}
        for entry in json.loads(self._report.read_text()):
            found.setdefault(entry[0], []).append(entry)
        return found

    def __enter__(self) -> "Server":
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.communicate()


def error_of(record: dict[str, Any], asked: list[list[Any]]) -> Error | None:
    """One run's error; None where the server did not answer it, or it was not all on new connections."""
    if any(accepted is None or not sent for _, _, accepted, _, sent in asked):
        return None
    phases, stream = record["phases_seconds"], record.get("stream")
    first = sum(sent[0] - received for _, _, _, received, sent in asked)
    rest = sum(sent[-1] - sent[0] for *_, sent in asked)
    whole = sum(sent[-1] - accepted for _, _, accepted, _, sent in asked)
    _, what, _, received, sent = asked[-1]
    return Error(
        what.split(".")[0] if what.startswith("b") else what,
        record.get("suspect", False),
        phases["first_byte"] - first,
        phases["transfer"] - rest,
        record["duration_seconds"] - whole,
        stream["ttft_seconds"]["content"] - (sent[0] - received) if stream else None,
    )


def config(
    port: int, targets: int, interval: float, rest: str, records: Path, timestamps: str = "loop"
) -> dict[str, Any]:
    """`targets` targets of all classes, each asked every `interval` seconds, and a sink for what was measured. Names
    of those that are to have the kernel's stamps begin with a k.
    """
    every = {"interval": f"{round(interval * 1000)}ms", "timeout": "15s"}
    modules = {
        "plain": {"protocol": "http", "probes": {"health": every}},
        "stream": {"protocol": "openai", "server": "generic", "probes": {"stream": every}},
    }
    mix = [*CLASSES, *3 * [rest]]
    kernel = {"loop": (False,), "kernel": (True,), "both": (False, True)}[timestamps]
    return {
        "limits": {"concurrency": 4000, "per_host": 4000},
        "modules": modules,
        "targets": [
            {
                "name": f"{'k' if stamped else 't'}{number}",
                "url": f"http://127.0.0.1:{port}/{what.removeprefix('s')}/x",
                "module": "stream" if what.startswith("s") else "plain",
                "model": "m",
                **({"timestamps": "kernel"} if stamped else {}),
            }
            for number in range(targets)
            for what in [mix[number % len(mix)]]
            for stamped in [kernel[number // len(mix) % len(kernel)]]
        ],
        "sinks": [{"jsonl": {"path": str(records), "rotate": "1GB"}}],
    }


@contextmanager
def _null(folder: Path, port: int, rate: float, classes: Sequence[str], pinned: Sequence[str]) -> Iterator[Path]:
    process = Process(
        "null",
        [*pinned, sys.executable, "-c", f"import sys; sys.path.insert(0, {str(Path(__file__).parents[1])!r})\n"
         "import runpy; runpy.run_module('benchmarks.null_engine', run_name='__main__')",
         str(port), str(rate), *classes],
        folder,
    )  # fmt: skip
    try:
        yield process.stdout_path
        assert process.returncode is None, process.tail()
    finally:
        process.kill()


def measure(
    folder: Path,
    *,
    targets: int,
    interval: float,
    seconds: float,
    rest: str,
    beside: Sequence[str] = CLASSES,
    scrape_every: float = 0.5,
    null_rate: float = 30.0,
    command: Sequence[str] = (),
    pinned: bool = False,
    timestamps: str = "loop",
) -> Round:
    """Let the exporter run in, measure it for `seconds` while it is scraped, and hold both sides against each other.
    Three targets of ten do `rest`; the null engine goes through the classes `beside`.
    """
    ours, theirs = (["taskset", "-c", str(core)] if pinned else [] for core in (OURS, THEIRS))
    records = folder / "records.jsonl"
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    found = Round()
    with ExitStack() as stack:
        server = stack.enter_context(Server(folder, theirs))
        path = folder / "truth.yml"
        path.write_text(json.dumps(config(server.port, targets, interval, rest, records, timestamps)))
        arguments = ["run", "--config", str(path), "--listen", f"127.0.0.1:{port}", "--log-level", "warning"]
        exporter = stack.enter_context(Process("exporter", [*ours, *(command or installed()), *arguments], folder))
        until("the exporter", lambda: exporter.returncode or answers(f"{url}/-/ready"), within=60, log=exporter.tail)
        assert exporter.returncode is None, exporter.tail()
        time.sleep(interval + 3)
        scraped(f"{url}/metrics")  # the first one renders all there is, and is the only one that does
        server.report()
        null = stack.enter_context(_null(folder, server.port, null_rate, beside, theirs))
        ended = threading.Event()
        scraper = threading.Thread(target=_scrape, args=(url, scrape_every, ended, found))
        meter, began = Meter(exporter.pid, OURS), time.time()
        scraper.start()
        time.sleep(seconds)
        ended.set()
        scraper.join()
        until_then = time.time()
        found.cpu, found.waited = meter.read()
        found.scrape = Scrape(fetch(f"{url}/metrics", timeout=120).body)
        time.sleep(SETTLE)  # what is under way ends, and is written
        found.null = _errors(map(json.loads, null.read_text().splitlines()), truth := server.report())
        exporter.kill()
        found.records = [json.loads(line) for line in records.read_text().splitlines() if line.endswith("}")]
        found.records = [record for record in found.records if record["type"] == "result"]
        inside = [record for record in found.records if began < record["at"] < until_then]
        healthy = [record for record in inside if record["status"] == "healthy"]
        found.ours = _errors((record for record in healthy if record["target"].startswith("t")), truth)
        found.kernel = _errors((record for record in healthy if record["target"].startswith("k")), truth)
    assert found.ours or found.kernel, exporter.tail()
    return found


def _scrape(url: str, every: float, ended: threading.Event, found: Round) -> None:
    os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), 19)  # to unpack 50 MB shall not keep the server waiting
    while not ended.wait(every):
        try:
            text, _ = scraped(f"{url}/metrics")
        except (OSError, http.client.HTTPException) as error:
            print(f"truth: a scrape failed: {error!r}", file=sys.stderr)
            continue
        found.scrapes += 1
        found.in_flight = max(found.in_flight, *(int(float(number)) for number in _IN_FLIGHT.findall(text)))


def _errors(records: Iterator[dict[str, Any]], truth: dict[str, list[list[Any]]]) -> list[Error]:
    found = (error_of(record, truth[record["trace_id"]]) for record in records if record["trace_id"] in truth)
    return [error for error in found if error is not None]


def _delay(error: Error) -> tuple[bool, float]:
    return error.what.startswith("s"), float(error.what.lstrip("bs").split(".")[0])


def part(errors: Sequence[Error], name: str, what: str | None = None) -> list[float]:
    """The errors of one part, sorted; of one class or of all."""
    found = (getattr(error, name) for error in errors if what in (None, error.what))
    return sorted(value for value in found if value is not None)


def quantile(values: Sequence[float], q: float) -> float:
    """The value below which `q` of the sorted values are."""
    return values[min(len(values) - 1, int(q * len(values)))]


def report(found: Round) -> None:
    """The table, in milliseconds."""
    runs = [*found.ours, *found.kernel]
    marked = sum(error.suspect for error in runs)
    print(
        f"{len(runs)} runs ({marked} marked as suspect), at most {found.in_flight} in flight, {found.scrapes} "
        f"scrapes meanwhile; {len(found.null)} of the null engine; waited for its core {found.waited:.1%}; "
        f"{found.cpu / len(runs) * 1e6:.0f} us of CPU per run, scrapes included"
    )
    if found.ours:
        _table("model-exporter", found.ours, found.null)
    if found.kernel:
        _table("kernel's stamps", found.kernel, found.null)
        reads = found.scrape.all("model_exporter_kernel_stamps_total")
        print("stamps of the kernel:", ", ".join(f"{read.labels['result']} {read.value:.0f}" for read in reads))


def _table(who: str, measured: Sequence[Error], engine: Sequence[Error]) -> None:
    print(f"latency error, reported less true, ms        null engine             {who:15}   ratio")
    print("                          class       n     p50    p99    max      p50    p99    max  p50    p99")
    for name in PARTS:
        for what in (None, *dict.fromkeys(error.what for error in sorted(measured, key=_delay))):
            ours, null = part(measured, name, what), part(engine, name, what)
            if not ours:
                continue
            figures = [quantile(v, q) * 1e3 if v else float("nan") for v in (null, ours) for q in (0.5, 0.99, 1.0)]
            ratios = [figures[3 + i] / figures[i] if null and figures[i] > 0 else float("nan") for i in (0, 1)]
            row = f"{name if what is None else '':18} {what or 'all':>12} {len(ours):7}"
            print(row, "{:7.2f}{:7.2f}{:7.2f}  {:7.2f}{:7.2f}{:7.2f} {:5.1f} {:5.1f}".format(*figures, *ratios))
    sure = [abs(error.first_byte) for error in measured if not error.suspect]
    print(f"first_byte of runs that are not marked: {max(sure, default=0) * 1e3:.2f} ms off at worst")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.truth", description=__doc__)
    parser.add_argument("--targets", type=int, default=10_000)
    parser.add_argument("--interval", type=float, default=20.0, help="seconds between two runs of a target")
    parser.add_argument("--hold", type=float, default=6.0, help="seconds for which three targets of ten wait")
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--scrape-every", type=float, default=2.0)
    parser.add_argument("--timestamps", choices=TIMESTAMPS, default="loop", help="whose stamps targets have")
    parser.add_argument("--command", nargs="*", default=[], help="another exporter than the installed one")
    options = parser.parse_args()
    medians: dict[str, list[float]] = {}
    for _ in range(options.rounds):
        with tempfile.TemporaryDirectory() as folder:
            found = measure(
                Path(folder),
                targets=options.targets,
                interval=options.interval,
                seconds=options.seconds,
                rest=f"{options.hold * 1000:.0f}",
                scrape_every=options.scrape_every,
                command=options.command,
                pinned=True,
                timestamps=options.timestamps,
            )
        report(found)
        for whose, errors in (("loop", found.ours), ("kernel", found.kernel)):
            if errors:
                medians.setdefault(whose, []).append(quantile(part(errors, "first_byte"), 0.5))
    for whose, found_medians in medians.items():
        middle = statistics.median(found_medians) * 1e3
        print(f"latency error at {found.in_flight} in flight, stamps of the {whose}: p50 {middle:.2f} ms")


if __name__ == "__main__":
    main()
