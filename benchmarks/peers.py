"""Those that are compared, each pinned to one core and started afresh for every round."""

import gzip
import http.client
import json
import math
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

from tests.support.ports import free_port
from tests.support.web import answers, fetch, until

INTERVAL = 2.0
#: How Prometheus 2 asks for a scrape.
PROMETHEUS: Mapping[str, str] = {
    "Accept": "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,"
    "text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
    "Accept-Encoding": "gzip",
}
#: Seconds a scrape may take on a machine that has no time for it.
SCRAPE = 30.0
OURS, THEIRS = 0, 1
"""Cores: what is measured runs alone on the first, everything that serves the measuring on the second."""


def scraped(url: str, headers: Mapping[str, str] = PROMETHEUS, timeout: float = 120) -> tuple[bytes, int]:
    """A scrape's text, and how many bytes came. Raises OSError or HTTPException."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.netloc, timeout=timeout)
    try:
        connection.request("GET", parts.path, headers=headers)
        answer = connection.getresponse()
        body = answer.read()
        if answer.status != 200:
            raise OSError(f"a scrape was answered {answer.status}")
        return gzip.decompress(body) if answer.headers.get("Content-Encoding") == "gzip" else body, len(body)
    finally:
        connection.close()


class Absent(Exception):
    """A peer that is not on this machine: nothing is wrong, and nothing is compared."""


class Running(NamedTuple):
    """A peer at work: its process, and a scrape as Prometheus would do beside (None where probing is scraping).
    `began` is the moment before the process was made, on the clock of `time.monotonic`; `missed` tells how many runs
    were given up, `series` how many series targets have now, where it tells.
    """

    pid: int
    scrape: Callable[[], None] | None
    began: float
    missed: Callable[[], float] = lambda: 0.0
    series: Callable[[], int] = lambda: 0


class Load(NamedTuple):
    """What a peer is asked to do: each of `probes` asks each address every `interval` seconds, once or for a stream.
    `buckets` are the bounds of duration histograms, in seconds; () stands for the usual ones.
    """

    urls: list[str]
    interval: float = INTERVAL
    keep_alive: bool = False
    stream: bool = False
    probes: int = 1
    buckets: tuple[float, ...] = ()

    @property
    def rate(self) -> float:
        """Probes a second."""
        return len(self.urls) * self.probes / self.interval


#: Without uvloop: the import fails as it does where the extra [fast] is not installed.
_PLAIN = "import sys; sys.modules['uvloop'] = None; from exporter.cli import main; main()"
_FAST = "from exporter.cli import main; main()"


def config_of(load: Load) -> dict[str, object]:
    """The exporter's config for a load."""
    kind = "stream" if load.stream else "health"
    asked = {"kind": kind, "interval": _duration(load.interval), "timeout": _duration(min(load.interval, 5))}
    probes = {f"{kind}{number or ''}": asked for number in range(load.probes)}
    target = {"module": "asked", "connection": "keep_alive" if load.keep_alive else "fresh"}
    if load.urls[0].startswith("https:"):
        target["tls"] = {"insecure_skip_verify": True}  # type: ignore[assignment]
    buckets = {"metrics": {"buckets": {"duration": list(load.buckets)}}} if load.buckets else {}
    return {
        **buckets,
        "modules": {"asked": {"protocol": "http", "probes": probes}},
        "targets": [{"name": f"t{i}", "url": url, **target} for i, url in enumerate(load.urls)],
    }


def _duration(seconds: float) -> str:
    """As a config writes it."""
    return f"{seconds * 1000:.0f}ms"


@contextmanager
def exporter(folder: Path, load: Load, *, fast: bool) -> Iterator[Running]:
    """model-exporter under a load. `began` is the moment before its process was made."""
    port = free_port()
    path = folder / "exporter.yml"
    path.write_text(json.dumps(config_of(load)))
    command = [sys.executable, "-c", _FAST if fast else _PLAIN, "run"]
    command += ["--config", str(path), "--listen", f"127.0.0.1:{port}", "--log-level", "warning"]
    base = f"http://127.0.0.1:{port}"

    def scrape() -> None:
        try:
            assert fetch(f"{base}/metrics", headers=PROMETHEUS, timeout=SCRAPE).status == 200
        except OSError as error:
            print(f"bench: a scrape failed: {error}", file=sys.stderr)

    def lines() -> list[str]:
        return fetch(f"{base}/metrics", timeout=SCRAPE).body.splitlines()

    def series() -> int:
        return sum(line.startswith("model_probe_") for line in lines())

    def missed() -> float:
        try:
            found = lines()
        except OSError as error:
            print(f"bench: not known what was missed: {error}", file=sys.stderr)
            return math.nan
        counted = ("model_exporter_missed_slots_total ", "model_probe_skipped_total{")
        return sum(float(line.rsplit(" ", 1)[1]) for line in found if line.startswith(counted))

    began = time.monotonic()
    with _process(command, folder / "exporter.log") as process:

        def ready() -> bool:
            if process.poll() is not None:
                raise _ended(process, folder / "exporter.log")
            return answers(f"{base}/-/ready")

        until("the exporter", ready, within=120)
        yield Running(process.pid, scrape, began, missed, series)


@contextmanager
def blackbox(folder: Path, load: Load) -> Iterator[Running]:
    """Debian's blackbox_exporter, asked for the same probes at the same rate, as Prometheus asks."""
    program = shutil.which("prometheus-blackbox-exporter") or shutil.which("blackbox_exporter")
    if program is None:
        raise Absent("blackbox_exporter is not installed (apt-get install prometheus-blackbox-exporter)")
    port = free_port()
    path = folder / "blackbox.yml"
    http = {"preferred_ip_protocol": "ip4", "tls_config": {"insecure_skip_verify": True}}
    module = {"prober": "http", "timeout": f"{load.interval:g}s", "http": http}
    path.write_text(json.dumps({"modules": {"http_2xx": module}}))
    command = [program, f"--config.file={path}", f"--web.listen-address=127.0.0.1:{port}", "--log.level=warn"]
    began = time.monotonic()
    with _process(command, folder / "blackbox.log") as process:
        until("blackbox_exporter", lambda: answers(f"http://127.0.0.1:{port}/-/healthy"), within=30)
        driver = [sys.executable, "-m", "benchmarks.driver", str(port), str(load.rate)]
        with subprocess.Popen(["taskset", "-c", str(THEIRS), *driver], stdin=subprocess.PIPE, text=True) as asking:
            assert asking.stdin is not None
            asking.stdin.write("\n".join(load.urls))
            asking.stdin.close()
            try:
                yield Running(process.pid, None, began)
                if asking.poll() is not None:
                    raise SystemExit(f"bench: the driver ended with {asking.returncode}")
            finally:
                asking.kill()


#: Where the program is, when it is not where `make cloudprober` puts it.
CLOUDPROBER = "CLOUDPROBER"
_MADE = Path(os.environ.get("MODEL_EXPORTER_REAL", ".real")) / "cloudprober" / "cloudprober"


@contextmanager
def cloudprober(folder: Path, load: Load) -> Iterator[Running]:
    """cloudprober with the same probes, by a schedule of its own."""
    program = Path(os.environ.get(CLOUDPROBER) or _MADE)
    if not program.exists():
        raise Absent("cloudprober is not installed (make cloudprober, or CLOUDPROBER=/path/to/it)")
    port, milliseconds = free_port(), round(load.interval * 1000)
    hosts = ",".join(url.split("/")[2].rsplit(":", 1)[0] for url in load.urls)
    target_port = load.urls[0].split("/")[2].rsplit(":", 1)[1]
    path = folder / "cloudprober.cfg"
    path.write_text(
        f'probe {{ name: "farm" type: HTTP targets {{ host_names: "{hosts}" }} '
        f"interval_msec: {milliseconds} timeout_msec: {milliseconds} http_probe {{ "
        f'port: {target_port} relative_url: "/health" keep_alive: {str(load.keep_alive).lower()} '
        f"interval_between_targets_msec: {max(1, milliseconds // len(load.urls))} }} }}\n"
        f'surfacer {{ type: PROMETHEUS }} host: "127.0.0.1" port: {port}\n'
    )
    url = f"http://127.0.0.1:{port}/metrics"

    def scrape() -> None:
        assert fetch(url, headers=PROMETHEUS, timeout=SCRAPE).status == 200

    began = time.monotonic()
    with _process([str(program), f"--config_file={path}"], folder / "cloudprober.log") as process:
        until("cloudprober", lambda: answers(url), within=30)
        yield Running(process.pid, scrape, began)


def _ended(process: "subprocess.Popen[bytes]", log: Path) -> SystemExit:
    last = log.read_text(errors="replace").strip().splitlines()[-1:]
    return SystemExit(f"bench: {log.stem} ended with {process.returncode}: {''.join(last)}")


@contextmanager
def _process(command: list[str], log: Path) -> "Iterator[subprocess.Popen[bytes]]":
    with log.open("wb") as out:
        process = subprocess.Popen(["taskset", "-c", str(OURS), *command], stdout=out, stderr=out)
    try:
        yield process
        if process.poll() is not None:
            raise _ended(process, log)
    finally:
        process.kill()
        process.wait()
