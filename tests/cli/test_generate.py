"""`model-exporter generate`: the files of the package, on standard output or in a directory."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

from exporter.generate import DASHBOARDS

Invoke = Callable[..., Result]
SHIPPED = Path(__file__).parents[2] / "deploy" / "dashboards"


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
    assert result.stderr == f"Error: {tmp_path / 'fleet.json'}: Is a directory\n"
