"""The daemon watches servers over gRPC, on its schedule and on demand, and ends cleanly with calls on their way."""

import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from prometheus_client.parser import text_string_to_metric_families as parse

from exporter.protocols.grpc_health import CHECK
from exporter.protocols.open_inference_grpc import SERVICE
from exporter.protocols.proto import health_pb2, open_inference_pb2
from tests.e2e.test_lifecycle import assert_quiet
from tests.support.daemon import Daemon
from tests.support.grpc_fake import Call, GrpcFake
from tests.support.web import until

pytestmark = pytest.mark.slow

SAYS = {
    f"{SERVICE}ServerLive": open_inference_pb2.ServerLiveResponse(live=True),
    f"{SERVICE}ModelReady": open_inference_pb2.ModelReadyResponse(ready=True),
    f"{SERVICE}ServerMetadata": open_inference_pb2.ServerMetadataResponse(name="mlserver", version="1.7.1"),
    f"{SERVICE}ModelMetadata": open_inference_pb2.ModelMetadataResponse(name="iris", versions=["7"]),
    f"{SERVICE}ModelInfer": open_inference_pb2.ModelInferResponse(
        model_name="iris", outputs=[{"name": "y", "datatype": "FP32", "shape": [1]}], raw_output_contents=[b"\0\0\0\0"]
    ),
    CHECK: health_pb2.HealthCheckResponse(status="SERVING"),
}
INFER = {
    "interval": "500ms",
    "inputs": [{"name": "x", "shape": [1], "datatype": "FP32", "data": [1.0]}],
    "expect": {"outputs": [{"name": "y", "data": [0.0]}]},
}


@pytest.fixture
def fake() -> Iterator[GrpcFake]:
    def says(method: str) -> Any:
        return lambda call: SAYS[method].SerializeToString()

    with GrpcFake({method: says(method) for method in SAYS}) as made:
        yield made


def config(port: int) -> dict[str, Any]:
    url = f"grpc://127.0.0.1:{port}"
    cheap = {name: {"interval": "300ms"} for name in ("health", "ready", "metadata")}
    return {
        "modules": {
            "oip": {"protocol": "open_inference", "probes": {**cheap, "infer": INFER}},
            "health": {"protocol": "grpc_health", "probes": {"health": {}}},
        },
        "targets": [
            {"name": "iris", "url": url, "module": "oip", "model": "iris", "connection": "keep_alive"},
            {"name": "port", "url": f"tcp://127.0.0.1:{port}", "protocol": "tcp"},
        ],
        "on_demand": {"allow": [f"localhost:{port}"]},
    }


def probe(daemon: Daemon, target: str, module: str, model: str = "") -> tuple[int, dict[str, float]]:
    found = daemon.get(f"/probe?target={quote(target, safe='')}&module={module}&model={model}")
    if found.status != 200:
        return found.status, {}
    return 200, {
        sample.name: sample.value for family in parse(found.body) for sample in family.samples if not sample.labels
    }


def test_watched_and_asked_on_demand(tmp_path: Path, fake: GrpcFake) -> None:
    with Daemon(tmp_path, config(fake.port)) as daemon:
        scrape = daemon.until_state("iris", "healthy", within=40)
        scrape = daemon.until_state("port", "healthy", within=20)
        assert scrape.value("model_probe_verified", target="iris") == 1
        assert scrape.labels("model_probe_info", target="iris")["server"] == "mlserver"
        for phase in ("first_byte", "transfer"):
            assert scrape.value("model_probe_phase_seconds", target="iris", probe="infer", phase=phase) is not None

        asked = len(fake.calls)
        status, found = probe(daemon, f"grpc://localhost:{fake.port}", "oip", "iris")
        assert (status, found["probe_success"]) == (200, 1)
        status, found = probe(daemon, f"grpc://localhost:{fake.port}", "health")
        assert (status, found["probe_success"]) == (200, 1)
        assert len(fake.calls) > asked
        # Another name for the same port is not on the list, so nothing is asked there.
        assert probe(daemon, f"grpc://127.0.0.2:{fake.port}", "health")[0] == 403
        assert probe(daemon, "grpc://localhost", "health")[0] == 400
        assert_quiet(daemon)


def test_the_end_of_the_daemon_waits_for_no_call(tmp_path: Path, fake: GrpcFake) -> None:
    over = threading.Event()

    def stuck(call: Call) -> bytes:
        over.wait(30)
        return b""

    fake.methods[f"{SERVICE}ServerLive"] = stuck
    with Daemon(tmp_path, config(fake.port), args=["--shutdown-grace", "500ms"]) as daemon:
        until("a call to be on its way", lambda: fake.calls, within=40)
        daemon.process.signal(signal.SIGTERM)
        assert daemon.process.wait(15) == 0
        assert_quiet(daemon)
        over.set()
