"""The two that are compared, each pinned to one core and started afresh for every round."""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from tests.support.ports import free_port
from tests.support.web import answers, fetch, until

INTERVAL = 2.0
#: How Prometheus 2 asks for a scrape.
PROMETHEUS = {
    "Accept": "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,"
    "text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
    "Accept-Encoding": "gzip",
}
OURS, THEIRS = 0, 1
"""Cores: what is measured runs alone on the first, everything that serves the measuring on the second."""


class Running(NamedTuple):
    """A peer at work: its process, and a scrape as Prometheus would do beside (None where probing is scraping)."""

    pid: int
    scrape: Callable[[], None] | None
    missed: Callable[[], float]


#: Without uvloop: the import fails as it does where the extra [fast] is not installed.
_PLAIN = "import sys; sys.modules['uvloop'] = None; from exporter.cli import main; main()"
_FAST = "from exporter.cli import main; main()"


@contextmanager
def exporter(folder: Path, urls: list[str], *, fast: bool, keep_alive: bool = False) -> Iterator[Running]:
    """model-exporter with one health probe per target and the interval of the benchmark."""
    port = free_port()
    target = {"module": "health", "connection": "keep_alive" if keep_alive else "fresh"}
    config = {
        "modules": {
            "health": {
                "protocol": "http",
                "probes": {"health": {"interval": f"{INTERVAL:g}s", "timeout": f"{INTERVAL:g}s"}},
            }
        },
        "targets": [{"name": f"t{i}", "url": url, **target} for i, url in enumerate(urls)],
    }
    path = folder / "exporter.yml"
    path.write_text(json.dumps(config))
    command = [sys.executable, "-c", _FAST if fast else _PLAIN, "run"]
    command += ["--config", str(path), "--listen", f"127.0.0.1:{port}", "--log-level", "warning"]
    base = f"http://127.0.0.1:{port}"

    def scrape() -> None:
        assert fetch(f"{base}/metrics", headers=PROMETHEUS, timeout=30).status == 200

    def missed() -> float:
        lines = fetch(f"{base}/metrics", timeout=30).body.splitlines()
        counted = ("model_exporter_missed_slots_total ", "model_probe_skipped_total{")
        return sum(float(line.rsplit(" ", 1)[1]) for line in lines if line.startswith(counted))

    with _process(command, folder / "exporter.log") as process:
        until("the exporter", lambda: answers(f"{base}/-/ready"), within=30)
        yield Running(process.pid, scrape, missed)


@contextmanager
def blackbox(folder: Path, urls: list[str]) -> Iterator[Running]:
    """Debian's blackbox_exporter, asked for the same probes at the same rate."""
    program = shutil.which("prometheus-blackbox-exporter") or shutil.which("blackbox_exporter")
    if program is None:
        raise SystemExit(
            "bench: needs blackbox_exporter to compare with (apt-get install prometheus-blackbox-exporter)"
        )
    port = free_port()
    path = folder / "blackbox.yml"
    module = {"prober": "http", "timeout": f"{INTERVAL:g}s", "http": {"preferred_ip_protocol": "ip4"}}
    path.write_text(json.dumps({"modules": {"http_2xx": module}}))
    command = [program, f"--config.file={path}", f"--web.listen-address=127.0.0.1:{port}", "--log.level=warn"]
    with _process(command, folder / "blackbox.log") as process:
        until("blackbox_exporter", lambda: answers(f"http://127.0.0.1:{port}/-/healthy"), within=30)
        rate = len(urls) / INTERVAL
        driver = [sys.executable, "-m", "benchmarks.driver", str(port), str(rate)]
        with subprocess.Popen(["taskset", "-c", str(THEIRS), *driver], stdin=subprocess.PIPE, text=True) as asking:
            assert asking.stdin is not None
            asking.stdin.write("\n".join(urls))
            asking.stdin.close()
            try:
                yield Running(process.pid, None, lambda: 0.0)
                if asking.poll() is not None:
                    raise SystemExit(f"bench: the driver ended with {asking.returncode}")
            finally:
                asking.kill()


@contextmanager
def _process(command: list[str], log: Path) -> "Iterator[subprocess.Popen[bytes]]":
    with log.open("wb") as out:
        process = subprocess.Popen(["taskset", "-c", str(OURS), *command], stdout=out, stderr=out)
    try:
        yield process
        if process.poll() is not None:
            raise SystemExit(f"bench: {command[0]} ended with {process.returncode}; see {log}")
    finally:
        process.kill()
        process.wait()
