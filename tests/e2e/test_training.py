"""Training logs as an operator meets them: a config with nothing else, values on /metrics, rotation, stall, crash."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.test_lifecycle import assert_quiet
from tests.support.daemon import Daemon
from tests.support.scrape import Scrape
from tests.support.web import until

pytestmark = pytest.mark.slow


class Events(ThreadingHTTPServer):
    """A log as server-sent events; each connection gets what comes after the last event it knows."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.lines: list[str] = []
        self.cuts = 0
        self.url = f"http://127.0.0.1:{self.server_port}/log"
        threading.Thread(target=self.serve_forever, daemon=True).start()


class _Handler(BaseHTTPRequestHandler):
    server: Events

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.end_headers()
        sent, cuts = int(self.headers.get("Last-Event-ID", 0)), self.server.cuts
        while self.server.cuts == cuts:
            for line in self.server.lines[sent:]:
                sent += 1
                self.wfile.write(f"id: {sent}\ndata: {line}\n\n".encode())
            self.wfile.flush()
            time.sleep(0.02)

    def log_message(self, format: str, *args: Any) -> None:
        """Nobody reads it."""


@pytest.fixture
def events() -> Iterator[Events]:
    server = Events()
    yield server
    server.cuts += 1
    server.shutdown()
    server.server_close()


def reaches(daemon: Daemon, metric: str, value: float, /, within: float = 30.0, **labels: str) -> Scrape:
    """Wait until a series has a value; the scrape in which it had."""
    last: list[Scrape] = []

    def reached() -> bool:
        last[:] = [daemon.scrape()]
        return last[0].value(metric, **labels) == value

    until(f"{metric} {labels} to be {value}", reached, within=within, log=lambda: daemon.process.tail())
    return last[0]


def write(log: Path, *lines: str) -> None:
    with log.open("a") as file:
        file.write("".join(f"{line}\n" for line in lines))


def test_a_file_and_a_server(tmp_path: Path, events: Events) -> None:
    log = tmp_path / "train.log"
    config = {
        "training": [
            {"job": "job-123", "file": {"path": "train.log"}, "preset": "plain"},
            {"job": "stream", "http": {"url": events.url}, "preset": "json"},
        ]
    }
    with Daemon(tmp_path, config) as daemon:
        nothing = daemon.scrape()
        assert nothing.value("model_training_lines_total", training="job-123") == 0
        assert nothing.value("model_training_value", training="job-123", name="loss") is None

        write(log, "[job-123] Epoch 3/10 - loss: 0.1234 - accuracy: 0.95")
        events.lines += ['{"step": 7, "loss": 0.5}']
        scrape = reaches(daemon, "model_training_value", 0.1234, training="job-123", name="loss")
        assert scrape.value("model_training_value", training="job-123", name="accuracy") == 0.95
        assert scrape.value("model_training_epoch", training="job-123") == 3
        assert scrape.value("model_training_progress_ratio", training="job-123") == pytest.approx(0.3)
        assert scrape.value("model_training_stalled", training="job-123") == 0
        told = scrape.value("model_training_last_value_timestamp_seconds", training="job-123")
        assert told == pytest.approx(time.time(), abs=60)
        reaches(daemon, "model_training_value", 0.5, training="stream", name="loss")

        # The server goes away in the middle: what it tells again is not counted again.
        events.cuts += 1
        events.lines += ['{"step": 8, "loss": 0.25}']
        scrape = reaches(daemon, "model_training_value", 0.25, training="stream", name="loss")
        assert scrape.value("model_training_lines_total", training="stream") == 2
        assert scrape.value("model_training_reconnects_total", training="stream") == 1

        # Rotated by rename, then by copytruncate: every line is counted once.
        log.rename(tmp_path / "train.log.1")
        write(log, "[job-123] Epoch 4/10 - loss: 0.1")
        scrape = reaches(daemon, "model_training_value", 0.1, training="job-123", name="loss")
        (tmp_path / "train.log.2").write_text(log.read_text())
        os.truncate(log, 0)
        time.sleep(0.5)
        write(log, "[job-123] Epoch 5/10 - loss: nan")
        scrape = reaches(daemon, "model_training_nonfinite_total", 1, training="job-123")
        assert str(scrape.value("model_training_value", training="job-123", name="loss")) == "nan"
        assert scrape.value("model_training_lines_total", training="job-123") == 3
        assert scrape.value("model_training_lines_skipped_total", training="job-123") == 0

        # A reload: what stayed goes on, what left is gone.
        daemon.write({"training": [config["training"][0] | {"stall_after": "1h"}]})
        daemon.process.signal(signal.SIGHUP)
        gone = lambda: not list(daemon.scrape().all("model_training_stalled", training="stream"))  # noqa: E731
        until("the stream to be gone", gone, within=30)
        write(log, "[job-123] Epoch 6/10 - loss: 0.05")
        scrape = reaches(daemon, "model_training_value", 0.05, training="job-123", name="loss")
        assert scrape.value("model_training_lines_total", training="job-123") == 4
        assert daemon.terminate() == 0
        assert_quiet(daemon)


def test_stall_crash_and_divergence(tmp_path: Path) -> None:
    """What an alarm is for."""
    trainer = (
        "import sys, time\n"
        "print('Epoch 1/9 - loss: 0.5', flush=True)\n"
        "sys.stdin.readline()\n"
        "for _ in range(3): print('Epoch 2/9 - loss: 5.0', flush=True)\n"
        "sys.stdin.readline()\n"
        "raise MemoryError('out of it')\n"
    )
    log = tmp_path / "train.log"
    entry = {
        "job": "a", "file": {"path": "train.log"}, "stall_after": "2s", "diverged": {"factor": 3, "values": 3},
    }  # fmt: skip
    with log.open("w") as out, Daemon(tmp_path, {"training": [entry]}) as daemon:
        job = subprocess.Popen([sys.executable, "-c", trainer], stdin=subprocess.PIPE, stdout=out, stderr=out)
        assert job.stdin is not None
        reaches(daemon, "model_training_value", 0.5, training="a", name="loss")
        reaches(daemon, "model_training_stalled", 1, training="a")
        job.stdin.write(b"\n")
        job.stdin.flush()
        scrape = reaches(daemon, "model_training_diverged", 1, training="a")
        assert scrape.value("model_training_stalled", training="a") == 0
        job.stdin.close()
        job.wait()
        scrape = reaches(daemon, "model_training_finished", 1, training="a", outcome="failed")
        assert scrape.value("model_training_finished", training="a", outcome="finished") == 0
        time.sleep(2.5)
        assert daemon.scrape().value("model_training_stalled", training="a") == 0  # it has ended
        (told,) = [event for event in daemon.events() if event["msg"] == "training ended"]
        assert (told["level"], told["training"], told["outcome"]) == ("warning", "a", "failed")


def test_each_file_is_a_job(tmp_path: Path) -> None:
    logs = tmp_path / "logs"
    logs.mkdir()
    for job in ("one", "two"):
        write(logs / f"{job}.log", f"loss: 0.{len(job)}")
    config = {"training": [{"job_from": "filename", "file": {"glob": "logs/*.log"}}]}
    with Daemon(tmp_path, config) as daemon:
        reaches(daemon, "model_training_value", 0.3, training="one", name="loss")
        reaches(daemon, "model_training_value", 0.3, training="two", name="loss")


def late(before: Scrape, after: Scrape) -> float:
    """The share of the loop's turns between two scrapes that came more than 50 ms late."""

    def turns(scrape: Scrape, bound: str) -> float:
        return scrape.value("model_exporter_loop_lag_seconds_bucket", le=bound) or 0.0

    every = turns(after, "+Inf") - turns(before, "+Inf")
    return 1 - (turns(after, "0.05") - turns(before, "0.05")) / every


def test_a_flood_leaves_the_probes_alone(tmp_path: Path) -> None:
    """A log of 100,000 lines a second: bounded memory, what is skipped is counted, and the loop is on time."""
    log = tmp_path / "train.log"
    config = {
        "targets": [{"url": "tcp://127.0.0.1:1", "protocol": "tcp", "probes": {"health": {"interval": "100ms"}}}],
        "training": [{"job": "a", "file": {"path": "train.log"}}],
    }
    with Daemon(tmp_path, config) as daemon:
        first = reaches(daemon, "model_training_lines_total", 0, training="a")
        time.sleep(3)
        quiet = daemon.scrape()
        number = 0
        line = "[job-123] Epoch 3/10 - loss: 0.1234 - accuracy: 0.95 - and so on, as trainers have it {}\n"
        began = time.perf_counter()
        with log.open("w") as file:
            while number < 300_000:
                file.write("".join(line.format(number + at) for at in range(5000)))
                number += 5000
                time.sleep(max(0.0, number / 100_000 - (time.perf_counter() - began)))
            file.write("loss: 7.5\n")
        flooded = reaches(daemon, "model_training_value", 7.5, within=120, training="a", name="loss")
        assert flooded.value("model_training_lines_total", training="a") == number + 1
        assert (flooded.value("model_training_lines_skipped_total", training="a") or 0) > 0
        grown = [scrape.value("process_resident_memory_bytes") or 0.0 for scrape in (quiet, flooded)]
        assert grown[1] - grown[0] < 30_000_000
        assert late(quiet, flooded) <= late(first, quiet) + 0.1
