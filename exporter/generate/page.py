"""The page of all alerts, from the rules themselves."""

import re
from collections.abc import Iterable
from typing import Any

import yaml

_HEAD = """# Alerts

Made from [deploy/rules](../../deploy/rules/) by `python -m exporter.reference`. How they reach Prometheus, and how to
change what they hold a model to: [alerts](../alerts.md).

| alert | severity | when it has held for | what it says |
|---|---|---|---|
"""
_CHOICE = re.compile(r"\{\{ if [^}]*\}\}(.*?)\{\{ else \}\}(.*?)\{\{ end \}\}")
_LABEL = re.compile(r"\{\{ \$labels\.(\w+) \}\}")
_VALUE = re.compile(r"\{\{ \$value[^}]*\}\}")


def alerts_page(files: Iterable[str]) -> str:
    """A row for each alert in the texts of rule files, in their order."""
    return _HEAD + "".join(
        f"{_row(rule)}\n"
        for text in files
        for group in yaml.safe_load(text)["groups"]
        for rule in group["rules"]
        if "alert" in rule
    )


def _row(rule: dict[str, Any]) -> str:
    labels, name = rule["labels"], rule["alert"]
    page = rule["annotations"]["runbook_url"].rpartition("/")[2]
    told = "".join(f", {key} `{value}`" for key, value in labels.items() if key != "severity")
    said = _VALUE.sub("N", _LABEL.sub(r"*\1*", _CHOICE.sub(r"\1 or \2", rule["annotations"]["summary"])))
    return f"| [`{name}`](../runbooks/{page}) | {labels['severity']}{told} | {rule.get('for', '0s')} | {said} |"
