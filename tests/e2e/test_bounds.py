"""With few descriptors the exporter queues: no failure is invented, and its pages are still served."""

import json
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from benchmarks.truth import Server
from tests.support.daemon import command
from tests.support.ports import free_port
from tests.support.process import Process
from tests.support.scrape import Scrape
from tests.support.web import answers, until

pytestmark = pytest.mark.slow

FILES, TARGETS = 64, 500


@contextmanager
def exporter(folder: Path, config: dict[str, Any], limit: str) -> Iterator[tuple[Process, str]]:
    """The exporter under `ulimit LIMIT`, and its address."""
    path, port = folder / "bounds.yml", free_port()
    path.write_text(json.dumps(config))
    run = [*command(), "run", "--config", str(path), "--listen", f"127.0.0.1:{port}", "--log-format", "json"]
    with Process("exporter", ["sh", "-c", f'ulimit {limit} && exec "$@"', "sh", *run], folder) as process:
        url = f"http://127.0.0.1:{port}"
        until("the exporter", lambda: answers(f"{url}/-/ready"), within=60, log=process.tail)
        yield process, url


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


def test_few_descriptors_make_probes_wait_and_nothing_else(tmp_path: Path) -> None:
    with ExitStack() as stack:
        server = stack.enter_context(Server(tmp_path))
        process, url = stack.enter_context(exporter(tmp_path, watching(server.port), f"-n {FILES}"))
        files = Path(f"/proc/{process.pid}/fd")
        most, waited = 0, 0.0

        def all_seen() -> Scrape | None:
            nonlocal most, waited
            most = max(most, len(list(files.iterdir())))
            scrape = Scrape.of(f"{url}/metrics")  # at every look it must be served
            waited = max(waited, scrape.value("model_exporter_probes_waiting") or 0)
            return scrape if sum(sample.value for sample in scrape.all("model_probe_up")) == TARGETS else None

        for _ in range(10):  # others that only hold a connection
            stack.enter_context(socket.create_connection((url.split("/")[2].split(":")[0], int(url.split(":")[2]))))
        scrape = until("all targets to be healthy", all_seen, within=90, every=0.3, log=process.tail)
        slots = scrape.value("model_exporter_probe_slots")
        assert 8 <= slots < FILES
        assert waited > 0
        assert most < FILES, "all descriptors were in use"
        runs = sum(sample.value for sample in scrape.all("model_probe_runs_total"))
        assert sum(sample.value for sample in scrape.all("model_probe_successes_total")) == runs >= TARGETS
        assert not [sample for sample in scrape.all("model_probe_failures_total") if sample.value]
        assert sum(sample.value for sample in scrape.all("model_probe_attempts_total")) == runs
        # The wait for a slot is told apart, and is in no duration.
        delay = scrape.value("model_exporter_schedule_delay_seconds_sum")
        assert delay > 0
        durations = sorted(sample.value for sample in scrape.all("model_probe_last_duration_seconds"))
        assert durations[0] >= 0.2
        waits = delay / scrape.value("model_exporter_schedule_delay_seconds_count")
        assert durations[len(durations) // 2] - 0.2 < max(0.1, waits)
    told = [json.loads(line) for line in process.stderr.splitlines() if "limits.concurrency" in line]
    assert told[0]["used"] == slots
    assert "Too many open files" not in process.stderr
    assert "Traceback" not in process.stderr


def test_a_soft_limit_is_raised(tmp_path: Path) -> None:
    with ExitStack() as stack:
        server = stack.enter_context(Server(tmp_path))
        process, url = stack.enter_context(exporter(tmp_path, watching(server.port), "-Sn 64"))
        limits = Path(f"/proc/{process.pid}/limits").read_text()
        soft, hard = next(line.split()[3:5] for line in limits.splitlines() if line.startswith("Max open files"))
        assert int(soft) == min(int(hard), 65_536) if hard != "unlimited" else 65_536
        assert Scrape.of(f"{url}/metrics").value("model_exporter_probe_slots") == 500
