"""Every state, reached on a real server and seen from outside: by metrics, /ready and log of a running exporter.

tests/real/test_faults.py has an unloaded model of MLServer and servers that are stopped, through a real Prometheus.
"""

import threading
import urllib.request
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.real.conformance.conftest import specs
from tests.real.conformance.running import Running
from tests.real.conformance.spec import served_by
from tests.real.states.gateway import Gateway
from tests.real.states.watching import CANARY, CHEAP, FIRST, Scene, target
from tests.support.web import fetch, until

pytestmark = pytest.mark.real

Watch = Callable[..., Scene]
#: The first of each installation, but those that test_faults.py kills or unloads.
ONE_OF_EACH = {
    spec.venv: spec.name
    for spec in reversed(specs())
    if spec.scheme == "http" and spec.venv not in ("mlflow", "mlserver")
}


def send(method: str, url: str, body: bytes | None = None) -> None:
    """A request of the owner's."""
    urllib.request.urlopen(urllib.request.Request(url, body, method=method), timeout=60).close()


@served_by("torchserve")
def test_no_worker_behind_a_healthy_ping(server: Running, watch: Watch) -> None:
    """Its 503 is the one of a full queue; without the management port it is still no sign of load."""
    management = server.spec.target(server.place)["management"]
    scene = watch(target(server, "told"), target(server, "untold", management=False))
    for name in ("told", "untold"):
        scene.becomes("healthy", name, within=FIRST)
    try:
        send("PUT", f"{management}/models/iris?min_worker=0&max_worker=0&synchronous=true")
        scene.becomes("loading", "told", within=CHEAP)
        scene.becomes("zombie", "untold", within=CANARY)
        assert (scene.reason("told"), scene.reason("untold")) == ("not_ready", "http_status")
        for name in ("told", "untold"):
            assert "saturated" not in scene.states(name)
    finally:
        send("PUT", f"{management}/models/iris?min_worker=1&synchronous=true")
    for name in ("told", "untold"):
        scene.becomes("healthy", name, within=FIRST)


@served_by("ray")
def test_a_hung_replica_behind_a_proxy_that_is_well(server: Running, watch: Watch) -> None:
    kind, settings = server.spec.canaries[0]
    server.ask(kind, settings)  # a replica's first answer takes long, and a first canary counts at once
    scene = watch(target(server))
    scene.becomes("healthy", within=FIRST)
    server.switch("hang")
    seen = scene.becomes("zombie", within=CANARY)
    assert scene.reason() == "timeout"
    assert seen.value("model_probe_disagreement_total", target="t", cheap="ok", canary="bad") >= 2
    assert seen.value("model_probe_success", target="t", probe="health") == 1
    server.switch("")
    scene.becomes("healthy", within=CANARY)
    assert scene.states() == ["healthy", "zombie", "healthy"]


@served_by("litserve")
def test_a_stream_that_stops_in_the_middle_while_its_server_is_well(server: Running, watch: Watch) -> None:
    made = target(server, canary="stream")
    made["probes"]["stream"]["idle_timeout"] = "1s"
    scene = watch(made)
    scene.becomes("healthy", within=FIRST)
    server.switch("stall")
    seen = scene.becomes("zombie", within=CANARY)
    assert seen.value("model_probe_stream_outcomes_total", target="t", outcome="stalled") >= 1
    assert "stalled" in scene.failures()
    server.switch("")
    scene.becomes("healthy", within=CANARY)
    assert scene.states() == ["healthy", "zombie", "healthy"]


@served_by("litserve")
def test_a_server_that_is_stopped_in_the_middle_of_a_stream(server: Running, watch: Watch) -> None:
    half = Path(f"{server.place.folder / 'switch'}.seen")
    made = target(server, canary="stream")
    made["probes"]["stream"] |= {"idle_timeout": "2s", "timeout": "20s"}
    scene = watch(made)
    scene.becomes("healthy", within=FIRST)
    server.switch("slow")
    half.unlink(missing_ok=True)
    until("a stream to be half said", half.exists, within=FIRST)
    server.stop()
    try:
        scene.becomes("error", within=CHEAP)
        until("it to be found stalled", lambda: "stalled" in scene.failures(), within=CANARY)
        seen = scene.exporter.scrape()
        assert seen.value("model_probe_stream_outcomes_total", target="t", outcome="stalled") == 1
    finally:
        server.go_on()
    server.switch("")
    scene.becomes("healthy", within=CANARY + FIRST)
    assert scene.states() == ["healthy", "error", "healthy"], "what answers nothing at all is no zombie"


@served_by("litserve")
def test_a_gateway_that_refuses_by_429(server: Running, watch: Watch, tmp_path: Path) -> None:
    """Nginx lets one prediction a minute through, and whoever asks for health."""
    with Gateway(tmp_path, server.url, limited=True) as gateway:
        scene = watch(target(server, url=gateway.url))
        scene.becomes("saturated", within=FIRST)
        assert scene.reason() == "rate_limited"
        assert set(scene.states()) <= {"healthy", "saturated"}
        seen = scene.exporter.scrape()
        assert seen.value("model_probe_disagreement_total", target="t", cheap="ok", canary="bad") == 0
        gateway.configure(limited=False)
        scene.becomes("healthy", within=FIRST)


@served_by("triton")
def test_a_model_that_loads_beside_others(server: Running, watch: Watch) -> None:
    repository = f"{server.url}/v2/repository/models/late"
    scene = watch(target(server, "iris"), target(server, "late", model="late"))
    scene.becomes("healthy", "iris", within=FIRST)
    scene.becomes("unhealthy", "late", within=FIRST)
    assert scene.reason("late") == "model_not_found"
    server.switch("loading")
    loading = threading.Thread(target=send, args=("POST", f"{repository}/load"))
    loading.start()
    try:
        scene.becomes("loading", "late", within=CHEAP)
        assert scene.reason("late") == "not_ready"
    finally:
        server.switch("")
        loading.join()
    scene.becomes("healthy", "late", within=CANARY)
    assert scene.states("late") == ["unhealthy", "loading", "healthy"]
    assert scene.states("iris") == ["healthy"]
    assert not scene.failures("iris")
    send("POST", f"{repository}/unload")


@served_by("bentoml", "kserve_v1")
def test_not_ready_by_its_own_word(server: Running, watch: Watch) -> None:
    scene = watch(target(server))
    scene.becomes("healthy", within=FIRST)
    server.switch("unready")
    scene.becomes("loading", within=CHEAP)
    assert scene.reason() == "not_ready"
    server.switch("")
    scene.becomes("healthy", within=CHEAP)
    assert scene.states() == ["healthy", "loading", "healthy"]


@served_by("ollama")
def test_a_model_that_is_not_loaded_is_left_so(server: Running, watch: Watch) -> None:
    scene = watch(target(server, wake=False))
    scene.becomes("healthy", within=FIRST)

    def asleep() -> bool:
        return bool(scene.exporter.scrape().value("model_probe_skipped_total", target="t", reason="asleep"))

    until("its canary to be passed over", asleep, within=FIRST)
    seen = scene.exporter.scrape()
    assert seen.value("model_probe_verified", target="t") == 0
    assert seen.value("model_probe_paused", target="t", reason="asleep") == 1
    assert fetch(f"{server.url}/api/ps").json()["models"] == []
    send("POST", f"{server.url}/api/generate", b'{"model": "tiny", "prompt": "x", "stream": false}')
    until("its canary to run", lambda: scene.exporter.scrape().value("model_probe_verified", target="t"), within=FIRST)
    assert scene.states() == ["healthy"]


@served_by("llama-server")
def test_a_server_that_sleeps_is_left_asleep(server: Running, watch: Watch) -> None:
    """After five seconds without a request for the model, and neither a cheap probe nor a look at its load is one."""

    def sleeps() -> bool:
        return bool(fetch(f"{server.url}/props").json()["is_sleeping"])

    until("it to fall asleep", sleeps, within=FIRST)
    scene = watch(target(server, wake=False))
    scene.becomes("healthy", within=FIRST)

    def slots() -> float:
        return scene.exporter.scrape().value("model_probe_skipped_total", target="t", reason="asleep") or 0

    until("its canary to be passed over again and again", lambda: slots() >= 3, within=FIRST)
    assert sleeps()
    seen = scene.exporter.scrape()
    assert seen.value("model_probe_verified", target="t") == 0
    assert not seen.value("model_probe_runs_total", target="t", probe="stream")
    assert scene.states() == ["healthy"]
    send("POST", f"{server.url}/completion", b'{"prompt": "Say OK:", "n_predict": 4}')
    until("its canary to run", lambda: scene.exporter.scrape().value("model_probe_verified", target="t"), within=FIRST)


@served_by(*ONE_OF_EACH.values())
def test_healthy_until_it_is_killed(server: Running, watch: Watch) -> None:
    """Last: it is gone then."""
    scene = watch(target(server))
    scene.becomes("healthy", within=FIRST)
    until("a canary", lambda: scene.exporter.scrape().value("model_probe_verified", target="t"), within=FIRST)
    assert scene.states() == ["healthy"]
    server.end()
    scene.becomes("error", within=CHEAP)
    assert scene.reason() in ("connect_refused", "reset", "disconnected")
    assert scene.states() == ["healthy", "error"]
