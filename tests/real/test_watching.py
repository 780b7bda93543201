"""Real servers that are well, read back from a real Prometheus."""

import time
from typing import Any

import pytest

from tests.real.fleet import TOKEN_DELAY, WORDS, pinned
from tests.real.scene import CLASSES, INTERVAL, ROWS, WELL, Scene
from tests.support.web import Answer, fetch, until

pytestmark = pytest.mark.real


@pytest.fixture(scope="module", autouse=True)
def settled(scene: Scene) -> None:
    """All well and scraped a few times."""
    for target in WELL:
        until(f"{target} healthy in Prometheus", lambda t=target: scene.prometheus.state(t) == "healthy", within=40)
    runs = 'min(model_probe_runs_total{probe!="metadata"})'
    until("five runs of each probe", lambda: (scene.prometheus.value(runs) or 0) >= 5, within=60)


def test_prometheus_accepts_every_scrape(scene: Scene) -> None:
    (target,) = scene.prometheus.api("targets")["activeTargets"]
    assert (target["health"], target["lastError"]) == ("up", "")
    assert scene.prometheus.value('min_over_time(up{job="models"}[5m])') == 1


def test_states(scene: Scene) -> None:
    up = {series.labels["target"]: series.value for series in scene.prometheus.query("model_probe_up")}
    assert up == {**dict.fromkeys(WELL, 1.0), "iris-wrong": 0.0}
    verified = {series.labels["target"]: series.value for series in scene.prometheus.query("model_probe_verified")}
    assert {name for name, value in verified.items() if value} >= {"iris", "flowers", "assistant"}
    assert verified["assistant-alive"] == 0
    assert scene.prometheus.query('model_probe_up{target="iris"}')[0].labels["team"] == "flowers"


def test_outputs_are_checked(scene: Scene) -> None:
    """The same question with a wrong expectation is unhealthy: so the right ones above were really compared."""
    assert scene.prometheus.state("iris-wrong") == "unhealthy"
    failures = scene.prometheus.query('model_probe_failures_total{target="iris-wrong"} > 0')
    assert ("infer", "unhealthy", "expectation") in {
        (series.labels["probe"], series.labels["status"], series.labels["reason"]) for series in failures
    }
    assert scene.prometheus.value('model_probe_success{target="iris-wrong",probe="ready"}') == 1


def test_versions(scene: Scene) -> None:
    info = {series.labels["target"]: series.labels for series in scene.prometheus.query("model_probe_info")}
    iris, flowers = info["iris"], info["flowers"]
    assert iris["protocol"] == "open_inference"
    assert iris["model"] == "iris"
    assert (iris["server"], iris["server_version"]) == ("mlserver", pinned("mlserver", "mlserver"))
    assert (iris["model_version"], iris["platform"]) == ("7", "sklearn")
    assert flowers["protocol"] == "mlflow"
    assert (flowers["server"], flowers["server_version"]) == ("mlflow", pinned("mlflow", "mlflow"))


def _iris(scene: Scene) -> Answer:
    tensor = {"name": "x", "shape": [2, 4], "datatype": "FP32", "data": ROWS}
    return fetch(f"{scene.fleet.mlserver.url}/v2/models/iris/infer", method="POST", body={"inputs": [tensor]})


def _flowers(scene: Scene) -> Answer:
    return fetch(f"{scene.fleet.mlflow.url}/invocations", method="POST", body={"inputs": ROWS})


def _assistant(scene: Scene) -> Answer:
    body: dict[str, Any] = {"model": "words", "messages": [{"role": "user", "content": "Say OK."}], "stream": True}
    return fetch(f"{scene.fleet.litserve.url}/v1/chat/completions", method="POST", body=body)


def test_latencies_are_what_a_plain_client_measures(scene: Scene) -> None:
    """The best of many, taken at the same time: what the machine does beside lengthens the others as it likes."""
    asks = {("iris", "infer"): _iris, ("flowers", "infer"): _flowers, ("assistant", "stream"): _assistant}
    plain: dict[tuple[str, str], list[float]] = {asked: [] for asked in asks}
    began = time.perf_counter()
    while time.perf_counter() - began < 4 * INTERVAL:
        for asked, ask in asks.items():
            answer = ask(scene)
            assert answer.status == 200, answer
            plain[asked].append(answer.seconds)
    for (target, probe), seconds in plain.items():
        labels = f'{{target="{target}",probe="{probe}"}}'
        ours = scene.prometheus.value(f"min_over_time(model_probe_last_duration_seconds{labels}[30s])")
        assert ours is not None
        assert min(seconds) / 2 - 0.003 < ours < min(seconds) * 2 + 0.003, (target, ours, sorted(seconds))
        counted = scene.prometheus.query(f"model_probe_duration_seconds_count{labels}")[0].value
        assert counted == scene.prometheus.value(f"model_probe_successes_total{labels}")
        mean = (scene.prometheus.value(f"model_probe_duration_seconds_sum{labels}") or 0) / counted
        assert ours <= mean


def test_the_plain_client_sees_the_classes_we_expect(scene: Scene) -> None:
    assert _iris(scene).json()["outputs"][0]["data"] == CLASSES
    assert _flowers(scene).json()["predictions"] == CLASSES


def test_time_to_first_token(scene: Scene) -> None:
    """The server sleeps before each word, so true times have a floor, whatever the machine does beside."""
    query = scene.prometheus.value
    ttft = 'model_probe_ttft_seconds_{}{{target="assistant",channel="content"}}'
    first = query(f"{ttft.format('sum')} / {ttft.format('count')}")
    total = query(
        'model_probe_duration_seconds_sum{target="assistant"} / model_probe_duration_seconds_count{target="assistant"}'
    )
    gap = query(
        'model_probe_inter_chunk_seconds_sum{target="assistant"}'
        ' / model_probe_inter_chunk_seconds_count{target="assistant"}'
    )
    assert first is not None
    assert total is not None
    assert gap is not None
    assert TOKEN_DELAY <= first < total - (WORDS - 1) * TOKEN_DELAY * 0.9
    assert total >= WORDS * TOKEN_DELAY
    assert TOKEN_DELAY * 0.8 < gap < TOKEN_DELAY * 3
    outcomes = scene.prometheus.query('model_probe_stream_outcomes_total{target="assistant"} > 0')
    assert {series.labels["outcome"] for series in outcomes} == {"complete"}


def test_phases_add_up(scene: Scene) -> None:
    labels = '{target="iris",probe="infer"}'
    phases = {s.labels["phase"]: s.value for s in scene.prometheus.query(f"model_probe_phase_seconds{labels}")}
    assert {"connect", "first_byte", "transfer"} <= phases.keys()
    assert "tls" not in phases
    assert all(value >= 0 for value in phases.values())
    total = scene.prometheus.value(f"model_probe_last_duration_seconds{labels}")
    assert total == pytest.approx(sum(phases.values()), rel=0.2, abs=0.002)


def test_the_exporter_says_how_it_is_itself(scene: Scene) -> None:
    assert scene.prometheus.value("model_exporter_config_last_reload_successful") == 1
    assert scene.prometheus.value("sum(model_exporter_targets)") == len(WELL) + 1
    assert scene.prometheus.value("sum(model_exporter_internal_errors_total) or vector(0)") == 0
    assert scene.prometheus.query('model_probe_failures_total{reason="internal"} > 0') == []
    assert (scene.prometheus.value('process_resident_memory_bytes{job="models"}') or 0) > 1e6
