"""The chart at a real API server: `make test-cluster`. Nothing runs what it installs, for there is no kubelet."""

import json
from collections.abc import Callable
from typing import Any

import pytest
import yaml

from tests.chart.charts import CASES, CHART, ROOT, Object, Render, every, one
from tests.chart.conftest import render
from tests.chart.test_chart import NAMES
from tests.real.cluster.plane import Plane, Refused

__all__ = ["render"]

pytestmark = pytest.mark.real

Helm = Callable[..., list[Object]]


def of(case: Any) -> Object:
    return yaml.safe_load(case.read_text()) if case else {}


cases = pytest.mark.parametrize("case", [None, *CASES], ids=lambda path: path.stem if path else "defaults")


@pytest.mark.parametrize("name", NAMES)
@cases
def test_the_server_takes_every_object(plane: Plane, render: Render, case: Any, name: str) -> None:
    """Strictly: a key it does not know is refused."""
    for each in render(of(case), name=name):
        made = plane.ask("POST", plane.place(each, "models"), each, dryRun="All", fieldValidation="Strict")
        assert made["metadata"]["name"] == each["metadata"]["name"]
        assert each["metadata"].get("labels", {}).items() <= made["metadata"].get("labels", {}).items()


def test_the_server_takes_the_sidecar(plane: Plane) -> None:
    for each in yaml.safe_load_all((ROOT / "deploy/sidecar.yaml").read_text()):
        plane.ask("POST", plane.place(each, "models"), each, dryRun="All", fieldValidation="Strict")


def test_a_key_the_server_does_not_know_is_seen(plane: Plane, render: Render) -> None:
    for each in render({"serviceMonitor": {"enabled": True}}):
        each["spec" if "spec" in each else "metadata"]["surprise"] = True
        with pytest.raises(Refused, match=r"unknown field .*surprise"):
            plane.ask("POST", plane.place(each, "models"), each, dryRun="All", fieldValidation="Strict")


@pytest.mark.parametrize("name", ["release", "y", "1", "null"])
@cases
def test_installed_changed_and_gone(plane: Plane, helm: Helm, case: Any, name: str) -> None:
    values = of(case)
    installed = helm("install", name, values)
    try:
        assert len(installed) >= 3
        assert all(plane.has(each, "models") for each in installed)
        before = now(plane, installed)
        config = {**values.get("config", {}), "limits": {"per_host": 9}}
        changed = helm("upgrade", name, values | {"config": config})
        after = now(plane, changed)
        assert after["metadata"]["generation"] == before["metadata"]["generation"], "a config restarts nothing"
    finally:
        helm("uninstall", name)
    assert not [each for each in (*installed, *changed) if plane.has(each, "models")]


def now(plane: Plane, objects: list[Object]) -> Object:
    """The workload as the server has it."""
    (made,) = (each for each in objects if each["kind"] in ("Deployment", "StatefulSet"))
    return plane.ask("GET", f"{plane.place(made, 'models')}/{made['metadata']['name']}")


def test_one_pod_becomes_shards_and_one_again(plane: Plane, helm: Helm) -> None:
    helm("install", "release", {})
    try:
        shards = helm("upgrade", "release", {"kind": "StatefulSet", "replicas": 3})
        assert one(shards, "Service")["spec"]["clusterIP"] == "None"
        again = helm("upgrade", "release", {})
        assert all(plane.has(each, "models") for each in again)
        assert not plane.has(one(shards, "StatefulSet"), "models")
    finally:
        helm("uninstall", "release")


def test_rights_come_with_discovery_and_go_with_it(plane: Plane, helm: Helm) -> None:
    bare = helm("install", "release", {})
    try:
        with_rights = helm("upgrade", "release", {"config": {"discovery": [{"kubernetes": {"role": "pod"}}]}})
        kinds = "ServiceAccount", "ClusterRole", "ClusterRoleBinding"
        given = [found for kind in kinds for found in every(with_rights, kind)]
        assert len(given) == 3
        assert all(plane.has(each, "models") for each in given)
        helm("upgrade", "release", {})
        assert not [each for each in given if plane.has(each, "models")]
        assert all(plane.has(each, "models") for each in bare)
    finally:
        helm("uninstall", "release")


def test_a_config_that_exists_stays_when_the_release_goes(plane: Plane, helm: Helm) -> None:
    secret = {
        "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "exporter-config", "namespace": "models"},
        "stringData": {"models.yml": json.dumps({"targets": []})},
    }  # fmt: skip
    plane.put(secret)
    values = yaml.safe_load((CHART / "ci/secret-values.yaml").read_text())
    assert not every(helm("install", "release", values), "Secret")
    helm("uninstall", "release")
    assert plane.has(secret)
    plane.delete(secret)
