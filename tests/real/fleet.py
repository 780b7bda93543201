"""The real model servers: their commands, the models they serve, and how each is known to be up."""

import json
import os
import subprocess
from pathlib import Path

from tests.support.daemon import REPOSITORY
from tests.support.ports import free_port
from tests.support.process import Process
from tests.support.programs import absent
from tests.support.web import answers, until

REAL = Path(os.environ.get("MODEL_EXPORTER_REAL") or REPOSITORY / ".real")
SERVERS = Path(__file__).with_name("servers")
#: Seconds before each of the words that servers/chat.py streams.
TOKEN_DELAY = 0.05
WORDS = 6


def pinned(server: str, package: str) -> str:
    """The version of a package that a server is installed with."""
    lines = (SERVERS / f"{server}.txt").read_text().splitlines()
    return next(line.partition("==")[2] for line in lines if line.startswith(f"{package}=="))


class Server:
    """One real server, with its own Python, on a free port."""

    def __init__(self, name: str, folder: Path, ready: str) -> None:
        self.name = name
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.bin = REAL / name / "bin"
        if not (self.bin / "python").exists():
            absent(name, "make test-real installs it")
        self.folder = folder / name
        self.folder.mkdir()
        self._ready = ready
        self._process: Process | None = None

    def run(self, *command: str | Path) -> None:
        """Start it with this command."""
        path = f"{self.bin}{os.pathsep}{os.environ['PATH']}"
        self._process = Process(self.name, command, self.folder, env={"PATH": path})

    @property
    def process(self) -> Process:
        """The running server."""
        assert self._process is not None
        return self._process

    def model(self) -> "subprocess.Popen[bytes]":
        """Begin to make its model in `folder`/model."""
        log = (self.folder / "make_model.log").open("wb")
        with log:
            return subprocess.Popen(
                [self.bin / "python", SERVERS / "make_model.py", self.name, self.folder / "model"],
                stdout=log,
                stderr=log,
            )

    def wait_ready(self, within: float = 300) -> None:
        """Wait until it serves its model."""

        def ready() -> bool:
            assert self.process.returncode is None, self.process.tail()
            return answers(self.url + self._ready)

        until(f"{self.name} to serve", ready, within=within, log=self.process.tail)

    def end(self) -> None:
        """Kill it, if it runs."""
        if self._process is not None:
            self._process.kill()


class Fleet:
    """MLServer and MLflow with the iris classifier, LitServe with its words: started together, all ready."""

    def __init__(self, folder: Path) -> None:
        self.litserve = Server("litserve", folder, "/health")
        self.mlserver = Server("mlserver", folder, "/v2/models/iris/ready")
        self.mlflow = Server("mlflow", folder, "/ping")
        self.all = (self.litserve, self.mlserver, self.mlflow)
        try:
            self._start()
        except BaseException:
            self.end()
            raise

    def _start(self) -> None:
        words = self.litserve
        words.run(words.bin / "python", SERVERS / "chat.py", str(words.port), str(TOKEN_DELAY))
        making = [(server, server.model()) for server in (self.mlserver, self.mlflow)]
        for (server, made), serve in zip(making, (self._serve_iris, self._serve_flowers), strict=True):
            assert made.wait(300) == 0, (server.folder / "make_model.log").read_text()
            serve()
        for server in self.all:
            server.wait_ready()

    def _serve_iris(self) -> None:
        iris = self.mlserver
        ports = {"http_port": iris.port, "grpc_port": free_port(), "metrics_port": free_port()}
        settings = {"host": "127.0.0.1", "parallel_workers": 0, "metrics_dir": str(iris.folder), **ports}
        (iris.folder / "model" / "settings.json").write_text(json.dumps(settings))
        iris.run(iris.bin / "mlserver", "start", iris.folder / "model")

    def _serve_flowers(self) -> None:
        serve = ["models", "serve", "--model-uri", "model", "--env-manager", "local", "--host", "127.0.0.1"]
        self.mlflow.run(self.mlflow.bin / "mlflow", *serve, "--port", str(self.mlflow.port))

    def end(self) -> None:
        """Kill all of them."""
        for server in self.all:
            server.end()
