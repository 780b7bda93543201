"""`model-exporter evaluate`, against a small model server: exit codes, and what a person or a pipeline reads."""

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
import yaml

from exporter.cli.evaluation_report import running
from exporter.evaluation import Progress
from exporter.model.score import Outcome
from tests.cli.conftest import Invoke
from tests.support.ports import free_port
from tests.support.predictor import Model

pytestmark = pytest.mark.slow


@pytest.fixture
def model() -> Iterator[Model]:
    model = Model()
    yield model
    model.end()


@pytest.fixture
def config(model: Model, tmp_path: Path) -> Path:
    rows = [
        {"id": n, "input": {"inputs": [n]}, "expected": n % 2, "tags": ["low" if n < 20 else "high"]} for n in range(40)
    ]
    (tmp_path / "golden.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return write(tmp_path, model, {"golden": {}})


def write(folder: Path, model: Model, probes: dict[str, Any]) -> Path:
    common = {"kind": "evaluate", "dataset": {"file": "golden.jsonl"}, "scorer": "accuracy", "at_least": 0.9,
              "in_flight": 2, "retry": {"attempts": 2, "backoff": "1ms"}}  # fmt: skip
    made = {name: {**common, **more} for name, more in probes.items()}
    path = folder / "models.yml"
    target = {"name": "odd", "url": model.url, "protocol": "mlflow", "probes": {"health": {}, **made}}
    path.write_text(yaml.safe_dump({"targets": [target]}))
    return path


def evaluate(invoke: Invoke, config: Path, *more: Any) -> Any:
    return invoke(["evaluate", "--config", config, "--target", "odd", *more])


def test_a_good_score(invoke: Invoke, config: Path, model: Model) -> None:
    result = evaluate(invoke, config)
    assert result.exit_code == 0, result.output
    assert Counter(model.asked) == dict.fromkeys(range(40), 1)
    lines = result.stdout.splitlines()
    assert lines[0] == "good: accuracy 1 (95 % interval 0.9124 to 1), at least 0.9 is asked for"
    assert "  target    odd, probe golden" in lines
    assert "  examples  40: 40 scored" in lines
    assert "low         20      20         1" in lines
    assert "EXPECTED" not in result.stdout
    assert result.stderr == ""


def test_a_score_below_the_threshold(invoke: Invoke, config: Path, model: Model, tmp_path: Path) -> None:
    model.wrong = 25
    result = evaluate(invoke, config, "--junit", tmp_path / "report.xml")
    assert result.exit_code == 1
    assert result.stdout.startswith("not good: accuracy 0.375 (95 % interval 0.2422 to 0.5297), at least 0.9")
    assert "0        0      0         7" in result.stdout
    assert "and 5 more: --json shows all" in result.stdout
    suites = ElementTree.parse(tmp_path / "report.xml").getroot()
    assert suites.attrib == {"tests": "41", "failures": "1", "errors": "0", "skipped": "25"}
    first, *examples = suites.findall("testsuite/testcase")
    assert first.attrib["name"] == "accuracy"
    assert "wholly below 0.9" in first.find("failure").attrib["message"]
    assert examples[0].find("skipped").attrib["message"] == "scored 0; expected 0, answered 7"
    assert examples[30].find("skipped") is None


def test_a_run_that_says_nothing(invoke: Invoke, config: Path, model: Model, tmp_path: Path) -> None:
    model.broken = 10
    result = evaluate(invoke, config, "--junit", tmp_path / "report.xml", "--save-baseline", tmp_path / "base.json")
    assert result.exit_code == 1
    assert result.stdout.startswith(
        "inconclusive: 30 of 40 examples were answered, and 0.95 of them have to be: http_status 10;"
    )
    assert "40: 30 scored, 10 failed" in result.stdout
    assert "0        failed  0         http_status: HTTP 500" in result.stdout
    assert model.asked.count(3) == 2
    assert not (tmp_path / "base.json").exists()
    suites = ElementTree.parse(tmp_path / "report.xml").getroot()
    assert suites.attrib == {"tests": "41", "failures": "0", "errors": "1", "skipped": "10"}


def test_one_object_with_everything(invoke: Invoke, config: Path, model: Model) -> None:
    model.wrong = 1
    result = evaluate(invoke, config, "--json")
    assert result.exit_code == 0
    found = json.loads(result.stdout)
    assert (found["target"], found["evaluation"], found["status"], found["score"]) == (
        "odd",
        "golden",
        "healthy",
        0.975,
    )
    assert found["outcomes"] == {"scored": 40, "unreadable": 0, "failed": 0, "not_asked": 0}
    assert [(one["id"], one["score"], one["answer"]) for one in found["examples"][:2]] == [
        ("0", 0.0, "7"),
        ("1", 1.0, "1"),
    ]


def test_a_baseline_is_kept_and_held_against(invoke: Invoke, config: Path, model: Model, tmp_path: Path) -> None:
    path = write(tmp_path, model, {"golden": {"at_least": None, "drop": 0.05, "baseline": "base.json"}})
    text = path.read_text().replace("        at_least: null\n", "")
    path.write_text(text)
    assert evaluate(invoke, path).exit_code == 1  # there is none yet
    assert evaluate(invoke, path, "--save-baseline", tmp_path / "base.json").exit_code == 0
    kept = json.loads((tmp_path / "base.json").read_text())
    assert (kept["metric"], kept["score"], kept["target"], kept["coverage"]) == ("accuracy", 1.0, "odd", 1.0)
    result = evaluate(invoke, path)
    assert result.exit_code == 0
    assert "at least 0.95 is asked for" in result.stdout
    model.wrong = 20
    assert evaluate(invoke, path).exit_code == 1


def test_every_bad_row_is_told(invoke: Invoke, config: Path, model: Model, tmp_path: Path) -> None:
    golden = tmp_path / "golden.jsonl"
    golden.write_text('{"id": 1}\n{"id": 2, "input": {"inptus": [1]}, "expected": 1}\n')
    wanted = [
        f"{golden}:1: input: required key is missing",
        f"{golden}:1: expected: required key is missing",
        f"{golden}:2: input.inptus: unknown field; did you mean inputs?",
    ]
    result = evaluate(invoke, config)
    assert result.exit_code == 2
    assert result.stderr.splitlines() == [*wanted, "not good: 3 problems in the data set"]
    assert model.asked == []
    result = invoke(["check", config])
    assert result.exit_code == 2
    assert result.stdout.splitlines() == wanted


def test_check_counts_what_it_costs(invoke: Invoke, config: Path) -> None:
    result = invoke(["check", "--cost", config])
    assert result.exit_code == 0
    assert "odd     golden         4           0           0           160" in result.stdout
    assert result.stdout.endswith("good: 1 target, 2 probes\n")


@pytest.mark.parametrize(
    ("probes", "args", "words"),
    [
        ({"golden": {}}, ["--target", "old"], "No target is called 'old'; did you mean odd?"),
        ({"golden": {}}, ["--target", "odd", "--probe", "silver"], "has no evaluate probe 'silver'; allowed: golden"),
        ({"golden": {}}, ["--target", "odd", "--probe", "health"], "has no evaluate probe 'health'; allowed: golden"),
        ({"a": {}, "b": {}}, ["--target", "odd"], "several evaluate probes; --probe says which: a, b"),
        ({}, ["--target", "odd"], "has no probe of the kind evaluate"),
        ({"golden": {}}, ["--target", "odd", "--junit", "/nowhere/report.xml"], "cannot be written"),
        ({"golden": {"scorer": "acuracy"}}, ["--target", "odd"], "did you mean accuracy?"),
    ],
)
def test_wrong_usage(
    invoke: Invoke, config: Path, model: Model, tmp_path: Path, probes: dict[str, Any], args: list[str], words: str
) -> None:
    result = invoke(["evaluate", "--config", write(tmp_path, model, probes), *args])
    assert result.exit_code == 2
    assert words in " ".join(result.stderr.split())


def test_a_server_that_is_not_there(invoke: Invoke, config: Path) -> None:
    config.write_text(config.read_text().replace("url: http", f"url: http://127.0.0.1:{free_port()} # http"))
    result = evaluate(invoke, config)
    assert result.exit_code == 1
    assert "0 of 40 examples were answered" in result.stdout
    assert "connect_refused 40" in result.stdout


def test_the_bar() -> None:
    outcomes = Counter({Outcome.SCORED: 70, Outcome.FAILED: 4, Outcome.UNREADABLE: 1, Outcome.NOT_ASKED: 75})
    assert running(Progress(outcomes, 150)) == f"{'█' * 15}{'░' * 15} 75 of 150, 4 failed, 1 unreadable"
    assert running(Progress(Counter({Outcome.NOT_ASKED: 3}), 3)) == f"{'░' * 30} 0 of 3"
