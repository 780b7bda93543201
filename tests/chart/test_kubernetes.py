"""What is rendered has no key that Kubernetes or the Prometheus operator does not know, and none twice."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.chart.charts import CASES, CHART, ROOT
from tests.chart.conftest import HINT, TOOLS
from tests.support.programs import absent

pytestmark = pytest.mark.real

#: The oldest and the newest Kubernetes that the chart is for, of those the schemas are there for.
VERSIONS = ("1.29.0", "1.35.0")
#: What the chart makes. Of any other kubeconform says that it finds no schema.
KINDS = (
    "clusterrole-rbac-v1",
    "clusterrolebinding-rbac-v1",
    "configmap-v1",
    "deployment-apps-v1",
    "networkpolicy-networking-v1",
    "pod-v1",
    "poddisruptionbudget-policy-v1",
    "role-rbac-v1",
    "rolebinding-rbac-v1",
    "secret-v1",
    "service-v1",
    "serviceaccount-v1",
    "statefulset-apps-v1",
)
Conform = Callable[..., str]


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


def operator(folder: Path) -> None:
    """Write the schema of each kind of the operator's."""
    for file in sorted((TOOLS / "crds").glob("*.yaml")) or absent("the operator's schemas", HINT):
        definition = yaml.load(file.read_text(), Loader)["spec"]
        (version,) = (each for each in definition["versions"] if each["storage"])
        schema = strict(version["schema"]["openAPIV3Schema"])
        schema["properties"]["metadata"] = {"type": "object"}
        group = definition["group"].partition(".")[0]
        name = f"{definition['names']['kind'].lower()}-{group}-{version['name']}.json"
        (folder / name).write_text(json.dumps(schema))


def kubernetes(folder: Path, version: str) -> None:
    """Write the schema of each of Kubernetes' own kinds, with the definitions in it: beside it they are not found."""
    place = f"lib/python*/site-packages/kubernetes_validate/kubernetes-json-schema/v{version}-local-strict"
    (source,) = list((TOOLS / "venv").glob(place)) or [absent("the schemas of Kubernetes", HINT)]
    definitions = json.loads((Path(source) / "_definitions.json").read_text())["$defs"]
    for kind in KINDS:
        schema = json.loads((Path(source) / f"{kind}.json").read_text())
        del schema["$id"]
        text = json.dumps(schema | {"$defs": definitions})
        (folder / f"{kind}.json").write_text(text.replace("/api/_definitions.json#", "#"))


@pytest.fixture(scope="module", params=VERSIONS)
def conform(
    request: pytest.FixtureRequest, tool: Callable[[str], str], tmp_path_factory: pytest.TempPathFactory
) -> Conform:
    """`conform(text)`: what kubeconform has to say of manifests; nothing where all is well."""
    folder = tmp_path_factory.mktemp(f"schemas-{request.param}")
    kubernetes(folder, request.param)
    operator(folder)
    location = f"{folder}/{{{{ .ResourceKind }}}}{{{{ .KindSuffix }}}}.json"

    def run(text: str) -> str:
        command = [tool("kubeconform"), "-strict", "-schema-location", location]
        done = subprocess.run(command, input=text, capture_output=True, text=True, check=False)
        assert bool(done.returncode) == bool(done.stdout), done.stderr
        return done.stdout

    return run


def rendered(helm: str, *options: str) -> str:
    command = [helm, "template", "release", str(CHART), "--kube-version", "1.35.4", *options]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


@pytest.mark.parametrize("case", [None, *CASES], ids=lambda path: path.stem if path else "defaults")
def test_every_key_is_known(conform: Conform, tool: Callable[[str], str], case: Path | None) -> None:
    text = rendered(tool("helm"), *(["--values", str(case)] if case else []))
    assert text.count("\nkind:") >= 3
    assert conform(text) == ""


def test_every_key_of_the_sidecar_is_known(conform: Conform) -> None:
    assert conform((ROOT / "deploy/sidecar.yaml").read_text()) == ""


@pytest.mark.parametrize(
    ("kind", "good", "bad", "said"),
    [
        ("Deployment", "containerPort: ", "containerPrt: ", "containerPrt"),
        ("Deployment", "readOnlyRootFilesystem: true", "readOnlyRootFilesystem: 1", "readOnlyRootFilesystem"),
        ("Service", "targetPort: ", "targetPort: http\n      targetPort: ", "already set in map"),
        ("ServiceMonitor", "port: ", "prot: ", "prot"),
    ],
)
def test_a_mistake_is_seen(
    conform: Conform, tool: Callable[[str], str], kind: str, good: str, bad: str, said: str
) -> None:
    text = rendered(tool("helm"), "--set", "serviceMonitor.enabled=true")
    (part,) = (each for each in text.split("\n---\n") if f"\nkind: {kind}\n" in each)
    assert conform(part) == ""
    assert good in part, part
    assert said in conform(part.replace(good, bad))
