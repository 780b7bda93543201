"""What happens to a process: signals, a stopped or jumping clock, limits, streams that nobody reads, restarts."""

import json
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from tests.hostile.process import Hostile, hostile
from tests.support.daemon import Daemon, command
from tests.support.fake import Fake, Reply, Request
from tests.support.machine import Machine
from tests.support.ports import free_port
from tests.support.programs import need
from tests.support.web import answers, until

pytestmark = pytest.mark.slow

Size = Callable[[int, int], int]
Figure = Callable[[str], None]
TROUBLE = ("Traceback", "Task was destroyed", "never retrieved", "never awaited", "Unclosed", "Warning")


@pytest.fixture(scope="module")
def peers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hostile]:
    """A hostile server, and a healthy one."""
    with hostile(tmp_path_factory.mktemp("peers")) as running:
        yield running


def target(name: str, url: str, interval: str = "500ms", timeout: str = "400ms", **more: Any) -> dict[str, Any]:
    probes = {"health": {"interval": interval, "timeout": timeout}}
    return {"name": name, "url": url, "protocol": "http", "probes": probes, **more}


def assert_quiet(daemon: Daemon) -> None:
    assert not [word for word in TROUBLE if word in daemon.process.stderr], daemon.process.stderr


def runs_of(daemon: Daemon, name: str, what: str = "runs") -> float:
    return daemon.scrape().value(f"model_probe_{what}_total", target=name, probe="health") or 0


def told_until_it_ends(daemon: Daemon) -> list[tuple[int, int]]:
    """What it answers at /-/ready and /-/healthy, again and again until nobody answers."""
    told = []
    try:
        while True:
            told.append((daemon.get("/-/ready").status, daemon.get("/-/healthy").status))
            time.sleep(0.05)
    except OSError:
        return told


def test_sigterm_with_a_hundred_probes_in_flight(tmp_path: Path, peers: Hostile, figure: Figure) -> None:
    url = f"http://127.0.0.1:{peers.ports['main']}/body_drip"
    config = {
        "limits": {"per_host": 200},
        "targets": [target(f"t{number}", url, "15s", "14s") for number in range(100)],
    }
    with Daemon(tmp_path, config, args=["--shutdown-grace", "4s"]) as daemon, Machine(daemon.process.pid) as machine:
        flying = "model_exporter_probes_in_flight"
        until("a hundred probes", lambda: (daemon.scrape().value(flying) or 0) >= 99, within=60)
        asked = time.perf_counter()
        daemon.process.signal(signal.SIGTERM)
        until("ready to go 503", lambda: answers(f"{daemon.url}/-/ready", 503), within=10, every=0.01)
        unready = time.perf_counter() - asked
        told = told_until_it_ends(daemon)
        assert daemon.process.wait(30) == 0
        took = time.perf_counter() - asked
        figure(f"SIGTERM, 100 probes in flight: 503 after {unready:.3f} s, ended after {took:.2f} s of a grace of 4 s")
        assert unready < took / 2, "it said so when all was over"
        assert len(told) >= 10, "it stopped answering long before it ended"
        assert {ready for ready, _ in told} == {503}, "it took itself for ready again"
        assert {healthy for _, healthy in told} == {200}, "who ends in good order is not sick: kubelet would kill it"
        assert took <= 4 + 0.5 + machine.at_once(asked, asked + took), "the probes were waited for"
        assert_quiet(daemon)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_second_signal_ends_it_at_once(tmp_path: Path, peers: Hostile, number: signal.Signals) -> None:
    url = f"http://127.0.0.1:{peers.ports['main']}/body_drip"
    config = {"targets": [target("t", url, "61s", "60s")]}
    with (
        Daemon(tmp_path, config, args=["--shutdown-grace", "60s"]) as daemon,
        Machine(daemon.process.pid) as machine,
    ):
        until("a probe", lambda: daemon.scrape().value("model_exporter_probes_in_flight") == 1, within=90)
        daemon.process.signal(signal.SIGTERM)
        until("ready to go 503", lambda: answers(f"{daemon.url}/-/ready", 503), within=10)
        again = time.perf_counter()
        daemon.process.signal(number)
        assert daemon.process.wait(20) == 1
        ended = time.perf_counter()
        assert ended - again <= 1.0 + machine.at_once(again, ended)
        assert "Traceback" not in daemon.process.stderr


def test_stopped_for_a_while(tmp_path: Path, size: Size, figure: Figure) -> None:
    """SIGSTOP, SIGCONT: no run is made up for, what was in flight ends, and the gap is told."""
    arrived: dict[str, list[float]] = {}
    hold, released = False, threading.Event()

    def answer(request: Request) -> Reply:
        arrived.setdefault(request.path, []).append(time.monotonic())
        if request.path == "/slow" and hold:
            released.wait(60)
        return 200, "ok"

    pause = size(4, 30)
    with Fake(answer) as fake:
        names = [f"t{number}" for number in range(20)]
        targets = [target(name, f"{fake.url}/{name}") for name in names]
        config = {"targets": [*targets, target("slow", f"{fake.url}/slow", "1s", "900ms")]}
        with Daemon(tmp_path, config) as daemon:
            until("all to run", lambda: all(runs_of(daemon, name) >= 3 for name in (*names, "slow")), within=60)
            hold, before = True, len(arrived["/slow"])
            until("one in flight", lambda: len(arrived["/slow"]) > before, within=20)
            daemon.process.signal(signal.SIGSTOP)
            time.sleep(pause)
            resumed = time.monotonic()
            daemon.process.signal(signal.SIGCONT)
            until("all to run again", lambda: all(arrived[f"/{n}"][-1] > resumed + 1 for n in names), within=60)
            hold = False
            released.set()
            burst = max(sum(resumed <= at < resumed + 0.45 for at in arrived[f"/{name}"]) for name in names)
            scrape = daemon.scrape()
            missed = scrape.value("model_exporter_missed_slots_total") or 0
            lag = scrape.value("model_exporter_loop_lag_seconds_sum") or 0
            failed = scrape.value(
                "model_probe_failures_total", target="slow", probe="health", status="error", reason="timeout"
            )
            figure(
                f"SIGSTOP for {pause} s, 20 targets every 0.5 s: at most {burst} runs of one in the 0.45 s after, "
                f"{missed:g} slots missed, loop lag {lag:.1f} s"
            )
            assert burst <= 2, "what was missed was made up for"  # the one that is due, and one more by its phase
            assert missed >= 20 * (pause - 2)
            assert lag >= pause - 1
            assert failed, [
                line for line in scrape.text.splitlines() if 'target="slow"' in line and "bucket" not in line
            ]
            assert {scrape.state(name) for name in names} == {"healthy"}
            assert daemon.terminate() == 0
            assert_quiet(daemon)


def test_a_clock_that_jumps(tmp_path: Path, peers: Hostile, figure: Figure) -> None:
    """An hour and ten years, there and back: runs keep their distance, no time is negative, certificates expire."""
    need("faketime", "apt-get install faketime")
    library = next(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"))
    offset = tmp_path / "offset"
    offset.write_text("+0\n")
    env = {"LD_PRELOAD": str(library), "FAKETIME_TIMESTAMP_FILE": str(offset), "FAKETIME_NO_CACHE": "1",
           "FAKETIME_DONT_FAKE_MONOTONIC": "1"}  # fmt: skip
    secure = f"https://127.0.0.1:{peers.ports['tls_good']}/ok"
    arrived: list[float] = []

    def answer(request: Request) -> Reply:
        arrived.append(time.monotonic())
        return 200, "ok"

    with Fake(answer) as fake:
        targets = [target("t", fake.url), target("tls", secure, tls={"ca_file": peers.ca_file})]
        with (
            Daemon(tmp_path, {"targets": targets}, env=env, args=["--reload-interval", "0"]) as daemon,
            Machine(daemon.process.pid) as machine,
        ):
            for name in ("t", "tls"):
                daemon.until_state(name, "healthy", within=20)
            began, since = len(arrived), time.perf_counter()
            for jump in ("+1h", "-1h", "+10y", "-10y", "+0"):
                offset.write_text(f"{jump}\n")
                seen = len(arrived)
                until("five more runs", lambda seen=seen: len(arrived) >= seen + 5, within=30)
                scrape = daemon.scrape()
                negative = [sample for sample in scrape.samples if sample.value < 0]
                assert not negative, (jump, negative)
                assert scrape.state("t") == "healthy"
                if jump == "+10y":
                    daemon.until_state("tls", "error", within=20)
                    reason = {"status": "error", "reason": "tls_expired"}
                    assert daemon.scrape().value("model_probe_failures_total", target="tls", probe="health", **reason)
            daemon.until_state("tls", "healthy", within=20)
            gaps = [after - before for before, after in pairwise(arrived[began:])]
            figure(f"clock +-1 h, +-10 y: runs every 0.5 s were {min(gaps):.2f} to {max(gaps):.2f} s apart")
            late = 0.25 + machine.at_once(since, time.perf_counter())
            assert min(gaps) >= 0.5 - late, "a jump of the clock brought a run forward"
            assert max(gaps) <= 0.5 + late, "a jump of the clock put a run off"
            assert daemon.terminate() == 0
            assert_quiet(daemon)


def test_streams_that_nobody_reads(tmp_path: Path, peers: Hostile) -> None:
    """Standard output closed, and a log pipe that is full: probes go on, and the last signal is heard."""
    port = free_port()
    url = f"http://127.0.0.1:{peers.healthy}/ok"
    config = tmp_path / "c.yml"
    # Each run changes a state, and each change is a long line of log.
    flapping = [target("x" * 200 + str(number), url, "100ms", "90ms") for number in range(20)]
    for each in flapping:
        each["probes"]["health"]["expect"] = {"text": "y" * 200}
    config.write_text(json.dumps({"targets": [target("t", url), *flapping]}))
    arguments = ["run", "--listen", f"127.0.0.1:{port}", "--log-level", "debug", "--config", str(config)]
    program = [*command(), *arguments]
    reader, writer = os.pipe()
    with subprocess.Popen(["sh", "-c", 'exec "$@" >&-', "sh", *program], stderr=writer, cwd=tmp_path) as process:
        try:
            os.set_blocking(writer, False)
            until("an answer", lambda: answers(f"http://127.0.0.1:{port}/-/ready"), within=30)
            try:
                while True:
                    os.write(writer, b"\n" * 4096)
            except BlockingIOError:
                pass
            os.set_blocking(writer, True)
            daemon = _at(port)
            for _ in range(3):
                for each in flapping:
                    each["probes"]["health"]["expect"] = {"text": "ready" if _ % 2 else "y"}
                config.write_text(json.dumps({"targets": [target("t", url), *flapping]}))
                process.send_signal(signal.SIGHUP)
                before = runs_of(daemon, "t")
                until("more runs", lambda before=before: runs_of(daemon, "t") >= before + 3, within=20)
            process.send_signal(signal.SIGTERM)
            assert process.wait(20) == 0
        finally:
            process.kill()
            os.close(reader)
            os.close(writer)


def _at(port: int) -> Any:
    daemon = Daemon.__new__(Daemon)
    daemon.url = f"http://127.0.0.1:{port}"
    return daemon


def test_with_every_warning_an_error(tmp_path: Path, peers: Hostile) -> None:
    """asyncio's debug mode, Python's development mode, warnings as errors: the whole life of a daemon says nothing."""
    main = f"http://127.0.0.1:{peers.ports['main']}"
    names = ("reset_in_body", "body_stall", "gzip_bomb", "redirect_loop", "body_truncated", "silence", "status_101")
    (tmp_path / "found.yml").write_text(json.dumps([{"targets": [f"http://127.0.0.1:{peers.healthy}/ok"]}]))
    log = tmp_path / "train.log"
    log.write_text("step=1 loss=0.5\n")
    config: dict[str, Any] = {
        "on_demand": {"allow": ["127.0.0.1"]},
        "modules": {"plain": {"protocol": "http", "probes": {"health": {"interval": "500ms"}}}},
        "discovery": [{"name": "lists", "file": {"paths": ["found.yml"]}, "module": "plain"}],
        "training": [{"job": "job", "file": {"path": str(log)}, "preset": "plain"}],
        "sinks": [{"jsonl": {"path": str(tmp_path / "out.jsonl")}, "flush": "100ms"}],
        "targets": [
            target("t", f"http://127.0.0.1:{peers.healthy}/ok", connection="keep_alive"),
            target("tls", f"https://127.0.0.1:{peers.ports['tls_expired']}/ok"),
            *(target(name, f"{main}/{name}", follow_redirects=True) for name in names),
            {
                "name": "stream", "url": f"{main}/sse_stalled", "protocol": "openai", "model": "m", "server": "generic",
                "wake": True, "probes": {"stream": {"interval": "1s", "timeout": "500ms"}},
            },
            {
                "name": "grpc", "url": f"grpc://127.0.0.1:{peers.ports['noise']}", "protocol": "grpc_health",
                "probes": {"health": {"interval": "1s", "timeout": "900ms"}},
            },
        ],
    }  # fmt: skip
    env = {"PYTHONASYNCIODEBUG": "1", "PYTHONDEVMODE": "1", "PYTHONWARNINGS": "error"}
    with Daemon(tmp_path, config, env=env, args=["--reload-interval", "0"]) as daemon:
        until(
            "every target to run", lambda: all(runs_of(daemon, name) >= 3 for name in ("t", "tls", *names)), within=60
        )

        def all_work() -> bool:
            scrape = daemon.scrape()
            found = scrape.value("model_exporter_targets", source="lists")
            return bool(found and list(scrape.all("model_training_step")) and (tmp_path / "out.jsonl").exists())

        until("a found target, a training job and records", all_work, within=30, log=daemon.process.tail)
        for path in ("/", "/config", f"/probe?target={main}/ok", "/api/v1/targets", "/nowhere"):
            daemon.get(path)
        config["targets"] = config["targets"][:-4]
        daemon.write(config)
        assert daemon.get("/-/reload", method="POST").status == 200
        assert runs_of(daemon, "t") >= 3
        assert daemon.terminate() == 0
        assert_quiet(daemon)
