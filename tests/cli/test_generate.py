"""`model-exporter generate`: the files of the package, on standard output or in a directory."""

import json
import subprocess
from collections.abc import Callable
from itertools import chain
from operator import itemgetter
from pathlib import Path

import pytest
import yaml
from click.testing import Result

from exporter.generate import DASHBOARDS

Invoke = Callable[..., Result]
SHIPPED = Path(__file__).parents[2] / "deploy" / "dashboards"
RULES = SHIPPED.with_name("rules")


@pytest.mark.parametrize("name", DASHBOARDS)
def test_a_dashboard_is_printed_as_it_is_shipped(invoke: Invoke, name: str) -> None:
    result = invoke(["generate", "dashboard", name])
    assert result.exit_code == 0
    assert result.stdout == (SHIPPED / f"{name}.json").read_text()
    assert json.loads(result.stdout)["uid"] == f"model-exporter-{name}"


def test_without_a_name_it_says_which_there_are(invoke: Invoke) -> None:
    lines = invoke(["generate", "dashboard"]).stdout.splitlines()
    assert [line.split()[0] for line in lines] == list(DASHBOARDS)
    assert lines[0] == "fleet      Model exporter / Fleet"


def test_all_are_written_into_a_directory(invoke: Invoke, tmp_path: Path) -> None:
    (tmp_path / "fleet.json").write_text("old")
    result = invoke(["generate", "dashboard", "--directory", tmp_path])
    assert result.exit_code == 0
    assert result.stdout.splitlines() == [str(tmp_path / f"{name}.json") for name in DASHBOARDS]
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {
        path.name: path.read_text() for path in SHIPPED.glob("*.json")
    }


def test_one_is_written_into_a_directory(invoke: Invoke, tmp_path: Path) -> None:
    assert invoke(["generate", "dashboard", "streams", "--directory", tmp_path]).exit_code == 0
    assert [path.name for path in tmp_path.iterdir()] == ["streams.json"]


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["flet"], "'flet' is not one of 'fleet', 'model'"),
        (["--directory", "/nowhere"], "Directory '/nowhere' does not exist"),
        (["fleet", "model"], "unexpected extra argument"),
    ],
)
def test_wrong_usage(invoke: Invoke, args: list[str], said: str) -> None:
    result = invoke(["generate", "dashboard", *args])
    assert result.exit_code == 2
    assert said in " ".join(result.stderr.split())
    assert not result.stdout


def test_what_cannot_be_written_is_told(invoke: Invoke, tmp_path: Path) -> None:
    (tmp_path / "fleet.json").mkdir()
    result = invoke(["generate", "dashboard", "--directory", tmp_path])
    assert result.exit_code == 1
    assert result.stderr == f"Error: {tmp_path / 'fleet.json'} cannot be written: Is a directory\n"


def test_alerts_are_those_that_are_shipped(invoke: Invoke, tmp_path: Path) -> None:
    printed = invoke(["generate", "alerts"]).stdout
    shipped = [yaml.safe_load(path.read_text())["groups"] for path in sorted(RULES.glob("*.rules.yaml"))]
    groups = yaml.safe_load(printed)["groups"]
    assert sorted(groups, key=itemgetter("name")) == sorted(chain(*shipped), key=itemgetter("name"))
    names = [group["name"] for group in groups]
    assert len(set(names)) == len(names) > len(shipped) - 1
    for path in RULES.glob("*.rules.yaml"):
        assert path.read_text().partition("groups:\n")[2] in printed, "comments are kept"


def test_a_scrape_config_is_that_of_the_readme(invoke: Invoke) -> None:
    (job,) = yaml.safe_load(invoke(["generate", "scrape-config"]).stdout)["scrape_configs"]
    readme = (Path(__file__).parents[2] / "README.md").read_text()
    shown = yaml.safe_load(readme.split("## Prometheus\n\n```yaml\n")[1].split("```")[0])
    assert shown["scrape_configs"] == [job]


def test_a_scrape_config_has_a_job_for_each_module(
    invoke: Invoke, tmp_path: Path, need: Callable[[str, str], str]
) -> None:
    config = tmp_path / "config.yml"
    config.write_text('modules: {"a\'b": {}, chat: {protocol: openai}}\ntargets: []\non_demand: {allow: ["*"]}\n')
    args = ["--address", "h:1", "--route-prefix", "/deep/", "--config", config]
    printed = invoke(["generate", "scrape-config", *args]).stdout
    own, first, second = yaml.safe_load(printed)["scrape_configs"]
    assert (own["metrics_path"], own["static_configs"]) == ("/deep/metrics", [{"targets": ["h:1"]}])
    assert [job["params"]["module"] for job in (first, second)] == [["a'b"], ["chat"]]
    assert first["metrics_path"] == "/deep/probe"
    assert first["relabel_configs"][-1] == {"target_label": "__address__", "replacement": "h:1"}
    path = tmp_path / "prometheus.yml"
    path.write_text(printed)
    promtool = need("promtool", "apt-get install prometheus")
    subprocess.run([promtool, "check", "config", path], check=True, capture_output=True)


def test_a_wrong_config_is_told(invoke: Invoke, tmp_path: Path) -> None:
    result = invoke(["generate", "scrape-config", "--config", tmp_path / "none.yml"])
    assert result.exit_code == 2
    assert result.stderr == f"{tmp_path}/none.yml:1:1: cannot be opened: No such file or directory\n"
