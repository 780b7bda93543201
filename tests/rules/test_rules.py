"""The alert rules: promtool's verdict, and that rules, metrics, tests and runbooks know each other."""

import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from exporter.metrics.catalog import FAMILIES
from exporter.metrics.own import OWN
from exporter.metrics.text import Type

ROOT = Path(__file__).parents[2]
RULES = ROOT / "deploy/rules/model-exporter.rules.yaml"
TESTS = sorted((ROOT / "tests/rules").glob("*.test.yaml"))
RUNBOOKS = ROOT / "docs/runbooks"
BASE = "https://github.com/model-exporter/model-exporter/blob/main/docs/runbooks/"
HINT = "apt-get install prometheus"

GROUPS = yaml.safe_load(RULES.read_text())["groups"]
ALERTS = [rule for group in GROUPS for rule in group["rules"] if "alert" in rule]
RECORDS = [rule for group in GROUPS for rule in group["rules"] if "record" in rule]


def run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_promtool_accepts_the_rules(need: Callable[[str, str], str]) -> None:
    run(need("promtool", HINT), "check", "rules", "--lint=all", "--lint-fatal", str(RULES))


@pytest.mark.slow
def test_promtool_unit_tests(need: Callable[[str, str], str]) -> None:
    run(need("promtool", HINT), "test", "rules", *map(str, TESTS))


@pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: alert["alert"])
def test_alert_says_what_to_do(alert: dict) -> None:
    assert alert["labels"]["severity"] in ("critical", "warning")
    assert alert["for"]
    notes = alert["annotations"]
    assert notes.keys() == {"summary", "description", "runbook_url"}
    assert notes["runbook_url"].startswith(BASE)
    page = RUNBOOKS / notes["runbook_url"].removeprefix(BASE)
    assert alert["alert"] in page.read_text()


def test_no_runbook_without_an_alert() -> None:
    linked = {alert["annotations"]["runbook_url"].removeprefix(BASE) for alert in ALERTS}
    assert linked == {page.name for page in RUNBOOKS.glob("*.md")}


def test_rules_and_runbooks_ask_only_for_what_exists() -> None:
    """A metric or a label value that nothing writes makes an alert that never fires."""
    known = {record["record"] for record in RECORDS} | {"up"}
    for family in (*FAMILIES, *OWN):
        known.add(family.name)
        if family.type is Type.HISTOGRAM:
            known |= {f"{family.name}_{part}" for part in ("bucket", "sum", "count")}
    name = re.compile(r"\b(?:target:)?model_(?:probe|exporter)_[a-z0-9_:]*[a-z0-9]")
    texts = [RULES.read_text(), *(page.read_text() for page in RUNBOOKS.glob("*.md"))]
    assert {found for text in texts for found in name.findall(text)} - known == set()


def test_every_alert_is_tested_firing_and_silent() -> None:
    tests = [test for file in TESTS for test in yaml.safe_load(file.read_text())["tests"]]
    cases = [case for test in tests for case in test["alert_rule_test"]]
    for name in {alert["alert"] for alert in ALERTS}:
        mine = [bool(case["exp_alerts"]) for case in cases if case["alertname"] == name]
        assert True in mine, f"{name} is never shown firing"
        assert False in mine, f"{name} is never shown silent"
