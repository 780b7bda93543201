"""A server's load and a sleeping model, from the server's answer to the exporter's pages."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.daemon import Daemon
from tests.support.fake import Fake, Reply, Request
from tests.support.web import until

pytestmark = pytest.mark.slow

SAID = {"choices": [{"index": 0, "message": {"role": "assistant", "content": "OK."}, "finish_reason": "stop"}]}


class Vllm:
    """What vLLM answers; `waiting` is its queue."""

    waiting = 3

    def __call__(self, request: Request) -> Reply:
        match request.path:
            case "/v1/models":
                entry = {"id": "m", "object": "model", "owned_by": "vllm", "root": "m", "max_model_len": 8192}
                return 200, json.dumps({"object": "list", "data": [entry]}), {"Content-Type": "application/json"}
            case "/health":
                return 200, ""
            case "/version":
                return 200, '{"version": "0.11.2"}'
            case "/metrics":
                labels = '{model_name="m",engine="0"}'
                return 200, (
                    f"vllm:num_requests_running{labels} 2.0\nvllm:num_requests_waiting{labels} {self.waiting}.0\n"
                )
            case "/v1/chat/completions":
                return 200, json.dumps(SAID), {"Content-Type": "application/json"}
        return 404, "{}"


@pytest.fixture
def vllm() -> Vllm:
    return Vllm()


@pytest.fixture
def fake(vllm: Vllm) -> Iterator[Fake]:
    with Fake(vllm) as server:
        yield server


def watching(url: str, protocol: str, **target: Any) -> dict[str, Any]:
    probes = {"health": {"interval": "300ms"}, "infer": {"interval": "300ms", "prompt": "hi"}}
    return {"targets": [{"name": "t", "url": url, "protocol": protocol, "model": "m", "probes": probes, **target}]}


def test_a_long_queue_is_seen_and_saturated_from_where_the_operator_says(
    tmp_path: Path, fake: Fake, vllm: Vllm
) -> None:
    config = watching(fake.url, "openai", saturated_at={"waiting": 50}, connection="keep_alive")
    with Daemon(tmp_path, config) as daemon:
        scrape = daemon.until_state("t", "healthy", within=20)
        until("a reading", lambda: daemon.scrape().value("model_probe_queue_depth", target="t") == 3, within=20)
        scrape = daemon.scrape()
        assert scrape.value("model_probe_requests_running", target="t") == 2
        vllm.waiting = 60
        scrape = daemon.until_state("t", "saturated", within=20)
        assert scrape.value("model_probe_queue_depth", target="t") == 60
        assert scrape.value("model_probe_verified", target="t") == 1
        assert scrape.value("model_probe_success", target="t", probe="infer") == 1
        vllm.waiting = 0
        daemon.until_state("t", "healthy", within=20)
        assert daemon.terminate() == 0
    read = {request.port for request in fake.requests if request.path == "/metrics"}
    asked = [request.port for request in fake.requests if request.method == "POST"]
    assert len(asked) >= 3
    assert len(set(asked)) == 1  # the kept connection is the canary's own
    assert not read & set(asked)


def test_a_model_that_is_not_loaded_is_left_asleep(tmp_path: Path) -> None:
    def ollama(request: Request) -> Reply:
        match request.path:
            case "/":
                return 200, "Ollama is running"
            case "/api/version":
                return 200, '{"version": "0.12.0"}'
            case "/api/tags":
                return 200, json.dumps({"models": [{"name": "m:latest", "model": "m:latest"}]})
            case "/api/ps":
                return 200, '{"models": []}'
        return 500, "nobody asked for this"

    with Fake(ollama) as server, Daemon(tmp_path, watching(server.url, "ollama")) as daemon:
        daemon.until_state("t", "healthy", within=20)

        def paused() -> bool:
            return daemon.scrape().value("model_probe_paused", target="t", reason="asleep") == 1

        until("a pause", paused, within=20)
        scrape = daemon.scrape()
        assert scrape.value("model_probe_verified", target="t") == 0
        assert scrape.value("model_probe_runs_total", target="t", probe="infer") == 0
        assert scrape.value("model_probe_skipped_total", target="t", probe="infer", reason="asleep") >= 1
        assert "paused: asleep" in daemon.get("/").body
        (probe,) = (each for each in daemon.get("/api/v1/targets/t").json()["probes"] if each["name"] == "infer")
        assert probe["paused"] == ["asleep"]
        assert daemon.terminate() == 0
    assert {request.method for request in server.requests} == {"GET"}
