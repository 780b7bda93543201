"""The sink `otlp` and the real thing: the OpenTelemetry collector, and Prometheus 3 as a receiver.

They are built with Go: `sh tests/real/servers/install.sh otlp`, then `pytest tests/real/otlp`.
"""

import json
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.json_format import Parse
from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2 as service

from tests.real.prometheus import Prometheus
from tests.support import otlp
from tests.support.daemon import Daemon
from tests.support.fake import Fake, Reply, Request
from tests.support.ports import free_port
from tests.support.process import Process
from tests.support.programs import absent
from tests.support.web import until

pytestmark = pytest.mark.real

ROOT = Path(__file__).parents[3]
HINT = "sh tests/real/servers/install.sh otlp"


def program(name: str) -> str:
    path = Path(os.environ.get("MODEL_EXPORTER_REAL", ROOT / ".real"), "otlp", name)
    return str(path) if path.exists() else absent(name, HINT)


@pytest.fixture
def model() -> Iterator[Fake]:
    asked = iter(range(10**9))

    def answer(request: Request) -> Reply:
        return (500, "no") if next(asked) % 7 == 0 else (200, "ok")

    with Fake(answer) as server:
        yield server


def config(url: str, sink: dict[str, Any]) -> dict[str, Any]:
    probes = {"health": {"interval": "200ms", "timeout": "150ms"}}
    return {
        "targets": [
            {"name": name, "url": url, "protocol": "http", "probes": probes, "labels": {"team": "a"}} for name in "abc"
        ],
        "sinks": [{"jsonl": {"path": "all.jsonl"}, "flush": "100ms"}, {"otlp": sink, "flush": "100ms", "batch": 50}],
    }


def records(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "all.jsonl").read_text().splitlines()]


class Collector:
    """The collector, which appends to a file what it receives."""

    def __init__(self, folder: Path) -> None:
        self.ports = {"http": free_port(), "grpc": free_port()}
        self.out = folder / "received.json"
        ways = {name: {"endpoint": f"127.0.0.1:{port}"} for name, port in self.ports.items()}
        path = folder / "collector.yaml"
        path.write_text(
            json.dumps(
                {
                    "receivers": {"otlp": {"protocols": ways}},
                    "exporters": {"file": {"path": str(self.out), "append": True}},
                    "service": {
                        "pipelines": {"metrics": {"receivers": ["otlp"], "exporters": ["file"]}},
                        "telemetry": {"metrics": {"level": "none"}},
                    },
                }
            )
        )
        self.process = Process("collector", [program("collector"), "--config", f"file:{path}"], folder)
        until("the collector", self._ready, within=60, log=self.process.tail)

    def _ready(self) -> bool:
        assert self.process.returncode is None, self.process.tail()
        return "Everything is ready" in self.process.stderr

    def stop(self) -> None:
        self.process.signal(signal.SIGTERM)
        assert self.process.wait(30) == 0

    def points(self) -> list[otlp.Point]:
        if not self.out.exists():
            return []
        found = []
        for line in self.out.read_text().splitlines():
            found += otlp.points(Parse(line, service.ExportMetricsServiceRequest(), ignore_unknown_fields=True))
        return found


@pytest.mark.parametrize("protocol", ["http", "grpc"])
def test_the_collector_gets_every_record(tmp_path: Path, model: Fake, protocol: str) -> None:
    collector = Collector(tmp_path)
    try:
        sink = {"url": f"http://127.0.0.1:{collector.ports[protocol]}", "protocol": protocol}
        with Daemon(tmp_path, config(model.url, sink), args=["--shutdown-grace", "20s"]) as daemon:
            until("points", collector.points, within=60, log=daemon.process.tail)
            collector.stop()
            until("failures", lambda: daemon.scrape().value("model_exporter_sink_failed_total", sink="otlp"), within=60)
            seen = len(model.requests)
            until("more runs", lambda: len(model.requests) > seen + 20, within=60)
            collector.process.start()
            before = len(collector.points())
            until("points again", lambda: len(collector.points()) > before, within=60, log=daemon.process.tail)
            last = daemon.scrape()
            assert daemon.terminate(40) == 0
        collector.stop()
    finally:
        collector.process.kill()
    everything = records(tmp_path)
    assert len(everything) > 60
    assert {point.record for point in collector.points()} - {""} == {each["id"] for each in everything}
    assert last.value("model_exporter_sink_dropped_total", sink="otlp") == 0
    runs = [each for each in everything if each["type"] == "result"]
    for point in otlp.newest(collector.points()).values():
        if point.name == "model_probe_runs_total":
            assert point.value == sum(each["target"] == point.labels["target"] for each in runs)


def test_prometheus_shows_what_a_scrape_would(tmp_path: Path, model: Fake) -> None:
    receiver = Prometheus(
        program("prometheus"), tmp_path, "http://127.0.0.1:9", "--web.enable-otlp-receiver",
        storage={"tsdb": {"out_of_order_time_window": "30m"}},
    )  # fmt: skip
    try:
        with Daemon(tmp_path, config(model.url, {"url": f"{receiver.url}/api/v1/otlp"})) as daemon:
            until("samples", lambda: receiver.query("model_probe_runs_total"), within=60, log=daemon.process.tail)
            receiver.process.signal(signal.SIGTERM)
            assert receiver.process.wait(30) == 0
            until("failures", lambda: daemon.scrape().value("model_exporter_sink_failed_total", sink="otlp"), within=60)
            receiver.process.start()
            receiver.wait_ready()
            wanted = daemon.scrape().value("model_probe_runs_total", target="a")
            until(
                "what was held back",
                lambda: (receiver.value('model_probe_runs_total{target="a"}') or 0) > wanted,
                within=60,
                log=daemon.process.tail,
            )
            scraped = daemon.scrape()
            assert daemon.terminate() == 0
            assert "records refused" not in daemon.process.stderr
        results = [each for each in records(tmp_path) if each["type"] == "result"]
        time.sleep(0.1)
        for name in "abc":
            # Each run is a sample of its own, also those of the time in which nobody listened.
            runs = sum(each["target"] == name for each in results)
            assert receiver.value(f'model_probe_runs_total{{target="{name}"}}') == runs
            assert receiver.value(f'count_over_time(model_probe_success{{target="{name}"}}[10m])') == runs
        told = {series.labels["__name__"] for series in receiver.query('{__name__=~"model_probe_.+"}')}
        assert told <= {sample.name for sample in scraped.samples}
        (series,) = receiver.query('model_probe_failures_total{target="a"}')
        assert {name: value for name, value in series.labels.items() if name != "__name__"} == {
            "job": "model-exporter", "instance": series.labels["instance"], "target": "a", "team": "a",
            "probe": "health", "status": "unhealthy", "reason": "http_status",
        }  # fmt: skip
    finally:
        receiver.process.kill()
