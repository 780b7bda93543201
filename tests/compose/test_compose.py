"""The compose file and what it mounts fit together, and to what is shipped beside them."""

import json
import os
import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from click.testing import CliRunner

from exporter.cli import main
from exporter.demo.scenes import SCENES, config
from exporter.generate import DASHBOARDS, RULES
from tests.compose.files import COMPOSE, FOLDER, SERVICES, mounts, read, there
from tests.support.programs import absent

REAL = Path(os.environ.get("MODEL_EXPORTER_REAL", FOLDER.parents[1] / ".real"))


@pytest.mark.real
def test_it_is_of_the_compose_specification() -> None:
    schema = REAL / "compose" / "compose-spec.json"
    if not schema.exists():
        absent("the schema of the compose specification", "make test-compose")
    validator = jsonschema.validators.validator_for(found := json.loads(schema.read_text()))(found)
    assert [error.message for error in validator.iter_errors(COMPOSE)] == []
    broken = {"services": {"exporter": {**SERVICES["exporter"], "read_onyl": True}}}
    assert not validator.is_valid(broken)


@pytest.mark.parametrize("service", SERVICES)
def test_what_is_mounted_is_there_and_cannot_be_changed(service: str) -> None:
    for mount in mounts(service):
        assert mount.source.exists(), mount
        assert mount.mode == "ro", mount
    for text in SERVICES[service].get("volumes", []):
        source = text.partition(":")[0]
        assert source.startswith(".") or source in COMPOSE["volumes"]


@pytest.mark.parametrize("service", SERVICES)
def test_services_are_closed(service: str) -> None:
    """Ports are open to this machine alone, and nothing can be gained by who breaks in."""
    found = SERVICES[service]
    assert found["read_only"] is True
    assert found["cap_drop"] == ["ALL"]
    assert found["security_opt"] == ["no-new-privileges:true"]
    assert all(port.startswith("127.0.0.1:") for port in found.get("ports", []))
    assert "build" in found or re.fullmatch(r"docker\.io/\w+/\w+:v?\d+\.\d+\.\d+", found["image"])


def test_the_build_is_of_this_repository() -> None:
    root = FOLDER.parents[1]
    built = [found for found in SERVICES.values() if "build" in found]
    assert {found["image"] for found in built} == {"model-exporter"}
    for found in built:
        assert (FOLDER / found["build"]).resolve() == root
    assert (root / "Dockerfile").exists()


def test_what_is_watched_is_what_runs() -> None:
    host, first = "models", int(SERVICES["models"]["command"][1])
    urls = {scene.name: f"http://{host}:{first + number}" for number, scene in enumerate(SCENES)}
    wanted = config(urls)
    found = read("exporter", "/etc/model-exporter/config.yaml")
    *targets, gone = found["targets"]
    assert found | {"targets": targets} == wanted
    assert gone["url"] not in urls.values()
    result = CliRunner().invoke(main, ["check", str(there("exporter", "/etc/model-exporter/config.yaml"))])
    assert result.exit_code == 0, result.output


def addresses(value: Any) -> list[str]:
    """Every `HOST:PORT` of a service, anywhere in a config."""
    return re.findall(rf"\b((?:{'|'.join(SERVICES)}):\d+)", json.dumps(value))


@pytest.mark.parametrize(
    ("service", "path", "expected"),
    [
        ("prometheus", "/etc/prometheus/prometheus.yaml", ["alertmanager:9093", "exporter:10838"]),
        ("grafana", "/etc/grafana/provisioning/datasources/model-exporter.yaml", ["prometheus:9090"]),
    ],
)
def test_each_finds_the_next(service: str, path: str, expected: list[str]) -> None:
    found = addresses(read(service, path))
    assert sorted(found) == expected
    for address in found:
        name, _, port = address.partition(":")
        assert f"127.0.0.1:{port}:{port}" in SERVICES[name]["ports"]


def test_every_rule_is_read() -> None:
    (pattern,) = read("prometheus", "/etc/prometheus/prometheus.yaml")["rule_files"]
    folder, _, name = pattern.rpartition("/")
    assert sorted(path.name for path in there("prometheus", folder).glob(name)) == sorted(RULES)


def test_programs_are_given_the_files_that_are_mounted() -> None:
    for service in ("prometheus", "alertmanager"):
        (path,) = (arg.partition("=")[2] for arg in SERVICES[service]["command"] if arg.startswith("--config.file"))
        assert there(service, path).is_file()


def test_grafana_finds_dashboards_and_their_data() -> None:
    (source,) = read("grafana", "/etc/grafana/provisioning/datasources/model-exporter.yaml")["datasources"]
    (provider,) = read("grafana", "/etc/grafana/provisioning/dashboards/model-exporter.yaml")["providers"]
    boards = there("grafana", provider["options"]["path"])
    assert sorted(path.stem for path in boards.glob("*.json")) == sorted(DASHBOARDS)
    home = SERVICES["grafana"]["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"]
    assert there("grafana", home).is_file()
    for path in boards.glob("*.json"):
        (variable,) = (
            each for each in json.loads(path.read_text())["templating"]["list"] if each["type"] == "datasource"
        )
        # Nothing is chosen in the file, so Grafana takes the default of the type.
        assert variable["query"] == source["type"], path
        assert "current" not in variable or not variable["current"].get("value"), path
    assert source["isDefault"] is True
    scrape = read("prometheus", "/etc/prometheus/prometheus.yaml")["global"]["scrape_interval"]
    assert source["jsonData"]["timeInterval"] == scrape


def test_prometheus_and_alertmanager_read_their_configs(need: Callable[[str, str], str], tmp_path: Path) -> None:
    promtool = need("promtool", "apt-get install prometheus")
    amtool = need("amtool", "apt-get install prometheus-alertmanager")
    text = there("prometheus", "/etc/prometheus/prometheus.yaml").read_text()
    config = tmp_path / "prometheus.yaml"
    config.write_text(text.replace("/etc/model-exporter-rules", str(there("prometheus", "/etc/model-exporter-rules"))))
    alertmanager = there("alertmanager", "/etc/alertmanager/alertmanager.yaml")
    for command in ([promtool, "check", "config", config], [amtool, "check-config", alertmanager]):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
    assert "rules found" in subprocess.run(
        [promtool, "check", "config", config], capture_output=True, text=True, check=True
    ).stdout  # fmt: skip
