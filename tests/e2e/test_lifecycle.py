"""The daemon as a process: start, reload, drain and end, as an operator meets them."""

import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.daemon import Daemon, command
from tests.support.fake import Fake, Reply, Request
from tests.support.machine import Machine
from tests.support.web import until

pytestmark = pytest.mark.slow

TROUBLE = ("Traceback", "Task was destroyed", "never retrieved", "never awaited", "Unclosed", "ResourceWarning")


def _well(request: Request) -> Reply:
    return 200, "ok"


@pytest.fixture
def fake() -> Iterator[Fake]:
    with Fake(_well) as server:
        yield server


def watching(url: str, *names: str, interval: str = "200ms") -> dict[str, Any]:
    """A config that watches one address under these names."""
    probes = {"health": {"interval": interval, "timeout": "2s"}}
    return {"targets": [{"name": name, "url": url, "protocol": "http", "probes": probes} for name in names]}


def assert_quiet(daemon: Daemon) -> None:
    found = [word for word in TROUBLE if word in daemon.process.stderr]
    assert not found, daemon.process.stderr


def test_target_alone_needs_no_file(tmp_path: Path, fake: Fake) -> None:
    with Daemon(tmp_path, args=["--target", fake.url]) as daemon:
        name = fake.url.removeprefix("http://")
        scrape = daemon.until_state(name, "healthy", within=40)
        assert scrape.value("model_probe_up", target=name) == 1
        assert scrape.value("model_exporter_config_last_reload_successful") == 1
        assert daemon.terminate() == 0


def test_neither_config_nor_target_is_wrong_usage(tmp_path: Path) -> None:
    with Daemon(tmp_path, ready=False) as daemon:
        assert daemon.process.wait(20) == 2
        assert "--config" in daemon.process.stderr
        assert "--target" in daemon.process.stderr


def test_a_bad_file_at_start_names_the_place(tmp_path: Path) -> None:
    with Daemon(tmp_path, "targets:\n  - {url: 'http://127.0.0.1:1', intervall: 3s}\n", ready=False) as daemon:
        assert daemon.process.wait(20) == 2
        assert f"{daemon.config_path}:2:" in daemon.process.stderr
        assert "intervall" in daemon.process.stderr


def test_port_in_use_is_said_with_the_address(tmp_path: Path, fake: Fake) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        began = time.perf_counter()
        with Daemon(tmp_path, watching(fake.url, "a"), name="free", ready=False) as daemon:
            daemon.wait_ready()
            usual = time.perf_counter() - began
        began = time.perf_counter()
        with (
            Daemon(tmp_path, watching(fake.url, "a"), port=port, ready=False) as daemon,
            Machine(daemon.process.pid) as machine,
        ):
            assert daemon.process.wait(20) == 1
            ended = time.perf_counter()
            assert ended - began <= max(2.0, usual) + machine.took(began, ended)
            assert f"127.0.0.1:{port}" in daemon.process.stderr
            assert "Traceback" not in daemon.process.stderr


def test_sigterm_lets_running_probes_end(tmp_path: Path) -> None:
    def slow(request: Request) -> Reply:
        time.sleep(1)
        return 200, "ok"

    with (
        Fake(slow) as fake,
        Daemon(tmp_path, watching(fake.url, "slow"), args=["--shutdown-grace", "5s"]) as daemon,
    ):
        until("a probe in flight", lambda: fake.requests, within=20)
        asked = time.perf_counter()
        assert daemon.terminate() == 0
        assert time.perf_counter() - asked < 5, "it waited for its whole grace"
        assert_quiet(daemon)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_grace_ends_what_does_not_end(tmp_path: Path, number: signal.Signals) -> None:
    def stuck(request: Request) -> Reply:
        time.sleep(8)
        return 200, "ok"

    with Fake(stuck) as fake:
        config = watching(fake.url, "stuck")
        config["targets"][0]["probes"]["health"] = {"interval": "10s", "timeout": "9s"}
        with Daemon(tmp_path, config, args=["--shutdown-grace", "500ms"]) as daemon:
            until("a probe in flight", lambda: fake.requests, within=30)
            asked = time.perf_counter()
            daemon.process.signal(number)
            assert daemon.process.wait(10) == 0
            assert time.perf_counter() - asked < 4, "the grace of 500 ms did not end it"
            assert_quiet(daemon)


def test_sighup_takes_the_new_file(tmp_path: Path, fake: Fake) -> None:
    with Daemon(tmp_path, watching(fake.url, "kept", "gone"), args=["--reload-interval", "0"]) as daemon:
        daemon.until_state("gone", "healthy", within=20)
        before = daemon.until_state("kept", "healthy", within=20)
        daemon.write(watching(fake.url, "kept", "new"))
        daemon.process.signal(signal.SIGHUP)
        after = daemon.until_state("new", "healthy", within=20)
        assert not list(after.all("model_probe_up", target="gone"))
        assert 'target="gone"' not in after.text
        assert after.value("model_exporter_config_reloads_total", result="success") == 2
        assert after.value("model_exporter_config_reloads_total", result="failure") == 0
        runs = [
            scrape.value("model_probe_runs_total", target="kept", probe="health") or 0 for scrape in (before, after)
        ]
        assert 0 < runs[0] <= runs[1], "the unchanged target's counters began again"
        assert daemon.terminate() == 0
        assert_quiet(daemon)


def test_changed_content_is_taken_by_itself(tmp_path: Path, fake: Fake) -> None:
    with Daemon(tmp_path, watching(fake.url, "a"), args=["--reload-interval", "200ms"]) as daemon:
        daemon.until_state("a", "healthy", within=20)
        daemon.write(watching(fake.url, "b"))
        scrape = daemon.until_state("b", "healthy", within=20)
        assert scrape.state("a") is None


def post_reload(daemon: Daemon) -> int:
    return daemon.get("/-/reload", method="POST").status


def sighup(daemon: Daemon) -> int:
    daemon.process.signal(signal.SIGHUP)
    return 0


@pytest.mark.parametrize("ask", [post_reload, sighup])
def test_a_bad_file_keeps_the_old_config_and_says_so(tmp_path: Path, fake: Fake, ask: Callable[[Daemon], int]) -> None:
    with Daemon(tmp_path, watching(fake.url, "a"), args=["--reload-interval", "0"]) as daemon:
        daemon.until_state("a", "healthy", within=20)
        daemon.write("targets:\n  - {url: 'http://127.0.0.1:1', intervall: 3s}\n")
        assert ask(daemon) != 200
        ok = "model_exporter_config_last_reload_successful"
        scrape = until("the failed reload", lambda: (s := daemon.scrape()).value(ok) == 0 and s, within=10)
        assert scrape.state("a") == "healthy"
        assert scrape.value("model_exporter_config_reloads_total", result="failure") == 1
        assert f"{daemon.config_path}:2:" in daemon.process.stderr, "the log does not say where"
        assert daemon.get("/-/ready").status == 200
        runs = scrape.value("model_probe_runs_total", target="a", probe="health")
        until(
            "further probes under the old config",
            lambda: daemon.scrape().value("model_probe_runs_total", target="a", probe="health") > runs,
            within=10,
        )
        daemon.write(watching(fake.url, "a", "b"))
        assert ask(daemon) in (0, 200)
        assert daemon.until_state("b", "healthy", within=20).value(ok) == 1


def test_reload_by_get_does_nothing(tmp_path: Path, fake: Fake) -> None:
    with Daemon(tmp_path, watching(fake.url, "a"), args=["--reload-interval", "0"]) as daemon:
        assert daemon.get("/-/reload").status == 405
        assert daemon.get("/-/reload", method="POST", headers={"Origin": "http://elsewhere.example"}).status == 403
        assert daemon.scrape().value("model_exporter_config_reloads_total", result="success") == 1


def test_state_follows_a_server_that_dies_and_returns(tmp_path: Path) -> None:
    alive = True

    def answer(request: Request) -> Reply:
        return (200, "ok") if alive else (500, "broken")

    with Fake(answer) as fake, Daemon(tmp_path, watching(fake.url, "a")) as daemon:
        daemon.until_state("a", "healthy", within=20)
        alive = False
        scrape = daemon.until_state("a", "unhealthy", within=20)
        assert scrape.value("model_probe_up", target="a") == 0
        assert scrape.value("model_probe_failures_total", target="a", status="unhealthy", reason="http_status")
        alive = True
        daemon.until_state("a", "healthy", within=20)
        changes = [event for event in daemon.events() if event.get("from") == "healthy" and event.get("to")]
        assert [(event["target"], event["to"], event["reason"]) for event in changes] == [
            ("a", "unhealthy", "http_status")
        ]


def test_the_commands_explain_themselves() -> None:
    shown = subprocess.run([*command(), "--help"], capture_output=True, text=True, timeout=60, check=True).stdout
    for name in ("run", "check", "probe", "init", "wait", "demo"):
        assert f"  {name}" in shown
    version = subprocess.run([*command(), "--version"], capture_output=True, text=True, timeout=60, check=True).stdout
    assert version.split()[-1][0].isdigit()
