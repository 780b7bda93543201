"""The named templates of the sidecar, used by a model's own chart."""

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.chart.charts import SIDECAR, Object, Render, one
from tests.chart.test_files import good_neighbour

pytestmark = pytest.mark.real

CONSUMER = Path(__file__).with_name("consumer")


@pytest.fixture
def consumer(tmp_path: Path) -> Path:
    """A chart of a model that depends on the library, which is where `helm dependency build` would put it."""
    chart = tmp_path / "consumer"
    shutil.copytree(CONSUMER, chart)
    shutil.copytree(SIDECAR, chart / "charts" / SIDECAR.name)
    return chart


@pytest.fixture
def beside(render: Render, consumer: Path) -> Callable[[Object], tuple[Any, list[Object]]]:
    """The model's pod and all objects, with these values of the sidecar."""

    def run(values: Object, name: str = "assistant") -> tuple[Any, list[Object]]:
        objects = render({"model-exporter-sidecar": values}, name, consumer)
        return one(objects, "Deployment")["spec"]["template"]["spec"], objects

    return run


def test_lint_has_nothing_to_say(tool: Callable[[str], str], consumer: Path) -> None:
    for chart in (SIDECAR, consumer):
        done = subprocess.run(
            [tool("helm"), "lint", "--strict", str(chart)], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("name", ["assistant", "y", "1", "null"])
def test_it_is_a_good_neighbour(beside: Any, name: str) -> None:
    pod, objects = beside({}, name)
    config = one(objects, "ConfigMap")
    good_neighbour(pod, yaml.safe_load(config["data"]["config.yaml"]))
    assert pod["volumes"] == [{"name": "model-exporter", "configMap": {"name": config["metadata"]["name"]}}]
    assert config["metadata"]["labels"]["app.kubernetes.io/instance"] == name


def test_the_name_of_the_target_is_encoded(beside: Any) -> None:
    pod, _ = beside({"target": "a b/c", "containerPort": 9999})
    asked = pod["containers"][0]["readinessProbe"]["httpGet"]
    assert asked == {"path": "/ready/a%20b%2Fc", "port": 9999}
    assert pod["initContainers"][0]["ports"][0]["containerPort"] == 9999
    assert "--listen=:9999" in pod["initContainers"][0]["args"]


def test_a_config_that_exists_is_used(beside: Any) -> None:
    pod, objects = beside({"existingConfigMap": "mine"})
    assert [each["kind"] for each in objects] == ["Deployment"]
    assert pod["volumes"][0]["configMap"]["name"] == "mine"


def test_its_image(beside: Any) -> None:
    pod, _ = beside({"image": {"repository": "r.example/x", "tag": "2"}})
    assert pod["initContainers"][0]["image"] == "r.example/x:2"
    pod, _ = beside({"image": {"repository": "r.example/x", "digest": "sha256:0"}})
    assert pod["initContainers"][0]["image"] == "r.example/x@sha256:0"
