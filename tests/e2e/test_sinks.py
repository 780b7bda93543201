"""Results flow on, from the daemon as a process to real receivers: none is lost, and no probe is delayed."""

import json
import os
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.daemon import Daemon, command
from tests.support.fake import Fake, Reply, Request
from tests.support.otlp import Receiver, newest
from tests.support.ports import free_port
from tests.support.web import until

pytestmark = pytest.mark.slow


def well(request: Request) -> Reply:
    return 200, "ok"


@pytest.fixture
def model() -> Iterator[Fake]:
    with Fake(well) as server:
        yield server


class Hook:
    """A webhook receiver that can go away, come back to its port, and answer what it likes."""

    def __init__(self) -> None:
        self.port = free_port()
        self.requests: list[Request] = []
        self.trouble: list[int] = []
        self.fake: Fake | None = None
        self.start()

    def _answer(self, request: Request) -> Reply:
        if self.trouble:
            return self.trouble.pop(), ""
        self.requests.append(request)
        return 204, ""

    def start(self) -> None:
        self.fake = Fake(self._answer, port=self.port)

    def stop(self) -> None:
        if self.fake is not None:
            self.fake.__exit__(None, None, None)
        self.fake = None

    def records(self) -> list[dict[str, Any]]:
        return [each for request in self.requests for each in json.loads(request.body)["records"]]


def config(url: str, *sinks: dict[str, Any], targets: int = 5, interval: str = "100ms") -> dict[str, Any]:
    probes = {"health": {"interval": interval, "timeout": "5s"}}
    return {
        "targets": [
            {"name": f"t{number}", "url": url, "protocol": "http", "probes": probes, "labels": {"team": "a"}}
            for number in range(targets)
        ],
        "sinks": list(sinks),
    }


def lines(path: Path) -> list[dict[str, Any]]:
    """What is in a file; every line of it is whole."""
    data = path.read_bytes()
    assert not data or data.endswith(b"\n")
    return [json.loads(line) for line in data.splitlines()]


def ids(found: list[dict[str, Any]]) -> set[str]:
    return {each["id"] for each in found}


@pytest.mark.parametrize("protocol", ["http", "grpc"])
def test_nothing_is_lost_while_receivers_restart(tmp_path: Path, model: Fake, protocol: str) -> None:
    hook = Hook()
    otlp = Receiver((free_port(), free_port()))
    sinks = (
        {"jsonl": {"path": "all.jsonl"}, "flush": "50ms"},
        {"name": "out", "jsonl": {"path": "-"}, "flush": "50ms"},
        {
            "webhook": {"url": f"http://127.0.0.1:{hook.port}/", "secret": "s3cr3t-webhook"},
            "flush": "50ms",
            "batch": 20,
        },
        {"otlp": {"url": otlp.url(protocol), "protocol": protocol}, "flush": "50ms", "batch": 20},
    )
    try:
        with Daemon(tmp_path, config(model.url, *sinks), args=["--shutdown-grace", "20s"]) as daemon:
            until("records", lambda: hook.requests and otlp.requests, within=30)
            hook.stop()
            otlp.stop()

            def failing() -> bool:
                scrape = daemon.scrape()
                failed = [scrape.value("model_exporter_sink_failed_total", sink=sink) for sink in ("webhook", "otlp")]
                waiting = scrape.value("model_exporter_sink_written_total", sink="jsonl") or 0
                return all(failed) and waiting > 100

            until("both sinks to fail", failing, within=30, log=daemon.process.tail)
            hook.trouble = [503, 500, 429, 404]
            hook.start()
            otlp.start()
            seen = len(hook.requests), len(otlp.requests)
            until(
                "records again",
                lambda: len(hook.requests) > seen[0] and len(otlp.requests) > seen[1],
                within=60,
                log=daemon.process.tail,
            )
            last = daemon.scrape()
            assert daemon.terminate(40) == 0
            log = daemon.process.stderr
            assert ids(lines(daemon.process.stdout_path)) == ids(lines(tmp_path / "all.jsonl"))
    finally:
        hook.stop()
        otlp.stop()
    everything = lines(tmp_path / "all.jsonl")
    assert len(everything) > 100
    assert len(ids(everything)) == len(everything)
    assert sum(each["type"] == "result" for each in everything) == len(model.requests)
    # Every record at least once, with its key.
    assert ids(hook.records()) == ids(everything)
    assert {point.record for point in otlp.points} - {""} == ids(everything)
    # The numbers that came are those of the runs that were.
    runs = {
        point.labels["target"]: point.value
        for point in newest(otlp.points).values()
        if point.name == "model_probe_runs_total"
    }
    results = [each for each in everything if each["type"] == "result"]
    assert runs == {name: sum(each["target"] == name for each in results) for name in runs}
    assert len(runs) == 5
    # A batch has one key however often it was tried, and no key has two batches.
    keys: dict[str, bytes] = {}
    for request in hook.requests:
        assert keys.setdefault(request.headers["idempotency-key"], request.body) == request.body
    for sink in ("jsonl", "webhook", "otlp"):
        assert last.value("model_exporter_sink_dropped_total", sink=sink) == 0
    assert last.value("model_exporter_sink_retried_total", sink="webhook")
    assert "Traceback" not in log
    assert "s3cr3t" not in log + (tmp_path / "all.jsonl").read_text() + "".join(map(str, hook.records()))


def test_a_folder_nobody_may_write(tmp_path: Path, model: Fake) -> None:
    sink = {"jsonl": {"path": "/proc/all.jsonl"}, "flush": "20ms"}
    with Daemon(tmp_path, config(model.url, sink), args=["--shutdown-grace", "500ms"]) as daemon:
        until(
            "a failure",
            lambda: daemon.scrape().value("model_exporter_sink_failed_total", sink="jsonl"),
            within=30,
        )
        before = len(model.requests)
        until("probes to go on", lambda: len(model.requests) > before + 20, within=30)
        assert daemon.terminate() == 0


def test_the_end_delivers_what_was_taken(tmp_path: Path, model: Fake) -> None:
    """Batches that would wait for a minute go out when the exporter ends."""
    hook = Hook()
    otlp = Receiver((free_port(), free_port()))
    sinks = (
        {"jsonl": {"path": "all.jsonl"}, "flush": "1m"},
        {"webhook": {"url": f"http://127.0.0.1:{hook.port}/"}, "flush": "1m"},
        {"otlp": {"url": otlp.url("http")}, "flush": "1m"},
    )
    try:
        with Daemon(tmp_path, config(model.url, *sinks)) as daemon:
            until("runs", lambda: len(model.requests) > 30, within=30)
            assert not hook.requests
            asked = time.perf_counter()
            assert daemon.terminate() == 0
            assert time.perf_counter() - asked < 5, "it waited for its whole grace"
    finally:
        hook.stop()
        otlp.stop()
    everything = lines(tmp_path / "all.jsonl")
    assert sum(each["type"] == "result" for each in everything) == len(model.requests)
    assert ids(hook.records()) == ids(everything) == {point.record for point in otlp.points} - {""}


def test_a_dead_receiver_does_not_hold_the_end_up(tmp_path: Path, model: Fake) -> None:
    sinks = ({"webhook": {"url": f"http://127.0.0.1:{free_port()}/"}}, {"otlp": {"url": "http://127.0.0.1:9"}})
    with Daemon(tmp_path, config(model.url, *sinks), args=["--shutdown-grace", "1s"]) as daemon:
        until("runs", lambda: len(model.requests) > 10, within=30)
        asked = time.perf_counter()
        assert daemon.terminate() == 0
        assert time.perf_counter() - asked < 10
        left = [each for each in daemon.events() if each["msg"] == "records not delivered before the end"]
        assert {each["sink"] for each in left} == {"webhook", "otlp"}
        assert "Traceback" not in daemon.process.stderr


def test_a_reload_keeps_what_did_not_change(tmp_path: Path, model: Fake) -> None:
    first, second = Hook(), Hook()

    def webhook(hook: Hook) -> dict[str, Any]:
        return {"name": "hook", "webhook": {"url": f"http://127.0.0.1:{hook.port}/"}, "flush": "20ms"}

    kept = {"name": "kept", "jsonl": {"path": "all.jsonl"}, "flush": "20ms"}
    gone = {"name": "gone", "jsonl": {"path": "gone.jsonl"}, "flush": "20ms"}
    try:
        with Daemon(tmp_path, config(model.url, kept, gone, webhook(first)), args=["--reload-interval", "0"]) as daemon:
            until("records", lambda: first.requests, within=30)
            first.stop()
            until("failures", lambda: daemon.scrape().value("model_exporter_sink_failed_total", sink="hook"), within=30)
            daemon.write(config(model.url, kept, webhook(second)))
            daemon.process.signal(signal.SIGHUP)
            until("records elsewhere", lambda: second.requests, within=30, log=daemon.process.tail)
            until(
                "the one that is gone to leave nothing",
                lambda: not list(daemon.scrape().all("model_exporter_sink_written_total", sink="gone")),
                within=30,
            )
            assert daemon.terminate() == 0
            opened = [each["sink"] for each in daemon.events() if each["msg"] == "sink opened"]
    finally:
        first.stop()
        second.stop()
    assert opened == ["kept", "gone", "hook", "hook"]
    everything = lines(tmp_path / "all.jsonl")
    assert ids(first.records()) | ids(second.records()) == ids(everything)


def test_a_hanging_receiver_does_not_delay_a_probe(tmp_path: Path, model: Fake) -> None:
    """One exporter, two halves of its life: first every receiver hangs, then there is none. The targets notice nothing,
    and neither does the loop.
    """
    release = threading.Event()

    def hang(request: Request) -> Reply:
        release.wait(60)
        return 204, ""

    fifo = tmp_path / "pipe"
    os.mkfifo(fifo)
    reader = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)  # open, and never read: writes to it hang
    with Fake(hang) as hanging:
        sinks = (
            {"webhook": {"url": f"{hanging.url}/", "timeout": "60s", "concurrency": 4}, "batch": 10, "flush": "10ms"},
            {"otlp": {"url": hanging.url, "timeout": "60s"}, "batch": 10, "flush": "10ms", "queue": 200},
            {"jsonl": {"path": str(fifo)}, "batch": 10, "flush": "10ms", "queue": 200},
        )
        args = ["--reload-interval", "0", "--shutdown-grace", "1s"]
        with Daemon(tmp_path, config(model.url, *sinks, targets=30), args=args) as daemon:

            def all_hang() -> bool:
                scrape = daemon.scrape()
                return all(scrape.value("model_exporter_sink_dropped_total", sink=name) for name in ("otlp", "jsonl"))

            until("full queues", all_hang, within=60, log=daemon.process.tail)
            rounds = []
            for _ in range(2):
                with_sinks = measured(daemon)
                daemon.write(config(model.url, targets=30))
                daemon.process.signal(signal.SIGHUP)
                until("no sinks", lambda: not list(daemon.scrape().all("model_exporter_sink_queued_total")), within=30)
                without = measured(daemon)
                rounds.append((with_sinks, without))
                daemon.write(config(model.url, *sinks, targets=30))
                daemon.process.signal(signal.SIGHUP)
                until("sinks", lambda: list(daemon.scrape().all("model_exporter_sink_queued_total")), within=30)
            release.set()
            assert daemon.terminate() == 0
    os.close(reader)
    duration = min(with_sinks[0] / without[0] for with_sinks, without in rounds)
    lag = min(with_sinks[1] / without[1] for with_sinks, without in rounds)
    runs = max(with_sinks[2] / without[2] for with_sinks, without in rounds)
    assert duration < 1.5, rounds
    assert lag < 2, rounds
    assert runs > 0.9, rounds


def measured(daemon: Daemon, seconds: float = 2.0) -> tuple[float, float, float]:
    """Over some seconds: mean duration of a probe, mean lag of the loop, and runs."""

    def now() -> list[float]:
        scrape = daemon.scrape()
        names = ("model_probe_duration_seconds_sum", "model_probe_duration_seconds_count")
        probes = [sum(each.value for each in scrape.all(name)) for name in names]
        lag = [scrape.value(f"model_exporter_loop_lag_seconds_{part}") or 0.0 for part in ("sum", "count")]
        return probes + lag

    first = now()
    time.sleep(seconds)
    second = now()
    spent, runs, late, samples = (after - before for before, after in zip(first, second, strict=True))
    return spent / runs, late / samples, runs


def test_a_gate_writes_to_no_sink(tmp_path: Path, model: Fake) -> None:
    """`wait` watches the same targets, and its output is its own."""
    path = tmp_path / "c.json"
    path.write_text(json.dumps(config(model.url, {"jsonl": {"path": "-"}}, {"name": "f", "jsonl": {"path": "f"}})))
    done = subprocess.run(
        [*command(), "wait", "--config", str(path), "--timeout", "20s", "--json"], capture_output=True, check=False
    )
    assert done.returncode == 0, done
    assert json.loads(done.stdout)
    assert not (tmp_path / "f").exists()


def test_no_secret_reaches_a_record(tmp_path: Path) -> None:
    """Not even where a server repeats what it was sent."""

    def echo(request: Request) -> Reply:
        return 500, f"no: {request.headers.get('authorization')} {request.headers.get('x-key')}"

    with Fake(echo) as model:
        text = config(model.url, {"jsonl": {"path": "all.jsonl"}, "flush": "20ms"}, targets=1)
        text["targets"][0] |= {
            "url": f"{model.url}/?key=s3cr3t-query", "auth": {"bearer": "s3cr3t-bearer"},
            "headers": {"X-Key": "s3cr3t-header"},
        }  # fmt: skip
        with Daemon(tmp_path, text) as daemon:
            until("records", lambda: (tmp_path / "all.jsonl").exists() and lines(tmp_path / "all.jsonl"), within=30)
            assert daemon.terminate() == 0
    told = (tmp_path / "all.jsonl").read_text()
    assert "<hidden>" in told
    assert "s3cr3t" not in told
