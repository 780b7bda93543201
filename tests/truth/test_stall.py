"""The exporter says when it cannot be trusted: its loop is made to stand still, in the middle of its probes."""

import json
import math
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from benchmarks.truth import Server, error_of
from tests.support.ports import free_port
from tests.support.process import Process
from tests.support.scrape import Scrape
from tests.support.standstill import TRIES, stood
from tests.support.web import answers, until

pytestmark = pytest.mark.slow

STALL = 0.3
STALLS = 6
TARGETS = 40
#: Seconds an attempt may take: the server needs 0.1, and a stall may hide its answer until after this.
TIMEOUT = 0.25
#: The exporter as it is, and a signal at which its loop does nothing for a while.
RUN = f"""
import signal, time
signal.signal(signal.SIGUSR1, lambda *_: time.sleep({STALL}))
from exporter.cli import main
main()
"""


class Seen(NamedTuple):
    """What the exporter told, and the moments (Unix time) at which its loop was stopped."""

    before: Scrape
    after: Scrape
    records: list[dict[str, Any]]
    truth: dict[str, list[list[Any]]]
    stalls: list[float]
    epoch: float  #: what stamps of the server lack to Unix time


@contextmanager
def _exporter(folder: Path, port: int, records: Path) -> Iterator[tuple[Process, str]]:
    health = {"interval": "500ms", "timeout": f"{TIMEOUT * 1000:.0f}ms", "retry": {"attempts": 1}}
    config = {
        "limits": {"per_host": TARGETS},
        "modules": {"m": {"protocol": "http", "probes": {"health": health}}},
        "targets": [
            {"name": f"t{number}", "url": f"http://127.0.0.1:{port}/100/x", "module": "m"} for number in range(TARGETS)
        ],
        "sinks": [{"jsonl": {"path": str(records)}, "flush": "100ms"}],
    }
    path, own = folder / "stall.yml", free_port()
    path.write_text(json.dumps(config))
    command = [sys.executable, "-c", RUN, "run", "--config", str(path), "--listen", f"127.0.0.1:{own}"]
    with Process("exporter", command, folder) as process:
        url = f"http://127.0.0.1:{own}"
        until("the exporter", lambda: answers(f"{url}/-/ready"), within=60, log=process.tail)
        yield process, f"{url}/metrics"


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> Seen:
    for _ in range(TRIES):  # a machine that stands still adds stalls of its own, or makes one of two
        before = stood()
        found = _see(tmp_path_factory.mktemp("stall"))
        if stood() == before:
            break
    return found


def _see(folder: Path) -> Seen:
    records, stalls = folder / "records.jsonl", []
    with Server(folder) as server, _exporter(folder, server.port, records) as (process, url):
        time.sleep(2)
        before = Scrape.of(url)
        for _ in range(STALLS):
            time.sleep(1.1)
            stalls.append(time.time())
            process.signal(signal.SIGUSR1)
        time.sleep(1)
        after = Scrape.of(url)
        time.sleep(0.5)
        truth = server.report()
        assert process.returncode is None, process.tail()
    lines = [json.loads(line) for line in records.read_text().splitlines() if line.endswith("}")]
    return Seen(
        before,
        after,
        [line for line in lines if line["type"] == "result"],
        truth,
        stalls,
        time.time() - time.perf_counter(),
    )


def _rise(seen: Seen, name: str, **labels: str) -> float:
    return (seen.after.value(name, **labels) or 0) - (seen.before.value(name, **labels) or 0)


def test_runs_within_a_stall_are_marked_and_counted(seen: Seen) -> None:
    within = [
        record
        for record in seen.records
        if any(
            record["at"] - record["duration_seconds"] < at + 0.02 and at + STALL < record["at"] for at in seen.stalls
        )
    ]
    assert len(within) >= STALLS  # of 80 runs a second, each 0.1 s long, about eight
    assert all(record["suspect"] for record in within)
    assert _rise(seen, "model_exporter_suspect_measurements_total") >= len(within)
    total = sum(record["suspect"] for record in seen.records)
    assert seen.after.value("model_exporter_suspect_measurements_total") <= total


def test_the_lag_is_on_the_scrape(seen: Seen) -> None:
    """Six times three tenths of a second, less the part of a period that each began in."""
    assert _rise(seen, "model_exporter_loop_lag_seconds_sum") >= STALLS * (STALL - 0.05)
    late = _rise(seen, "model_exporter_loop_lag_seconds_count") - _rise(
        seen, "model_exporter_loop_lag_seconds_bucket", le="0.25"
    )
    assert late >= STALLS


def test_the_delay_of_the_schedule_is_on_the_scrape(seen: Seen) -> None:
    """Runs that were due within a stall began after it, and their duration does not contain the wait."""
    late = _rise(seen, "model_exporter_schedule_delay_seconds_count") - _rise(
        seen, "model_exporter_schedule_delay_seconds_bucket", le="0.1"
    )
    assert late >= STALLS * 5  # about 16 were due more than a tenth before the end of each


def test_what_was_healthy_is_reported_healthy(seen: Seen) -> None:
    """Though a stall and the server together take longer than the timeout: the answer was there in time."""
    answered = [record for record in seen.records if _in_time(record, seen)]
    assert len(answered) > 200
    wrong = [record for record in answered if record["status"] != "healthy"]
    assert len(wrong) < STALLS, wrong[0]  # a stall is met by eight; a machine at its end may be late by itself


def _in_time(record: dict[str, Any], seen: Seen) -> bool:
    """Whether the server, by its own stamps, had answered early enough after the run began."""
    asked = seen.truth.get(record["trace_id"], [])
    began = record["at"] - record["duration_seconds"]
    return len(asked) == 1 and asked[0][4][-1] + seen.epoch - began < 0.6 * TIMEOUT


def test_what_is_not_marked_is_not_wrong_by_a_stall(seen: Seen) -> None:
    errors = [(error_of(record, seen.truth[record["trace_id"]]), record) for record in seen.records
              if record["status"] == "healthy" and record["trace_id"] in seen.truth]  # fmt: skip
    clear = sorted(error.first_byte for error, record in errors if error is not None and not record["suspect"])
    assert clear[math.floor(0.9 * len(clear))] < STALL / 2
