"""`wait` before and after a real MLServer serves the version that is waited for."""

import json
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.real.conformance.running import Running
from tests.real.conformance.servers.mlserver import INPUTS, SPECS
from tests.support.daemon import Daemon, command
from tests.support.process import Process
from tests.support.web import until

pytestmark = pytest.mark.real


class Iris:
    """MLServer with one model, which may be started again with another version of it."""

    def __init__(self, folder: Path) -> None:
        self.running = Running(SPECS[0], folder / "server")
        self.running.start()

    def serve(self, version: str) -> None:
        """End it, and start it again with this version, at the same address."""
        self.running.end()
        path = self.running.place.folder / "model" / "model-settings.json"
        settings = json.loads(path.read_text())
        settings["versions"] = [version]
        settings["parameters"]["version"] = version
        path.write_text(json.dumps(settings))
        again = Running(replace(SPECS[0], prepare=lambda place: None), self.running.place.folder)
        again.place, again.url = self.running.place, self.running.url
        self.running = again
        self.running.start()


@pytest.fixture
def iris(tmp_path: Path) -> Iterator[Iris]:
    server = Iris(tmp_path)
    yield server
    server.running.end()


def target(iris: Iris) -> dict[str, Any]:
    """Its canary is an hour apart, and nobody asks for the version."""
    probes = {"health": {}, "ready": {}, "infer": {"interval": "1h", "inputs": INPUTS}}
    return {"name": "iris", "url": iris.running.url, "protocol": "open_inference", "model": "iris", "probes": probes}


def test_the_wrong_version_then_the_right_one(iris: Iris, tmp_path: Path) -> None:
    path = tmp_path / "models.yml"
    path.write_text(json.dumps({"targets": [target(iris)]}))
    wait = [*command(), "wait", "--config", str(path), "--json", "--version"]
    wrong = subprocess.run([*wait, "8", "--timeout", "8s"], capture_output=True, text=True)
    (blocking,) = json.loads(wrong.stdout)["blocking"]
    assert wrong.returncode == 1
    assert (blocking["state"], blocking["reason"], blocking["version"]) == ("healthy", "version", "7")
    right = subprocess.run([*wait, "7", "--timeout", "60s"], capture_output=True, text=True)
    assert (right.returncode, json.loads(right.stdout)) == (0, {"ready": True, "targets": 1, "blocking": []})
    waiting = Process("wait", [*wait, "8", "--timeout", "120s"], tmp_path)
    try:
        iris.serve("8")
        assert waiting.wait(120) == 0, waiting.tail()
        assert json.loads(waiting.stdout)["ready"] is True
    finally:
        waiting.kill()


def test_the_gate_of_an_exporter_that_runs(iris: Iris, tmp_path: Path) -> None:
    watched = target(iris)
    watched["probes"]["infer"]["interval"] = "1s"
    watched["probes"]["metadata"] = {"interval": "1h"}
    with Daemon(tmp_path, {"targets": [watched]}) as exporter:

        def gate(version: str) -> int:
            return exporter.get(f"/api/v1/gate?select=target=iris&version={version}").status

        until("version 7", lambda: gate("7") == 200, within=30, log=exporter.process.tail)
        assert gate("8") == 503
        iris.serve("8")
        until("version 8", lambda: gate("8") == 200, within=60, log=exporter.process.tail)
        assert gate("7") == 503
