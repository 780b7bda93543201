"""The smallest config there is, one url and nothing else, against each real server."""

import subprocess
import time
from collections.abc import Callable, Iterator

import pytest

from tests.real.fleet import Fleet, pinned
from tests.support.daemon import Daemon

pytestmark = pytest.mark.real

#: The built-in interval of health and ready, within which the first run of every probe comes.
INTERVAL = 15.0
SERVERS = ("mlserver", "mlflow", "litserve")


@pytest.fixture(scope="module")
def daemons(fleet: Fleet, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Daemon]]:
    """One exporter per server, all at once: their first runs come at their own moments within the interval."""
    running: dict[str, Daemon] = {}
    try:
        for server in fleet.all:
            config = f"targets: [{{url: '{server.url}'}}]\n"
            running[server.name] = Daemon(tmp_path_factory.mktemp(server.name), config)
        yield running
    finally:
        for daemon in running.values():
            daemon.process.kill()


EXPECTED = {
    "mlserver": ("open_inference", {"health", "ready", "metadata"}, "mlserver"),
    "mlflow": ("mlflow", {"health", "metadata"}, "mlflow"),
    "litserve": ("openai", {"health", "metadata"}, "litserve"),
}


@pytest.mark.parametrize("name", SERVERS)
def test_one_url_is_enough(
    fleet: Fleet, daemons: dict[str, Daemon], name: str, need: Callable[[str, str], str]
) -> None:
    daemon = daemons[name]
    server = next(server for server in fleet.all if server.name == name)
    target = f"127.0.0.1:{server.port}"
    protocol, probes, known_as = EXPECTED[name]
    scrape = daemon.until_state(target, "healthy", within=INTERVAL + 15)
    deadline = time.perf_counter() + INTERVAL + 10
    while {s.labels["probe"] for s in scrape.all("model_probe_success")} != probes:
        assert time.perf_counter() < deadline, scrape.text
        time.sleep(0.25)
        scrape = daemon.scrape()

    assert {s.labels["target"] for s in scrape.all("model_probe_up")} == {target}
    assert scrape.value("model_probe_up", target=target, model="") == 1
    assert scrape.value("model_probe_verified", target=target) == 0
    info = scrape.labels("model_probe_info", target=target)
    assert info["protocol"] == protocol
    assert info["server"] == known_as
    if name != "litserve":  # the only one that does not tell its version
        assert info["server_version"] == pinned(name, name)
    for probe in probes:
        of = {"target": target, "probe": probe}
        assert scrape.value("model_probe_success", **of) == 1
        runs = scrape.value("model_probe_runs_total", **of)
        assert runs
        assert scrape.value("model_probe_successes_total", **of) == runs
        assert scrape.value("model_probe_duration_seconds_count", **of) == runs
        assert 0 < (scrape.value("model_probe_last_duration_seconds", **of) or 0) < 5
        assert {s.labels["phase"] for s in scrape.all("model_probe_phase_seconds", **of)} >= {"connect", "first_byte"}
        assert scrape.value("model_probe_http_status_code", **of) == 200
        assert scrape.value("model_probe_timeout_seconds", **of) == 5
        assert scrape.value("model_probe_interval_seconds", **of) == (300 if probe == "metadata" else INTERVAL)
        assert (
            abs((scrape.value("model_probe_last_run_timestamp_seconds", **of) or 0) - time.time()) < 2 * INTERVAL + 10
        )

    promtool = need("promtool", "apt-get install prometheus")
    lint = subprocess.run(
        [promtool, "check", "metrics"], input=scrape.text, capture_output=True, text=True, timeout=60, check=False
    )
    assert lint.returncode == 0, lint.stdout + lint.stderr


def test_nothing_else_was_asked_of_them(fleet: Fleet, daemons: dict[str, Daemon]) -> None:
    """Auto-detection and the default probes only GET: no server saw an inference it did not ask for."""
    for daemon in daemons.values():
        probes = {sample.labels["probe"] for sample in daemon.scrape().all("model_probe_runs_total")}
        assert not probes & {"infer", "stream"}
