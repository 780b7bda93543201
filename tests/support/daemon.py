"""The exporter itself as a process, as a user starts it."""

import json
import shutil
import signal
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tests.support.ports import free_port
from tests.support.process import Process
from tests.support.scrape import Scrape
from tests.support.web import Answer, answers, fetch, until

REPOSITORY = Path(__file__).resolve().parents[2]


def command() -> list[str]:
    """`model-exporter`, of the environment that runs the tests; from the source where it is not installed there."""
    script = shutil.which("model-exporter", path=str(Path(sys.executable).parent))
    if script:
        return [script]
    source = f"import sys; sys.path.insert(0, {str(REPOSITORY)!r}); from exporter.cli import main; main()"
    return [sys.executable, "-c", source]


class Daemon:
    """`model-exporter run`. The config may be the text of a file, or anything that JSON (so YAML) can say.

    `prefix` comes before the command: a program that starts it in a way of its own.
    """

    def __init__(
        self,
        folder: Path,
        config: Any = None,
        *,
        args: Sequence[str] = (),
        env: Mapping[str, str] | None = None,
        port: int | None = None,
        ready: bool = True,
        name: str = "exporter",
        prefix: Sequence[str] = (),
    ) -> None:
        self.port = port or free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.config_path = folder / f"{name}.yml"
        arguments = ["run", "--listen", f"127.0.0.1:{self.port}", "--log-format", "json", *args]
        if config is not None:
            self.write(config)
            arguments += ["--config", str(self.config_path)]
        self.process = Process(name, [*prefix, *command(), *arguments], folder, env=env)
        if ready:
            try:
                self.wait_ready()
            except BaseException:
                self.process.kill()
                raise

    def write(self, config: Any) -> None:
        """Replace the config file at once, as an editor or Kubernetes does."""
        fresh = self.config_path.with_suffix(".new")
        fresh.write_text(config if isinstance(config, str) else json.dumps(config, indent=1))
        fresh.replace(self.config_path)

    def wait_ready(self, within: float = 30) -> None:
        """Wait until /-/ready says 200."""

        def ready() -> bool:
            assert self.process.returncode is None, f"ended with {self.process.returncode}:\n{self.process.tail()}"
            return answers(f"{self.url}/-/ready")

        until("the exporter's /-/ready", ready, within=within, log=self.process.tail)

    def get(self, path: str, **options: Any) -> Answer:
        """Ask the exporter."""
        return fetch(self.url + path, **options)

    def scrape(self) -> Scrape:
        """Its /metrics now."""
        return Scrape.of(f"{self.url}/metrics")

    def until_state(self, target: str, state: str, *, within: float) -> Scrape:
        """Scrape until the target has this state, and return that scrape."""
        last: list[Scrape] = []

        def reached() -> bool:
            last[:] = [self.scrape()]
            return last[0].state(target) == state

        def log() -> str:
            return f"{target} is {last[0].state(target)}; the log ends:\n{self.process.tail()}"

        until(f"{target} to be {state}", reached, within=within, log=log)
        return last[0]

    def events(self) -> list[dict[str, Any]]:
        """Its log so far."""
        return [json.loads(line) for line in self.process.stderr.splitlines() if line.startswith("{")]

    def terminate(self, within: float = 15) -> int:
        """SIGTERM, and the exit code."""
        self.process.signal(signal.SIGTERM)
        return self.process.wait(within)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.process.kill()
