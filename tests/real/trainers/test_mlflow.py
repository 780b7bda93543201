"""A run of a real MLflow tracking server, logged by MLflow's own client, followed by the exporter and by `follow`."""

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.real.fleet import Server
from tests.real.trainers.test_trainers import PROGRAMS
from tests.support.daemon import Daemon, command
from tests.support.web import until

pytestmark = [pytest.mark.real, pytest.mark.slow]


class Tracking(Server):
    """`mlflow server` on a database in `folder`."""

    def __init__(self, folder: Path) -> None:
        super().__init__("mlflow", folder, "/health")

    def start(self) -> None:
        """Start it, maybe again."""
        store = f"sqlite:///{self.folder / 'mlflow.db'}"
        address = ("--host", "127.0.0.1", "--port", str(self.port), "--workers", "1")
        lean = ("env", "MLFLOW_SERVER_ENABLE_JOB_EXECUTION=false")  # seven processes fewer
        self.run(*lean, self.bin / "mlflow", "server", "--backend-store-uri", store, *address)
        self.wait_ready(within=300)

    def log(self, run: str, steps: int, end: str) -> str:
        """Log to a run; what the program printed."""
        env = {**os.environ, "MLFLOW_TRACKING_URI": self.url}
        done = subprocess.run(
            [self.bin / "python", PROGRAMS / "mlflow_run.py", run, str(steps), end],
            env=env, capture_output=True, text=True, timeout=300, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return done.stdout.split("\n")[0]


@pytest.fixture(scope="module")
def tracking(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tracking]:
    server = Tracking(tmp_path_factory.mktemp("tracking"))
    try:
        server.start()
        yield server
    finally:
        server.end()


def follow(*args: str) -> "subprocess.Popen[str]":
    return subprocess.Popen([*command(), "follow", "--json", *args], stdout=subprocess.PIPE, text=True)


def test_a_run(tracking: Tracking, tmp_path: Path) -> None:
    run = tracking.log("new", 30, "stay")
    entry = {"job": "run", "mlflow": {"url": tracking.url, "run": run}}
    with Daemon(tmp_path, {"training": [entry]}) as exporter:

        def has(metric: str, value: float, **labels: str) -> Any:
            return until(
                f"{metric} to be {value}",
                lambda: exporter.scrape().value(metric, training="run", **labels) == value,
                within=90, log=exporter.process.tail,
            )  # fmt: skip

        has("model_training_step", 29)
        scrape = exporter.scrape()
        assert scrape.value("model_training_value", training="run", name="loss") == 1 / 30
        assert scrape.value("model_training_value", training="run", name="accuracy") == 1 - 1 / 31
        assert str(scrape.value("model_training_value", training="run", name="noise")) == "nan"
        assert scrape.value("model_training_nonfinite_total", training="run") == 30  # each point once
        assert scrape.value("model_training_finished", training="run", outcome="finished") == 0

        following = follow(f"mlflow://127.0.0.1:{tracking.port}/{run}")
        # More than a page between two questions, and the server away in between.
        tracking.log(run, 1500, "stay")
        has("model_training_step", 1529)
        tracking.process.kill()
        before = exporter.scrape().value("model_training_reconnects_total", training="run") or 0.0
        has("model_training_reconnects_total", before + 1)
        tracking.start()
        tracking.log(run, 5, "FAILED")
        has("model_training_finished", 1, outcome="failed")
        scrape = exporter.scrape()
        assert scrape.value("model_training_step", training="run") == 1534
        assert scrape.value("model_training_value", training="run", name="loss") == 1 / 1535
        assert scrape.value("model_training_nonfinite_total", training="run") == 1535
        assert scrape.value("model_training_reconnects_total", training="run") > 0
    assert following.stdout is not None
    with following.stdout:
        told = json.loads(following.stdout.read())
    assert following.wait(60) == 1
    assert (told["outcome"], told["step"], told["values"]["loss"]) == ("failed", 1534, 1 / 1535)
    assert told["nonfinite"] == 1535


@pytest.mark.parametrize("end", ["FINISHED", "KILLED"])
def test_how_a_run_ends(tracking: Tracking, end: str) -> None:
    following = follow(f"mlflow://127.0.0.1:{tracking.port}/{tracking.log('new', 3, end)}")
    assert following.stdout is not None
    with following.stdout:
        told = json.loads(following.stdout.read())
    assert (told["outcome"], told["step"]) == (end.lower(), 2)
    assert following.wait(60) == 1  # its noise is no number: that is not good either


def test_no_such_run(tracking: Tracking, tmp_path: Path) -> None:
    entry = {"job": "run", "mlflow": {"url": tracking.url, "run": "0" * 32}}
    with Daemon(tmp_path, {"training": [entry]}) as exporter:
        told = until("a word about it", lambda: [e for e in exporter.events() if "why" in e], within=60)
    assert told[0]["why"].startswith(f"http_status: the server answers 404: Run with id={'0' * 32} not found")
