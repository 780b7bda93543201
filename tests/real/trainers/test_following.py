"""Real trainers followed by the exporter while they train, by file and over HTTP; read back from a real Prometheus."""

import json
import os
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.real.prometheus import Prometheus
from tests.real.trainers.test_trainers import PROGRAMS, PYTHON
from tests.support.daemon import Daemon
from tests.support.programs import absent
from tests.support.web import until

pytestmark = [pytest.mark.real, pytest.mark.slow]


class Logs(ThreadingHTTPServer):
    """Files of a folder as they grow: `/events/NAME` as server-sent events, `/lines/NAME` as a stream of lines, and
    `/NAME` as it is now. `cuts` ends the streams.
    """

    daemon_threads = True

    def __init__(self, folder: Path) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.folder = folder
        self.cuts = 0
        self.url = f"http://127.0.0.1:{self.server_port}"
        threading.Thread(target=self.serve_forever, daemon=True).start()


class _Handler(BaseHTTPRequestHandler):
    server: Logs

    def do_GET(self) -> None:
        *kind, name = self.path.strip("/").split("/")
        path = self.server.folder / name
        self.send_response(200 if path.exists() else 404)
        if not kind or not path.exists():
            body = path.read_bytes() if path.exists() else b""
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)
            return
        self.send_header("Content-Type", "text/event-stream" if kind == ["events"] else "text/plain")
        self.end_headers()
        self._stream(path, events=kind == ["events"])

    def _stream(self, path: Path, *, events: bool) -> None:
        sent, cuts = int(self.headers.get("Last-Event-ID", 0)), self.server.cuts
        with path.open("rb") as file:
            file.seek(sent)
            while self.server.cuts == cuts:
                position = file.tell()
                line = file.readline()
                if not line.endswith(b"\n"):
                    file.seek(position)
                    time.sleep(0.02)
                    continue
                if events:
                    text = line.rstrip(b"\r\n").replace(b"\r", b"\ndata: ")
                    line = b"id: %d\ndata: %b\n\n" % (file.tell(), text)
                self.wfile.write(line)

    def log_message(self, format: str, *args: Any) -> None:
        """Nobody reads it."""


class Stage(NamedTuple):
    """What is running."""

    folder: Path
    logs: Logs
    exporter: Daemon
    prometheus: Prometheus

    def train(self, program: str, log: Path, *arguments: str) -> "subprocess.Popen[bytes]":
        """Start a trainer that writes to a log, and to PROGRAM.json what it says of itself."""
        env = {**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "PYTHONUNBUFFERED": "1"}
        with log.open("ab") as output:
            return subprocess.Popen(
                [PYTHON, PROGRAMS / f"{program}.py", self.folder / f"{program}.json", *arguments],
                cwd=self.folder, env=env, stdout=output, stderr=subprocess.STDOUT,
            )  # fmt: skip

    def told(self, program: str) -> Any:
        """What a trainer said of itself."""
        return json.loads((self.folder / f"{program}.json").read_text())

    def values(self, training: str) -> dict[str, float]:
        """The values of a job, as Prometheus has them."""
        found = self.prometheus.query(f'model_training_value{{training="{training}"}}')
        return {series.labels["name"]: series.value for series in found}

    def until(self, metric: str, value: float, within: float = 60.0) -> None:
        """Wait until a series has a value in Prometheus."""
        until(f"{metric} to be {value}", lambda: self.prometheus.value(metric) == value, within=within,
              log=self.exporter.process.tail)  # fmt: skip


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory, need: Callable[[str, str], str]) -> Iterator[Stage]:
    program = need("prometheus", "apt-get install prometheus")
    if not PYTHON.exists():
        absent("the trainers", "sh tests/real/servers/install.sh trainers")
    folder = tmp_path_factory.mktemp("following")
    logs = Logs(folder)
    presets = {"trees": "xgboost", "net": "huggingface"}
    training: list[dict[str, Any]] = []
    for name, preset in presets.items():
        for kind in ("events", "lines"):
            url = f"{logs.url}/{kind}/{name}.log"
            training.append({"job": f"{name}-{kind}", "http": {"url": url}, "preset": preset})
        training.append({"job": f"{name}-document", "http": {"url": f"{logs.url}/{name}.log"}, "preset": preset})
        training.append({"job": f"{name}-file", "file": {"path": f"{name}.log"}, "preset": preset})
    training.append({"job": "rotated", "file": {"path": "rotated.log"}, "preset": "xgboost"})
    training.append({"job": "crash", "file": {"path": "crash.log"}, "preset": "xgboost"})
    training.append({"job": "stall", "file": {"path": "stall.log"}, "preset": "huggingface", "stall_after": "4s"})
    with Daemon(folder, {"training": training}) as exporter:
        prometheus = Prometheus(program, folder, exporter.url)
        try:
            yield Stage(folder, logs, exporter, prometheus)
        finally:
            prometheus.process.kill()
            logs.cuts += 1
            logs.shutdown()
            logs.server_close()


WAYS = ("file", "events", "lines", "document")


def test_xgboost(stage: Stage) -> None:
    assert stage.train("xgboost_trees", stage.folder / "trees.log").wait(300) == 0
    told = stage.told("xgboost_trees")
    last = {
        f"{data}-{metric}": float(f"{numbers[-1]:.5f}")
        for data, metrics in told.items()
        for metric, numbers in metrics.items()
    }
    for way in WAYS:
        stage.until(f'model_training_step{{training="trees-{way}"}}', 19)
        assert stage.values(f"trees-{way}") == last, way
    # A stream that breaks is taken up where it was: with ids nothing is counted twice, and the values stay.
    lines = stage.prometheus.value('model_training_lines_total{training="trees-file"}')
    stage.logs.cuts += 1
    again = 'sum(model_training_reconnects_total{training=~"trees-(events|lines)"} > bool 0)'
    until("the streams to be taken up again", lambda: (stage.prometheus.value(again) or 0) >= 2, within=90)
    time.sleep(3)
    for way in ("file", "events", "document"):
        assert stage.prometheus.value(f'model_training_lines_total{{training="trees-{way}"}}') == lines, way
    for way in WAYS:
        assert stage.values(f"trees-{way}") == last, way


def test_huggingface(stage: Stage) -> None:
    assert stage.train("huggingface_net", stage.folder / "net.log").wait(300) == 0
    for way in WAYS:
        stage.until(f'model_training_finished{{training="net-{way}",outcome="finished"}}', 1)
    expected = stage.values("net-file")
    logged: dict[str, float] = {}
    for entry in stage.told("huggingface_net"):
        logged |= entry
    assert {"loss", "eval_loss", "grad_norm"} <= set(expected)
    for name in ("loss", "eval_loss", "grad_norm", "train_loss"):
        assert expected[name] == pytest.approx(logged[name], rel=1e-3), name
    for way in WAYS:
        assert stage.values(f"net-{way}") == expected, way


def test_rotation_and_truncation(stage: Stage) -> None:
    """The log of a real run, rotated by rename after a third of it and by copytruncate after another."""
    log = stage.folder / "rotated.log"
    source = stage.folder / "source.log"
    assert stage.train("xgboost_trees", source).wait(300) == 0
    lines = source.read_bytes().splitlines(keepends=True)
    for at, line in enumerate(lines):
        with log.open("ab") as file:
            file.write(line)
        if at == 0:
            stage.until('model_training_lines_total{training="rotated"}', 1)
        if at == len(lines) // 3:
            log.rename(stage.folder / "rotated.log.1")
        if at == 2 * len(lines) // 3:
            stage.until('model_training_lines_total{training="rotated"}', at + 1)
            (stage.folder / "rotated.log.2").write_bytes(log.read_bytes())
            os.truncate(log, 0)
        time.sleep(0.05)
    stage.until('model_training_step{training="rotated"}', 19)
    assert stage.values("rotated") == stage.values("trees-file")
    assert stage.prometheus.value('model_training_lines_total{training="rotated"}') == len(lines)
    assert stage.prometheus.value('model_training_lines_skipped_total{training="rotated"}') == 0


def test_a_crash(stage: Stage) -> None:
    """It cannot write what it was to write at its end: a traceback, as any trainer prints one."""
    (stage.folder / "xgboost_trees.json").unlink(missing_ok=True)
    (stage.folder / "xgboost_trees.json").mkdir()
    assert stage.train("xgboost_trees", stage.folder / "crash.log").wait(300) == 1
    stage.until('model_training_finished{training="crash",outcome="failed"}', 1)
    stage.until('model_training_step{training="crash"}', 19)
    (stage.folder / "xgboost_trees.json").rmdir()


def test_a_stall(stage: Stage) -> None:
    """A trainer that is stopped in the middle tells nothing more, and no end."""
    log = stage.folder / "stall.log"
    job = stage.train("huggingface_net", log)
    until("the first loss", lambda: b"'loss'" in log.read_bytes(), within=300)
    job.kill()
    job.wait()
    stage.until('model_training_stalled{training="stall"}', 1)
    assert stage.prometheus.value('sum(model_training_finished{training="stall"})') == 0


def test_prometheus_accepts_every_scrape(stage: Stage) -> None:
    (target,) = stage.prometheus.api("targets")["activeTargets"]
    assert (target["health"], target["lastError"]) == ("up", "")
    assert stage.prometheus.value('min_over_time(up{job="models"}[10m])') == 1
