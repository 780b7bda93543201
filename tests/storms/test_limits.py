"""Little of what a process needs: descriptors, memory, room on the disk. Probes go on, and none fails for that."""

import json
import os
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from benchmarks.truth import Server
from tests.hostile.process import hostile
from tests.support import cgroup
from tests.support.daemon import Daemon
from tests.support.disk import SMALL, small_disk
from tests.support.fake import Fake
from tests.support.proc import Proc
from tests.support.scrape import Scrape
from tests.support.web import until

pytestmark = pytest.mark.slow

Figure = Callable[[str], None]
FILES, TARGETS = 64, 500
MB = 1_000_000


def under(limit: str) -> list[str]:
    """What to put before a command so that `ulimit LIMIT` holds for it."""
    return ["sh", "-c", f'ulimit {limit} && exec "$@"', "sh"]


def watching(port: int) -> dict[str, Any]:
    """Each answer takes 200 ms, so that at any moment more are due than there are descriptors; every second target
    would keep its connection.
    """
    health = {"interval": "4s", "timeout": "20s", "retry": {"attempts": 1}}
    module = {"protocol": "http", "probes": {"health": health}}
    return {
        "limits": {"per_host": TARGETS},
        "modules": {"0": module, "1": {**module, "connection": "keep_alive"}},
        "targets": [
            {"name": f"t{number}", "url": f"http://127.0.0.1:{port}/200/x", "module": str(number % 2)}
            for number in range(TARGETS)
        ],
    }


def test_few_descriptors_make_probes_wait_and_nothing_else(tmp_path: Path, figure: Figure) -> None:
    with ExitStack() as stack:
        server = stack.enter_context(Server(tmp_path))
        daemon = stack.enter_context(Daemon(tmp_path, watching(server.port), prefix=under(f"-n {FILES}")))
        proc = Proc(daemon.process.pid)
        most, waited = 0, 0.0

        def all_seen() -> Scrape | None:
            nonlocal most, waited
            most = max(most, proc.descriptors())
            scrape = daemon.scrape()  # at every look it must be served
            waited = max(waited, scrape.value("model_exporter_probes_waiting") or 0)
            return scrape if sum(sample.value for sample in scrape.all("model_probe_up")) == TARGETS else None

        for _ in range(10):  # others that only hold a connection
            stack.enter_context(socket.create_connection(("127.0.0.1", daemon.port)))
        scrape = until("all targets to be healthy", all_seen, within=90, every=0.3, log=daemon.process.tail)
        slots = scrape.value("model_exporter_probe_slots")
        assert slots is not None
        assert 8 <= slots < FILES
        assert waited > 0
        assert most < FILES, "all descriptors were in use"
        runs = sum(sample.value for sample in scrape.all("model_probe_runs_total"))
        assert sum(sample.value for sample in scrape.all("model_probe_successes_total")) == runs >= TARGETS
        assert not [sample for sample in scrape.all("model_probe_failures_total") if sample.value]
        assert sum(sample.value for sample in scrape.all("model_probe_attempts_total")) == runs
        # The wait for a slot is told apart, and is in no duration.
        delay = scrape.value("model_exporter_schedule_delay_seconds_sum") or 0
        assert delay > 0
        durations = sorted(sample.value for sample in scrape.all("model_probe_last_duration_seconds"))
        assert durations[0] >= 0.2
        waits = delay / (scrape.value("model_exporter_schedule_delay_seconds_count") or 1)
        assert durations[len(durations) // 2] - 0.2 < max(0.1, waits)
        figure(
            f"ulimit -n {FILES}, {TARGETS} targets: {slots:g} probes at once, {most} descriptors at most, "
            f"{waited:g} probes waited; {runs:g} runs, all healthy"
        )
    told = [event for event in daemon.events() if "limits.concurrency" in event["msg"]]
    assert told[0]["used"] == slots
    assert "Too many open files" not in daemon.process.stderr
    assert "Traceback" not in daemon.process.stderr


def test_a_soft_limit_is_raised(tmp_path: Path) -> None:
    with Server(tmp_path) as server, Daemon(tmp_path, watching(server.port), prefix=under("-Sn 64")) as daemon:
        limits = Path(f"/proc/{daemon.process.pid}/limits").read_text()
        soft, hard = next(line.split()[3:5] for line in limits.splitlines() if line.startswith("Max open files"))
        assert int(soft) == min(int(hard), 65_536) if hard != "unlimited" else 65_536
        assert daemon.scrape().value("model_exporter_probe_slots") == 500


@contextmanager
def address_space() -> Iterator[list[str]]:
    yield under("-v 400000")


BOUNDS = {"ulimit -v of 400 MB": address_space, "a cgroup of 128 MB": lambda: cgroup.memory(128 * MB)}


@pytest.mark.parametrize("bound", BOUNDS)
def test_bombs_in_little_memory(tmp_path: Path, bound: str, figure: Figure) -> None:
    names = ("gzip_bomb", "deflate_bomb", "member_bomb", "body_endless", "json_version_10mb", "headers_endless")

    def target(name: str, url: str, **more: Any) -> dict[str, Any]:
        probes = {"health": {"interval": "1s", "timeout": "900ms"}}
        return {"name": name, "url": url, "protocol": "http", "max_body": "2MB", "probes": probes, **more}

    with ExitStack() as stack:
        peers = stack.enter_context(hostile(tmp_path))
        bombs = [
            target(f"{name}{copy}", f"http://127.0.0.1:{peers.ports['main']}/{name}")
            for name in names
            for copy in range(5)
        ]
        well = target("t", f"http://127.0.0.1:{peers.healthy}/ok", probes={"health": {"interval": "1s"}})
        config = {"limits": {"per_host": 100}, "targets": [well, *bombs]}
        prefix = stack.enter_context(BOUNDS[bound]())
        daemon = stack.enter_context(Daemon(tmp_path, config, prefix=prefix))

        def all_ran() -> bool:
            scrape = daemon.scrape()
            runs = [scrape.value("model_probe_runs_total", target=each["name"], probe="health") or 0 for each in bombs]
            return min(runs) >= 3

        until("bombs to have run", all_ran, within=60, log=daemon.process.tail)
        scrape = daemon.scrape()
        assert scrape.state("t") == "healthy"
        assert not [sample for sample in scrape.samples if sample.labels.get("reason") == "internal"]
        proc = Proc(daemon.process.pid)
        figure(f"{len(bombs)} bombs every second in {bound}: memory {proc.rss():.0f} MB, at most {proc.peak():.0f} MB")
        assert daemon.terminate() == 0
        assert "Traceback" not in daemon.process.stderr
        assert "MemoryError" not in daemon.process.stderr


def test_a_full_disk(tmp_path: Path, fake: Fake, figure: Figure) -> None:
    """A sink's file system of 64 kB is full: probes go on, nothing half stands there, and what has room is written."""
    probes = {"health": {"interval": "100ms", "timeout": "5s"}}
    targets = [{"name": f"t{number}", "url": fake.url, "protocol": "http", "probes": probes} for number in range(20)]
    with small_disk(tmp_path) as folder:
        path = folder / "all.jsonl"

        def lines() -> int:
            """How many there are; every one of them is whole."""
            data = path.read_bytes()
            assert not data or data.endswith(b"\n")
            return len([json.loads(line) for line in data.splitlines()])

        sink = {"jsonl": {"path": str(path)}, "flush": "20ms", "queue": 50, "batch": 10}
        with Daemon(tmp_path, {"targets": targets, "sinks": [sink]}) as daemon:

            def dropped() -> float:
                return daemon.scrape().value("model_exporter_sink_dropped_total", sink="jsonl") or 0

            until("records to be dropped", dropped, within=60, log=daemon.process.tail)
            stopped = lines()
            assert stopped > 50
            before = len(fake.requests)
            until("probes to go on", lambda: len(fake.requests) > before + 100, within=30)
            assert lines() == stopped
            scrape = daemon.scrape()
            assert scrape.value("model_exporter_sink_failed_total", sink="jsonl")
            assert scrape.state("t0") == "healthy"
            figure(
                f"a disk of {SMALL // 1024} kB: full after {stopped} records, {dropped():g} dropped, "
                f"{len(fake.requests) - before} probes meanwhile, no line cut"
            )
            os.truncate(path, 0)  # somebody makes room
            until("lines again", lines, within=60, log=daemon.process.tail)
            assert daemon.terminate() == 0
        assert lines()
        assert daemon.process.stderr.count("records not delivered, they are tried again") <= 2
