"""The chart's own test suites, by helm-unittest: `deploy/helm/model-exporter/tests`."""

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.chart.charts import CHART

pytestmark = pytest.mark.real


@pytest.fixture
def chart(tmp_path: Path) -> Path:
    """A copy: beside its suites helm-unittest makes a folder."""
    return Path(shutil.copytree(CHART, tmp_path / CHART.name))


def test_every_suite_passes(tool: Callable[[str], str], chart: Path) -> None:
    done = run(tool, chart)
    assert done.returncode == 0, done.stdout
    suites = len(list((chart / "tests").glob("*_test.yaml")))
    assert f"Test Suites: {suites} passed, {suites} total" in done.stdout


@pytest.mark.parametrize(
    ("file", "good", "bad"),
    [
        ("values.yaml", "readOnlyRootFilesystem: true", "readOnlyRootFilesystem: false"),
        ("templates/service.yaml", "model-exporter.selectorLabels", "model-exporter.testLabels"),
        ("templates/networkpolicy.yaml", "kubernetes.io/metadata.name: monitoring", "name: monitoring"),
    ],
)
def test_a_mistake_is_seen(tool: Callable[[str], str], chart: Path, file: str, good: str, bad: str) -> None:
    text = (chart / file).read_text()
    assert good in text
    (chart / file).write_text(text.replace(good, bad))
    assert run(tool, chart).returncode != 0


def run(tool: Callable[[str], str], chart: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([tool("helm-unittest"), str(chart)], capture_output=True, text=True, check=False)
