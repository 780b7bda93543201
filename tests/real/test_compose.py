"""What the compose file runs, without containers: its configs, with the real programs on ports of this machine."""

import re
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from exporter.demo.scenes import SCENES
from tests.compose.files import SERVICES, there
from tests.support.daemon import Daemon
from tests.support.ports import free_port
from tests.support.process import Process
from tests.support.web import answers, fetch, until

pytestmark = pytest.mark.real

PROGRAMS = {
    "prometheus": ("prometheus", 9090, "/etc/prometheus/prometheus.yaml", ["--storage.tsdb.path=tsdb"]),
    "alertmanager": (
        "prometheus-alertmanager",
        9093,
        "/etc/alertmanager/alertmanager.yaml",
        ["--storage.path=alerts", "--cluster.listen-address="],
    ),
}


class Ports(dict[str, int]):
    """The port of this machine that stands for `SERVICE:PORT`."""

    def __missing__(self, address: str) -> int:
        self[address] = free_port()
        return self[address]

    def translate(self, text: str) -> str:
        names = rf"\b(?:{'|'.join(SERVICES)}):\d+"
        return re.sub(names, lambda found: f"127.0.0.1:{self[found[0]]}", text)


class Running(NamedTuple):
    exporter: Daemon
    prometheus: str
    alertmanager: str

    def ask(self, path: str) -> Any:
        return fetch(f"{self.prometheus}/api/v1/{path}").json()["data"]


@pytest.fixture
def running(tmp_path: Path, need: Callable[[str, str], str]) -> Iterator[Running]:
    ports, urls = Ports(), {}
    rules = "/etc/model-exporter-rules"
    with ExitStack() as ended:
        models = Process("models", [sys.executable, "-m", "exporter.demo", "127.0.0.1", "0"], tmp_path)
        ended.callback(models.kill)
        until("the models", lambda: len(models.stdout.splitlines()) == len(SCENES), within=60, log=models.tail)
        for number, line in enumerate(models.stdout.splitlines()):
            ports[f"models:{9001 + number}"] = int(line.split()[0].rpartition(":")[2])
        config = ports.translate(there("exporter", "/etc/model-exporter/config.yaml").read_text())
        exporter = ended.enter_context(Daemon(tmp_path, config, port=ports["exporter:10838"]))
        for service, (program, port, path, more) in PROGRAMS.items():
            copy = tmp_path / f"{service}.yaml"
            text = ports.translate(there(service, path).read_text())
            copy.write_text(text.replace(rules, str(there("prometheus", rules))))
            address = f"127.0.0.1:{ports[f'{service}:{port}']}"
            command = [need(program, f"apt-get install {program}"), f"--config.file={copy}", *more]
            process = Process(service, [*command, f"--web.listen-address={address}"], tmp_path)
            ended.callback(process.kill)
            urls[service] = url = f"http://{address}"
            until(service, lambda url=url: answers(f"{url}/-/ready"), within=60, log=process.tail)  # type: ignore[misc]
        yield Running(exporter, urls["prometheus"], urls["alertmanager"])


def test_all_of_it_lives(running: Running) -> None:
    until(
        "the first scrape",
        lambda: [each["health"] for each in running.ask("targets")["activeTargets"]] == ["up"],
        within=90,
    )

    def states() -> dict[str, str]:
        found = running.ask("query?query=model_probe_state==1")["result"]
        return {each["metric"]["target"]: each["metric"]["state"] for each in found}

    until("who is well", lambda: states().get("assistant") == "healthy", within=90)
    until("who is not there", lambda: states().get("gone") == "error", within=90)
    assert set(states()) == {scene.name for scene in SCENES} | {"gone"}
    until("Alertmanager", lambda: len(running.ask("alertmanagers")["activeAlertmanagers"]) == 1, within=60)

    def rules() -> list[dict[str, Any]]:
        return [rule for group in running.ask("rules")["groups"] for rule in group["rules"]]

    until("every rule to be evaluated", lambda: {rule["health"] for rule in rules()} == {"ok"}, within=90)
    # What is down for two minutes alerts: it is counting.
    waiting = until(
        "the alert",
        lambda: [a for a in running.ask("alerts")["alerts"] if a["labels"].get("target") == "gone"],
        within=90,
    )
    assert {alert["labels"]["alertname"] for alert in waiting} == {"ModelDown"}
    assert waiting[0]["annotations"]["runbook_url"]
