"""The charts as Helm renders them."""

import json
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from tests.chart.charts import CHART, ROOT, Object, Refused, Render

TOOLS = Path(os.environ.get("MODEL_EXPORTER_REAL", ROOT / ".real")).absolute() / "helm"
HINT = "sh tests/real/servers/install.sh helm"


@pytest.fixture(scope="session")
def tool(need: Callable[[str, str], str]) -> Callable[[str], str]:
    """`tool("helm")`: its path, in the folder that install.sh made or wherever programs are."""
    return lambda name: shutil.which(name, path=str(TOOLS / "bin")) or need(name, HINT)


@pytest.fixture
def render(tool: Callable[[str], str], tmp_path: Path) -> Render:
    """`render({"kind": "StatefulSet"}, name="y")`: the objects, as Kubernetes would get them."""
    helm = tool("helm")

    def run(
        values: Object | None = None, name: str = "release", chart: Path = CHART, more: tuple[str, ...] = ()
    ) -> list[Object]:
        file = tmp_path / "values.yaml"
        file.write_text(json.dumps(values or {}))  # PyYAML leaves y and 1e3 bare
        command = [helm, "template", name, str(chart), "--values", str(file), "--namespace", "models"]
        command += ["--kube-version", "1.35.4", *more]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise Refused(done.stderr)
        return [found for found in yaml.safe_load_all(done.stdout) if found]

    return run
