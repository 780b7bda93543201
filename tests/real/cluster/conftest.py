"""One control plane for all tests, the definitions of objects that it does not have itself, and Helm as its user."""

import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml

from tests.chart.charts import CHART
from tests.chart.conftest import TOOLS, tool
from tests.chart.test_kubernetes import Loader
from tests.real.cluster.plane import Object, Plane
from tests.support.programs import absent

__all__ = ["tool"]

HERE = Path(__file__).parent
HINT = "sh tests/real/servers/install.sh cluster, or name kube-apiserver and etcd by $KUBE_APISERVER and $ETCD"
SERVERS = TOOLS.parent / "cluster"


def program(name: str) -> str:
    """By its variable, as install.sh made it, or wherever programs are."""
    given = os.environ.get(name.upper().replace("-", "_"))
    return given or shutil.which(name, path=str(SERVERS)) or shutil.which(name) or absent(name, HINT)


@pytest.fixture(scope="session")
def plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plane]:
    etcd, server = program("etcd"), program("kube-apiserver")
    with Plane(tmp_path_factory.mktemp("plane"), etcd, server) as running:
        for file in (HERE / "inferenceservices.yaml", *sorted((TOOLS / "crds").glob("*.yaml"))):
            running.define(yaml.load(file.read_text(), Loader))
        for name in ("models", "jobs"):
            running.namespace(name)
        yield running


@pytest.fixture
def helm(plane: Plane, tool: Callable[[str], str], tmp_path: Path) -> Callable[..., list[Object]]:
    """`helm("install", "name", values)`: what Helm was told, as the administrator; the objects of the release."""
    program = tool("helm")
    kubeconfig = plane.kubeconfig(tmp_path / "admin")

    def run(verb: str, name: str, values: Object | None = None, namespace: str = "models") -> list[Object]:
        command = [program, verb, name, "--kubeconfig", kubeconfig, "--namespace", namespace]
        if verb != "uninstall":
            file = tmp_path / f"{name}.json"
            file.write_text(json.dumps(values or {}))
            command[3:3] = [str(CHART)]
            command += ["--values", str(file), "--output", "json"]
            command += ["--reset-values"] if verb == "upgrade" else []  # without any, those before would stay
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
        assert done.returncode == 0, done.stderr
        if verb == "uninstall":
            return []
        return [each for each in yaml.safe_load_all(json.loads(done.stdout)["manifest"]) if each]

    return run
