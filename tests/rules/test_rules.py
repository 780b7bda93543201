"""The alert rules: promtool's verdict, and that rules, metrics, tests and runbooks know each other."""

import os
import re
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml

from exporter.ledger import DURATION_BOUNDS, LAG_BOUNDS, TTFT_BOUNDS
from exporter.metrics.catalog import FAMILIES, TOKEN_TYPES
from exporter.metrics.family import Family, Rows
from exporter.metrics.own import MISSING, OWN, OwnFamily
from exporter.metrics.replicas import REPLICA_FAMILIES
from exporter.metrics.text import Type
from exporter.metrics.training import TRAINING_FAMILIES
from exporter.model import stream, training
from exporter.model.state import State

ROOT = Path(__file__).parents[2]
RULES = sorted((ROOT / "deploy/rules").glob("*.rules.yaml"))
TESTS = sorted((ROOT / "tests/rules").glob("*.test.yaml"))
RUNBOOKS = ROOT / "docs/runbooks"
BASE = "https://github.com/model-exporter/model-exporter/blob/main/docs/runbooks/"
HINT = "apt-get install prometheus"

GROUPS = [group for file in RULES for group in yaml.safe_load(file.read_text())["groups"]]
ALERTS = [rule for group in GROUPS for rule in group["rules"] if "alert" in rule]
RECORDS = [rule for group in GROUPS for rule in group["rules"] if "record" in rule]
EXPRESSIONS = [rule["expr"] for rule in (*ALERTS, *RECORDS)]

QUIET = yaml.safe_load((ROOT / "tests/rules/quiet.yaml").read_text())

#: Label values that are of closed sets. Both kinds of outcomes are one label.
VALUES = {
    "state": {str(state) for state in State},
    "outcome": {str(outcome) for outcome in (*stream.Outcome, *training.Outcome)},
    "reason": {"asleep", "budget", "maintenance"},
    "token_type": set(TOKEN_TYPES),
    "metric": {"mae", "rmse"},
    "key": {"model_version", "server_version", "model_id", "served_name", "system_fingerprint"},
    "le": {str(bound) for bound in (*DURATION_BOUNDS, *LAG_BOUNDS)} & {str(bound) for bound in TTFT_BOUNDS},
}


def title(rule: dict) -> str:
    return ":".join([rule["alert"], *(rule["labels"][key] for key in ("sign", "window") if key in rule["labels"])])


def labels_of(family: Family | OwnFamily) -> set[str]:
    labels = {"job", "instance", *family.labels}
    if isinstance(family, OwnFamily):
        return labels
    if family.rows is Rows.TRAINING:
        return labels | {"training"}
    labels |= {"target", "model"}
    return labels if family.rows in (Rows.TARGET, Rows.REPLICAS) else labels | {"probe"}


def series() -> Iterator[tuple[str, set[str]]]:
    """Names of series that are written, and their labels."""
    yield "up", {"job", "instance"}
    for family in (*FAMILIES, *REPLICA_FAMILIES, *TRAINING_FAMILIES, *OWN, MISSING):
        labels = labels_of(family)
        yield family.name, labels
        if family.type is Type.HISTOGRAM:
            yield f"{family.name}_bucket", labels | {"le"}
            yield f"{family.name}_sum", labels
            yield f"{family.name}_count", labels


WRITTEN = dict(series())
#: Most of the time of promtool is that of its collector, and of threads that wait for each other.
CHEAP = {"GOMAXPROCS": "1", "GOGC": "400"}


def run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ, **CHEAP})
    assert done.returncode == 0, done.stdout + done.stderr


# --- promtool -----------------------------------------------------------------------------------------------------


def test_promtool_accepts_the_rules(need: Callable[[str, str], str]) -> None:
    run(need("promtool", HINT), "check", "rules", "--lint=all", "--lint-fatal", *map(str, RULES))


@pytest.mark.slow
@pytest.mark.parametrize("file", TESTS, ids=lambda file: file.name.removesuffix(".test.yaml"))
def test_promtool_unit_tests(need: Callable[[str, str], str], file: Path) -> None:
    run(need("promtool", HINT), "test", "rules", str(file))


@pytest.mark.slow
@pytest.mark.parametrize("scenario", QUIET["scenarios"], ids=lambda scenario: scenario["name"])
def test_every_alert_stays_silent(need: Callable[[str, str], str], scenario: dict, tmp_path: Path) -> None:
    courses = QUIET["calm"] | scenario.get("series", {})
    unknown = {name for name in courses if re.split("[{]", name)[0] not in WRITTEN}
    assert not unknown
    silent = {alert["alert"] for alert in ALERTS} - set(scenario.get("but", ()))
    test = {
        "name": scenario["name"],
        "interval": "1m",
        "input_series": [
            {"series": scraped(name), "values": values} for name, values in courses.items()
        ],
        "alert_rule_test": [
            {"eval_time": f"{minute}m", "alertname": name, "exp_alerts": []}
            for name in sorted(silent)
            for minute in range(20, 120, 3)  # after what is new at the start of all series
        ],
    }  # fmt: skip
    file = tmp_path / "quiet.test.yaml"
    file.write_text(yaml.safe_dump({"rule_files": list(map(str, RULES)), "evaluation_interval": "1m", "tests": [test]}))
    run(need("promtool", HINT), "test", "rules", str(file))


def scraped(name: str) -> str:
    """With the labels that Prometheus adds."""
    name, _, labels = name.partition("{")
    return f'{name}{{job="x", instance="e"{", " if labels else ""}{labels or "}"}'


def test_every_alert_is_tested_firing_and_silent() -> None:
    tests = [test for file in TESTS for test in yaml.safe_load(file.read_text())["tests"]]
    cases = [case for test in tests for case in test.get("alert_rule_test", ())]
    for alert in ALERTS:
        mine = [case["exp_alerts"] for case in cases if case["alertname"] == alert["alert"]]
        assert [] in mine, f"{alert['alert']} is never shown silent"
        fired = [found for case in mine for found in case if alert["labels"].items() <= found["exp_labels"].items()]
        assert fired, f"{title(alert)} is never shown firing"
        for found in fired:
            notes = found["exp_annotations"]
            assert notes.keys() == alert["annotations"].keys()
            for text in notes.values():
                assert not re.search(r"[{]{2}|<no value>|error expanding| {2}", text), text


# --- what they say ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("alert", ALERTS, ids=title)
def test_alert_says_what_to_do(alert: dict) -> None:
    assert alert["labels"]["severity"] in ("critical", "warning")
    assert alert["for"]
    notes = alert["annotations"]
    assert notes.keys() == {"summary", "description", "runbook_url"}
    assert notes["runbook_url"].startswith(BASE)
    page = RUNBOOKS / notes["runbook_url"].removeprefix(BASE)
    text = page.read_text()
    assert re.search(rf"\b{alert['alert']}\b", text.splitlines()[0])
    for key in ("sign", "window"):
        if key in alert["labels"]:
            assert f"`{key}" in text
            assert key == "window" or alert["labels"][key] in text


def test_alerts_of_one_name_are_told_apart() -> None:
    names = [title(alert) for alert in ALERTS]
    assert len(names) == len(set(names))


def test_no_runbook_without_an_alert() -> None:
    linked = {alert["annotations"]["runbook_url"].removeprefix(BASE) for alert in ALERTS}
    assert linked == {page.name for page in RUNBOOKS.glob("*.md")}


def test_runbooks_link_to_what_is_there() -> None:
    for page in RUNBOOKS.glob("*.md"):
        text = page.read_text()
        for path, anchor in re.findall(r"\]\(([^)#]+)(?:#([^)]+))?\)", text):
            heads = re.findall(r"(?m)^#+ (.*)$", (RUNBOOKS / path).read_text())
            anchors = {re.sub(r"[^\w -]", "", head.lower()).replace(" ", "-") for head in heads}
            assert not anchor or anchor in anchors, f"{page.name}: {path}#{anchor}"
        for other in re.findall(r"\b(?:Model|Training)[A-Z]\w+\b", text):
            if other not in ("ModelErrorBudgetBurn", "ModelClient"):
                assert other in {alert["alert"] for alert in ALERTS}, f"{page.name}: {other}"


# --- what they ask for --------------------------------------------------------------------------------------------


def test_rules_and_runbooks_ask_only_for_what_exists() -> None:
    """A metric that nothing writes makes an alert that never fires."""
    known = WRITTEN.keys() | {record["record"] for record in RECORDS}
    name = re.compile(r"\b(?:\w+:)?model_(?:probe|exporter|training)_[a-z0-9_:]*[a-z0-9]")
    texts = [*EXPRESSIONS, *(page.read_text() for page in RUNBOOKS.glob("*.md"))]
    assert {found for text in texts for found in name.findall(text)} - known == set()


def test_records_are_named_by_level_metric_and_operations() -> None:
    for record in RECORDS:
        level, metric, operations = record["record"].split(":")
        assert level in ("target", "probe", "state")
        assert metric.startswith("model_probe_")
        window = re.search(r"_rate(\w+)$", operations)
        assert window is None or set(re.findall(r"\[(\w+)\]", record["expr"])) == {window[1]}


@pytest.mark.parametrize("text", EXPRESSIONS)
def test_selectors_fit_what_is_written(text: str) -> None:
    """The labels are those of the metric, and values of closed sets are in them."""
    for name, selector in re.findall(r"\b(model_\w+)\{([^}]*)\}", text):
        for label, operator, value in re.findall(r'(\w+)(=~|!~|!=|=)"([^"]*)"', selector):
            assert label in WRITTEN[name], f"{name} has no label {label}"
            if label in VALUES:
                values = set(value.split("|")) if operator.endswith("~") else {value}
                assert values <= VALUES[label], f"{name}{{{label}}}: {values - VALUES[label]}"
    every = set().union(*WRITTEN.values())
    for listed in re.findall(r"\b(?:by|without|on|ignoring)\s*\(([^)]*)\)", text):
        assert set(re.findall(r"\w+", listed)) <= every


@pytest.mark.parametrize("alert", ALERTS, ids=title)
def test_annotations_name_labels_that_are_there(alert: dict) -> None:
    names = re.findall(r"\b(model_\w+)", alert["expr"])
    written = {name: WRITTEN[name] for name in names if name in WRITTEN}
    there = set().union(*written.values()) if written else {"job", "instance", "target", "model", "probe"}
    for text in alert["annotations"].values():
        assert set(re.findall(r"\$labels\.(\w+)", text)) <= there


def test_the_guide_names_all_rule_files() -> None:
    """What the README tells Prometheus to load is what there is."""
    (listed,) = re.findall(r"rule_files:\n((?: +- .*\n)+)", (ROOT / "README.md").read_text())
    patterns = re.findall(r"- (.*)", listed)
    assert {path for pattern in patterns for path in ROOT.glob(pattern)} == set(RULES)
