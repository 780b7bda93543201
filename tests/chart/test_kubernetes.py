"""What is rendered has no key that Kubernetes or the Prometheus operator does not know."""

import subprocess
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from tests.chart.charts import CASES, ROOT, Object, Render
from tests.chart.conftest import HINT, TOOLS
from tests.support.programs import absent

pytestmark = pytest.mark.real

OPERATOR = "monitoring.coreos.com/"


class Loader(yaml.SafeLoader):
    """For the operator's own files, in which a plain `=` stands for itself."""


Loader.add_constructor("tag:yaml.org,2002:value", lambda loader, node: node.value)


def strict(schema: Any) -> Any:
    """The schema with every key refused that it does not name."""
    if isinstance(schema, list):
        return [strict(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    changed = {key: strict(value) for key, value in schema.items()}
    open_ended = changed.get("x-kubernetes-preserve-unknown-fields") or "additionalProperties" in changed
    if isinstance(changed.get("properties"), dict) and changed.get("type") == "object" and not open_ended:
        changed["additionalProperties"] = False
    return changed


@pytest.fixture(scope="module")
def operator() -> dict[str, Any]:
    """A validator for each kind of the operator's."""
    files = sorted((TOOLS / "crds").glob("*.yaml")) or absent("the operator's schemas", HINT)
    found = {}
    for file in files:
        definition = yaml.load(file.read_text(), Loader)["spec"]
        (version,) = (each for each in definition["versions"] if each["storage"])
        schema = strict(version["schema"]["openAPIV3Schema"])
        schema["properties"]["metadata"] = {"type": "object"}
        found[definition["names"]["kind"]] = jsonschema.Draft7Validator(schema)
    return found


@pytest.mark.parametrize("case", [None, *CASES], ids=lambda path: path.stem if path else "defaults")
def test_kubernetes_knows_every_key(render: Render, tmp_path: Path, case: Path | None) -> None:
    objects = render(yaml.safe_load(case.read_text()) if case else {})
    known(tmp_path, [each for each in objects if not each["apiVersion"].startswith(OPERATOR)])


def test_kubernetes_knows_every_key_of_the_sidecar(tmp_path: Path) -> None:
    known(tmp_path, list(yaml.safe_load_all((ROOT / "deploy/sidecar.yaml").read_text())))


def known(folder: Path, objects: list[Object]) -> None:
    python = TOOLS / "venv/bin/python"
    if not python.exists():
        absent("kubernetes-validate", HINT)
    assert objects
    (folder / "objects.yaml").write_text(yaml.safe_dump_all(objects))
    command = [str(python), "-m", "kubernetes_validate", "--strict", "-k", "1.35.0", str(folder / "objects.yaml")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("case", CASES, ids=lambda path: path.stem)
def test_the_operator_knows_every_key(render: Render, operator: dict[str, Any], case: Path) -> None:
    for each in render(yaml.safe_load(case.read_text())):
        if each["apiVersion"].startswith(OPERATOR):
            assert [error.message for error in operator[each["kind"]].iter_errors(each)] == []


def test_a_key_it_does_not_know_is_seen(render: Render, operator: dict[str, Any]) -> None:
    (monitor,) = (each for each in render({"serviceMonitor": {"enabled": True}}) if each["kind"] == "ServiceMonitor")
    monitor["spec"]["endpoints"][0]["intervall"] = "1m"
    (error,) = operator["ServiceMonitor"].iter_errors(monitor)
    assert "'intervall' was unexpected" in error.message
