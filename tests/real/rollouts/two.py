"""Two environments with an MLServer each, in which nothing is loaded at the start, and `deploy` as a user runs it."""

import json
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from tests.real.fleet import REAL, SERVERS, Server
from tests.support.daemon import command
from tests.support.ports import free_port
from tests.support.process import Process
from tests.support.programs import absent
from tests.support.web import fetch

MODEL = "iris"
ROWS = {"name": "x", "shape": [1, 4], "datatype": "FP32", "data": [[5.1, 3.5, 1.4, 0.2]]}
EXPECT = {"outputs": [{"name": "predict", "data": [0], "shape": [1, 1], "tolerance": 0.001}]}
CANARY = {"interval": "1s", "timeout": "5s", "inputs": [ROWS], "expect": EXPECT}


class Environment(Server):
    """One MLServer with version 7 of the iris classifier in its repository."""

    def __init__(self, name: str, folder: Path, made: Path) -> None:
        super().__init__("mlserver", _new(folder / name), "/v2/health/live")
        self.label = name
        self.repository = self.folder / "models"
        self.switch = self.folder / "switch"
        self.put("7", made)
        for file in ("mlserver_slow.py", "switch.py"):
            shutil.copy(SERVERS / file, self.folder)
        ports = {"http_port": self.port, "grpc_port": free_port(), "metrics_port": free_port()}
        settings = {
            "host": "127.0.0.1", "parallel_workers": 0, "metrics_dir": str(self.folder),
            "load_models_at_startup": False, **ports,
        }  # fmt: skip
        (self.repository / "settings.json").write_text(json.dumps(settings))

    def put(self, version: str, made: Path) -> None:
        """Put a version into the repository."""
        place = self.place(version)
        shutil.copytree(made, place)
        settings = json.loads((place / "model-settings.json").read_text())
        settings |= {"implementation": "mlserver_slow.SlowModel", "versions": [version]}
        settings["parameters"]["version"] = version
        (place / "model-settings.json").write_text(json.dumps(settings))

    def place(self, version: str) -> Path:
        """Where a version lies in the repository."""
        return self.repository / f"{MODEL}-{version}"

    def start(self) -> None:
        """Start it."""
        env = {"SWITCH": str(self.switch), "PYTHONPATH": str(self.folder), "PYTHONDONTWRITEBYTECODE": "1"}
        self._process = Process(self.label, [self.bin / "mlserver", "start", self.repository], self.folder, env=env)

    def say(self, word: str) -> None:
        """How its model behaves when it is loaded next."""
        self.switch.write_text(word)

    @property
    def state(self) -> str:
        """What the repository's index says of the model."""
        answer = fetch(f"{self.url}/v2/repository/index", method="POST", body={})
        return next(entry["state"] for entry in answer.json() if entry["name"] == MODEL)


def _new(folder: Path) -> Path:
    folder.mkdir()
    return folder


class Done(NamedTuple):
    """How the command ended."""

    code: int
    told: Any
    stderr: str


class Two:
    """The environments `healthy` and `other`, and one config for both."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        made = folder / "made"
        maker = [python(), SERVERS / "make_model.py", "mlserver", made]
        subprocess.run(maker, check=True, capture_output=True)
        self.healthy = Environment("healthy", folder, made)
        self.other = Environment("other", folder, made)
        self.all = (self.healthy, self.other)
        self.made = made
        self.config = folder / "models.yml"
        self.state = folder / "deploys.jsonl"
        self.config.write_text(json.dumps(self._config()))
        for environment in self.all:
            environment.start()
        for environment in self.all:
            environment.wait_ready()

    def _config(self) -> Any:
        targets = [
            {
                "name": f"iris-{each.label}", "url": each.url, "protocol": "open_inference", "model": MODEL,
                "labels": {"env": each.label}, "probes": {"ready": {"interval": "1s"}, "infer": CANARY},
            }
            for each in self.all
        ]  # fmt: skip
        environments = {each.label: {"select": {"env": each.label}} for each in self.all}
        return {"targets": targets, "environments": environments}

    def reset(self) -> None:
        """As at the start."""
        self.state.unlink(missing_ok=True)
        self.config.write_text(json.dumps(self._config()))
        for environment in self.all:
            environment.say("")
            shutil.rmtree(environment.place("8"), ignore_errors=True)
            if environment.state != "UNAVAILABLE":
                fetch(f"{environment.url}/v2/repository/models/{MODEL}/unload", method="POST", body={})
            assert environment.state == "UNAVAILABLE"

    def arguments(self, *more: str) -> Sequence[str]:
        """The command line."""
        return [*command(), "deploy", "--config", str(self.config), "--state", str(self.state), "--json", *more]

    def deploy(self, *more: str) -> Done:
        """Run the command to its end."""
        done = subprocess.run(self.arguments(*more), capture_output=True, text=True, timeout=180)
        return Done(done.returncode, json.loads(done.stdout) if done.stdout else None, done.stderr)

    def end(self) -> None:
        """Kill both servers."""
        for environment in self.all:
            environment.end()


def python() -> Path:
    """The interpreter MLServer is installed with."""
    found = REAL / "mlserver" / "bin" / "python"
    if not found.exists():
        absent("mlserver", "make test-real installs it")
    return found
