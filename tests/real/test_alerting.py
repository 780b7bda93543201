"""The whole way of an alert: exporter, Prometheus with the shipped rules, Alertmanager, and who is called at night."""

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.real.prometheus import Prometheus
from tests.support.daemon import Daemon
from tests.support.fake import Fake, Reply, Request
from tests.support.ports import free_port
from tests.support.process import Process
from tests.support.web import answers, until

pytestmark = pytest.mark.real

RULES = Path(__file__).parents[2] / "deploy" / "rules"
RUNBOOKS = Path(__file__).parents[2] / "docs" / "runbooks"


class Called:
    """A receiver of Alertmanager's webhook; `alerts` are all that it was told, oldest first."""

    def __init__(self) -> None:
        self.alerts: list[dict[str, Any]] = []

    def __call__(self, request: Request) -> Reply:
        self.alerts += json.loads(request.body)["alerts"]
        return 200, ""

    def told(self, name: str, target: str, status: str) -> dict[str, Any] | None:
        """The newest alert of a target in this status."""
        return next(
            (
                alert
                for alert in reversed(self.alerts)
                if (alert["labels"]["alertname"], alert["labels"].get("target"), alert["status"])
                == (name, target, status)
            ),
            None,
        )


@pytest.fixture
def called() -> Iterator[tuple[Called, str]]:
    receiver = Called()
    with Fake(receiver) as server:
        yield receiver, server.url


@pytest.fixture
def alertmanager(tmp_path: Path, need: Callable[[str, str], str], called: tuple[Called, str]) -> Iterator[str]:
    """Its address. It waits for nothing before it calls."""
    program = need("prometheus-alertmanager", "apt-get install prometheus-alertmanager")
    route = {"receiver": "night", "group_by": ["..."], "group_wait": "0s", "group_interval": "1s"}
    receiver = {"name": "night", "webhook_configs": [{"url": called[1], "send_resolved": True}]}
    config = tmp_path / "alertmanager.yml"
    config.write_text(json.dumps({"route": route, "receivers": [receiver]}))
    address = f"127.0.0.1:{free_port()}"
    command = [program, f"--config.file={config}", f"--storage.path={tmp_path / 'alertmanager'}"]
    process = Process(
        "alertmanager", [*command, f"--web.listen-address={address}", "--cluster.listen-address="], tmp_path
    )
    try:
        until("Alertmanager", lambda: answers(f"http://{address}/-/ready"), within=60, log=process.tail)
        yield address
    finally:
        process.kill()


def model(request: Request) -> Reply:
    """A model server that is well, as far as an `http` probe asks."""
    return 200, "ok"


def shipped(folder: Path) -> list[str]:
    """The rules as they are shipped, but for the patience: what holds for two minutes holds for two seconds here."""
    paths = []
    for path in sorted(RULES.glob("*.rules.yaml")):
        copy = folder / path.name
        text, count = re.subn(r"(?m)^( +for:) \S+$", r"\1 2s", path.read_text())
        assert count, f"{path} waits for nothing"
        copy.write_text(text)
        paths.append(str(copy))
    return paths


def test_an_alert_arrives_when_a_model_dies_and_is_taken_back_when_it_is_well(
    tmp_path: Path, need: Callable[[str, str], str], alertmanager: str, called: tuple[Called, str]
) -> None:
    receiver, _ = called
    port = free_port()
    with Fake(model) as healthy:
        urls = {"mortal": f"http://127.0.0.1:{port}", "other": healthy.url}
        shared = {"protocol": "http", "model": "llama-3", "labels": {"team": "chat"}, "probes": {"health": {}}}
        targets = [{"name": name, "url": url, **shared} for name, url in urls.items()]
        with Daemon(tmp_path, {"defaults": {"interval": "500ms", "timeout": "1s"}, "targets": targets}) as exporter:
            alerting = {"alertmanagers": [{"static_configs": [{"targets": [alertmanager]}]}]}
            program = need("prometheus", "apt-get install prometheus")
            prometheus = Prometheus(program, tmp_path, exporter.url, rule_files=shipped(tmp_path), alerting=alerting)
            try:
                with Fake(model, port):
                    until("it to be well", lambda: prometheus.state("mortal") == "healthy", within=60)
                    assert receiver.told("ModelDown", "mortal", "firing") is None
                down = until("the alert", lambda: receiver.told("ModelDown", "mortal", "firing"), within=120)
                labels = down["labels"]
                assert {name: labels[name] for name in ("model", "team", "severity", "job")} == {
                    "model": "llama-3", "team": "chat", "severity": "critical", "job": "models",
                }  # fmt: skip
                assert down["annotations"]["summary"] == "mortal is down"
                assert (RUNBOOKS / down["annotations"]["runbook_url"].rpartition("/")[2]).is_file()
                with Fake(model, port):
                    until("it to be taken back", lambda: receiver.told("ModelDown", "mortal", "resolved"), within=120)
                assert not [alert for alert in receiver.alerts if alert["labels"].get("target") == "other"]
            finally:
                prometheus.process.kill()
