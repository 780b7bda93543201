"""One real server is killed, one hangs, one loses its model: Prometheus sees it in time, and nothing else."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.real.prometheus import SCRAPE_INTERVAL
from tests.real.scene import INTERVAL, TIMEOUT, WELL, Scene
from tests.support.web import fetch, until

pytestmark = pytest.mark.real

#: A change of a cheap probe shows within its interval and timeout; a canary's, confirmed once, within its interval,
#: two timeouts and the wait before it is asked again. To that comes a scrape, and patience for two busy cores.
PATIENCE = SCRAPE_INTERVAL + 2.0
CHEAP = INTERVAL + TIMEOUT + PATIENCE
CANARY = INTERVAL + 2 * TIMEOUT + INTERVAL + PATIENCE


@pytest.fixture(autouse=True)
def all_well(scene: Scene) -> None:
    """Every fault begins and ends here."""
    for target in WELL:
        until(f"{target} to be healthy", lambda t=target: scene.prometheus.state(t) == "healthy", within=60)


def follow(scene: Scene, target: str, state: str, within: float) -> float:
    """Wait until Prometheus knows the state and `up` with it; the seconds it took."""
    began = time.perf_counter()
    up = 1.0 if state == "healthy" else 0.0

    def told() -> bool:
        known = scene.prometheus.state(target)
        return known == state and scene.prometheus.value(f'model_probe_up{{target="{target}"}}') == up

    until(f"{target} to be {state} in Prometheus", told, within=within, log=scene.exporter.process.tail)
    return time.perf_counter() - began


def last_change(scene: Scene, target: str) -> tuple[str, str]:
    """State and reason of the newest change in the exporter's log."""
    change = [event for event in scene.exporter.events() if event.get("target") == target and "to" in event][-1]
    return change["to"], change["reason"]


def failures(scene: Scene, target: str, reason: str) -> float:
    """Runs of a target that failed for this reason so far."""
    return scene.prometheus.value(f'sum(model_probe_failures_total{{target="{target}",reason=~"{reason}"}})') or 0


@contextmanager
def others_unaffected(scene: Scene, *touched: str) -> Iterator[None]:
    """No other target may change its state or fail a run within the block."""
    others = f'target!~"{"|".join(touched)}|iris-wrong"'
    failed = f"sum(model_probe_failures_total{{{others}}})"
    before = scene.prometheus.value(failed)
    began = time.perf_counter()
    yield
    time.sleep(SCRAPE_INTERVAL)
    window = round(time.perf_counter() - began)
    lowest = scene.prometheus.query(f"min_over_time(model_probe_up{{{others}}}[{window}s])")
    assert {series.value for series in lowest} == {1.0}, lowest
    assert len(lowest) == len(WELL) - len(touched)
    assert scene.prometheus.value(failed) == before


def test_a_killed_server(scene: Scene) -> None:
    server = scene.fleet.mlflow
    try:
        with others_unaffected(scene, "flowers"):
            server.process.kill()
            follow(scene, "flowers", "error", CHEAP)
            assert last_change(scene, "flowers") == ("error", "connect_refused")
            assert failures(scene, "flowers", "connect_refused") > 0
            assert (
                scene.prometheus.query('model_probe_phase_seconds{target="flowers",probe="health",phase="first_byte"}')
                == []
            )
            assert len(scene.prometheus.query('model_probe_info{target="flowers"}')) == 1, "what was known is kept"
    finally:
        server.process.start()
        server.wait_ready()
    follow(scene, "flowers", "healthy", CANARY)


def test_a_hanging_server(scene: Scene) -> None:
    server = scene.fleet.litserve
    with others_unaffected(scene, "assistant", "assistant-alive"):
        server.process.pause()
        try:
            follow(scene, "assistant-alive", "error", CHEAP)
            assert last_change(scene, "assistant-alive") == ("error", "timeout")
            follow(scene, "assistant", "error", CANARY)
            state, reason = last_change(scene, "assistant")
            assert state == "error"
            assert reason in ("timeout", "timeout_first_token")
            assert failures(scene, "assistant", "timeout|timeout_first_token") >= 2
            zombies = scene.prometheus.query('max_over_time(model_probe_state{state="zombie"}[1m]) > 0')
            assert zombies == [], "a server that answers nothing at all is no zombie"
        finally:
            server.process.resume()
    follow(scene, "assistant-alive", "healthy", CHEAP)
    follow(scene, "assistant", "healthy", CANARY)


def test_an_unloaded_model(scene: Scene) -> None:
    repository = f"{scene.fleet.mlserver.url}/v2/repository/models/iris"
    with others_unaffected(scene, "iris"):
        assert fetch(f"{repository}/unload", method="POST").status == 200
        try:
            follow(scene, "iris", "unhealthy", CHEAP)
            assert last_change(scene, "iris") == ("unhealthy", "model_not_found")
            assert failures(scene, "iris", "model_not_found") > 0
            assert scene.prometheus.value('model_probe_success{target="iris",probe="health"}') == 1
            assert scene.prometheus.value('model_probe_success{target="iris",probe="ready"}') == 0
        finally:
            assert fetch(f"{repository}/load", method="POST", timeout=60).status == 200
    follow(scene, "iris", "healthy", CANARY)
