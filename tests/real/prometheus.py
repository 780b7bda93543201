"""A real Prometheus that scrapes the exporter every second, and questions to its HTTP API."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

from tests.support.ports import free_port
from tests.support.process import Process
from tests.support.web import answers, fetch, until

SCRAPE_INTERVAL = 1.0


class Series(NamedTuple):
    """One member of an instant vector."""

    labels: Mapping[str, str]
    value: float


class Prometheus:
    """Runs until `process.kill()`; keeps its data in `folder`."""

    def __init__(self, program: str, folder: Path, scraped: str, *args: str, **config: Any) -> None:
        """`config` holds further blocks of its config file."""
        self.url = f"http://127.0.0.1:{free_port()}"
        address = scraped.removeprefix("http://")
        job = {"job_name": "models", "static_configs": [{"targets": [address]}]}
        every = f"{SCRAPE_INTERVAL:g}s"
        timing = {"scrape_interval": every, "evaluation_interval": every}
        path = folder / "prometheus.yml"
        path.write_text(json.dumps({"global": timing, "scrape_configs": [job], **config}))
        command = [program, f"--config.file={path}", f"--storage.tsdb.path={folder / 'data'}"]
        command.append(f"--web.listen-address={self.url.removeprefix('http://')}")
        self.process = Process("prometheus", [*command, *args], folder)
        self.wait_ready()

    def wait_ready(self) -> None:
        """Wait until it answers."""
        until("Prometheus", lambda: answers(f"{self.url}/-/ready"), within=60, log=self.process.tail)

    def api(self, path: str) -> Any:
        """The data of an answer of its API."""
        answer = fetch(f"{self.url}/api/v1/{path}").json()
        assert answer["status"] == "success", answer
        return answer["data"]

    def query(self, expression: str) -> list[Series]:
        """The instant vector of a PromQL expression, now."""
        data = self.api(f"query?query={quote(expression)}")
        assert data["resultType"] == "vector", data
        return [Series(one["metric"], float(one["value"][1])) for one in data["result"]]

    def value(self, expression: str) -> float | None:
        """The value of the one series an expression gives; None when it gives none."""
        found = self.query(expression)
        assert len(found) < 2, f"{expression}: {found}"
        return found[0].value if found else None

    def state(self, target: str) -> str | None:
        """The state of a target as Prometheus knows it."""
        found = self.query(f'model_probe_state{{target="{target}"}} == 1')
        assert len(found) < 2, found
        return found[0].labels["state"] if found else None
