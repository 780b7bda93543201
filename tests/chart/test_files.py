"""What can be said of the charts and the sidecar without Helm: copies, versions, the schema of values."""

import json
from typing import Any

import jsonschema
import pytest
import yaml
from click.testing import CliRunner

from dashboards import DASHBOARDS
from exporter import __version__
from exporter.cli import main
from exporter.generate import RULES
from exporter.generate.values import values_schema
from tests.chart.charts import CASES, CHART, ROOT, SIDECAR

SCHEMA = json.loads((CHART / "values.schema.json").read_text())
VALUES = yaml.safe_load((CHART / "values.yaml").read_text())
CHECKER = jsonschema.Draft7Validator(SCHEMA)


def errors(values: Any) -> list[str]:
    return [error.message for error in CHECKER.iter_errors(values)]


def merged(base: Any, over: Any) -> Any:
    """As Helm puts values over values."""
    if isinstance(base, dict) and isinstance(over, dict):
        return base | {key: merged(base.get(key), value) for key, value in over.items()}
    return over


def test_the_chart_has_exactly_the_shipped_rules_and_dashboards() -> None:
    """Their contents are compared by `python -m exporter.reference --check` and `python -m dashboards --check`."""
    assert {path.name for path in (CHART / "files/rules").iterdir()} == set(RULES)
    assert {path.name for path in (CHART / "files/dashboards").iterdir()} == {f"{name}.json" for name in DASHBOARDS}
    for name in RULES:
        assert (CHART / "files/rules" / name).read_text() == (ROOT / "deploy/rules" / name).read_text()


def test_everything_is_of_one_version() -> None:
    for chart in (CHART, SIDECAR):
        assert yaml.safe_load((chart / "Chart.yaml").read_text())["appVersion"] == __version__
    assert yaml.safe_load((SIDECAR / "values.yaml").read_text())["image"]["tag"] == __version__
    assert f"image: model-exporter:{__version__}\n" in (ROOT / "deploy/sidecar.yaml").read_text()


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_values_fit_the_schema(path: Any) -> None:
    assert errors(VALUES) == []
    assert errors(merged(VALUES, yaml.safe_load(path.read_text()))) == []


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"replica": 2}, "'replica' was unexpected"),
        ({"image": {"tags": "1"}}, "'tags' was unexpected"),
        ({"kind": "DaemonSet"}, "'DaemonSet' is not one of"),
        ({"config": {"target": []}}, "'target' was unexpected"),
        ({"commonLabels": {"a": 1}}, "1 is not of type 'string'"),
        ({"reloadInterval": 10}, "10 is not of type 'string'"),
        ({"reloadInterval": "10"}, "does not match"),
        ({"serviceMonitor": {"interval": "30"}}, "does not match"),
        ({"containerPort": 0}, "less than the minimum"),
        ({"rbac": {"resources": ["secrets"]}}, "'secrets' is not one of"),
        ({"rbac": {"discovery": "auto"}}, "is not of type"),
        ({"extraSecretMounts": [{"name": "a", "secretName": "b"}]}, "'mountPath' is a required property"),
    ],
)
def test_a_mistake_in_values_is_refused(values: Any, said: str) -> None:
    (message,) = errors(merged(VALUES, values))
    assert said in message


@pytest.mark.parametrize(
    "values", [{"enabled": True}, {"global": {"storageClass": "fast"}}, {"rbac": {"discovery": None}}]
)
def test_what_a_chart_around_it_sets_is_allowed(values: Any) -> None:
    assert errors(merged(VALUES, values)) == []


#: A small values.yaml.
SMALL = """\
# -- What is kept.
#    And why.
keep: 1
global:
  # -- Where from.
  registry: ""
plain:
  # -- More.
  labels: {}
# -- It.
config: {}
"""


def test_the_schema_describes_every_key() -> None:
    found = values_schema(SMALL, ["targets"])["properties"]
    assert found["keep"] == {"description": "What is kept. And why.", "type": "integer"}
    assert found["plain"]["properties"]["labels"] == {
        "description": "More.",
        "type": "object",
        "additionalProperties": {"type": "string"},
    }
    assert found["plain"]["additionalProperties"] is False
    assert found["config"]["properties"] == {"targets": {}}
    with pytest.raises(ValueError, match="config: no description"):
        values_schema(SMALL.replace("# -- It.\n", ""), [])
    with pytest.raises(ValueError, match="keep: its default tells no type"):
        values_schema(SMALL.replace("keep: 1", "keep: null"), [])


def test_the_readme_names_every_key() -> None:
    """helm-docs writes it; that it is in step with the comments is tested where helm-docs is."""
    readme = (CHART / "README.md").read_text()

    def named(values: dict[str, Any], prefix: str = "") -> None:
        for key, value in values.items():
            path = f"{prefix}{key}"
            whole = f"| {path} |" in readme
            assert whole or (isinstance(value, dict) and value), path
            if not whole:
                named(value, f"{path}.")

    named(VALUES)


def sidecar() -> tuple[Any, Any]:
    config, deployment = yaml.safe_load_all((ROOT / "deploy/sidecar.yaml").read_text())
    return config, deployment["spec"]["template"]["spec"]


def test_the_config_of_the_sidecar_is_good(tmp_path: Any) -> None:
    config, _ = sidecar()
    file = tmp_path / "config.yaml"
    file.write_text(config["data"]["config.yaml"])
    result = CliRunner().invoke(main, ["check", str(file)])
    assert result.exit_code == 0, result.output


def good_neighbour(pod: Any, config: Any) -> None:
    """What makes a good neighbour of a model."""
    (init,) = pod["initContainers"]
    assert init["restartPolicy"] == "Always"
    assert not {"startupProbe", "readinessProbe"} & set(init)
    assert init["livenessProbe"]["httpGet"]["path"] == "/-/healthy"
    assert init["securityContext"]["runAsNonRoot"]
    assert init["securityContext"]["runAsUser"] > 0
    assert init["securityContext"]["readOnlyRootFilesystem"]
    assert init["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    assert init["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert all("subPath" not in mount for mount in init["volumeMounts"])
    (model,) = pod["containers"]
    asked = model["readinessProbe"]["httpGet"]
    assert asked["port"] == init["ports"][0]["containerPort"]
    names = [target["name"] for target in config["targets"]]
    assert asked["path"] in [f"/ready/{name}" for name in names]
    assert {mount["name"] for mount in init["volumeMounts"]} <= {volume["name"] for volume in pod["volumes"]}


def test_the_sidecar_is_a_good_neighbour() -> None:
    config, pod = sidecar()
    good_neighbour(pod, yaml.safe_load(config["data"]["config.yaml"]))
    (volume,) = pod["volumes"]
    assert volume["configMap"]["name"] == config["metadata"]["name"]
