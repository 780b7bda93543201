"""Prometheus's relabelling: the labels of something that was found in, its labels out, or nothing.

Actions, defaults and order are those of `relabel_configs` in Prometheus 3 (prometheus.io/docs, configuration,
"relabel_config"). Patterns are anchored at both ends. They are searched in what other people wrote, so that each has
its share of CPU time and no more. Pure: not for the loop that measures.
"""

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from exporter.protocols.patterns import fullmatch

Action = Literal[
    "replace", "keep", "drop", "keepequal", "dropequal", "hashmod", "labelmap", "labeldrop", "labelkeep",
    "lowercase", "uppercase",
]  # fmt: skip

#: `$1`, `${1}`, `$name`, `${name}` and `$$`, as Go's regexp expands them: the longest name counts.
_REFERENCE = re.compile(r"\$(?:(\$)|\{(\w+)\}|(\w+))", re.ASCII)
_LABEL = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")


@dataclass(frozen=True, slots=True)
class Rule:
    """One `relabel_config`."""

    action: Action = "replace"
    source_labels: tuple[str, ...] = ()
    separator: str = ";"
    regex: str = "(.*)"
    target_label: str = ""
    replacement: str = "$1"
    modulus: int = 0


def relabel(labels: Mapping[str, str], rules: Iterable[Rule]) -> dict[str, str] | None:
    """The labels after all rules in their order; None once one of them drops the whole. An empty value is no label.

    Raises TimeoutError when a pattern takes more than its share of time.
    """
    found = {name: value for name, value in labels.items() if value}
    for rule in rules:
        value = rule.separator.join(found.get(name, "") for name in rule.source_labels)
        if not _stays(rule, found, value):
            return None
        _change(rule, found, value)
    return found


def _stays(rule: Rule, labels: Mapping[str, str], value: str) -> bool:
    match rule.action:
        case "keep":
            return fullmatch(rule.regex, value) is not None
        case "drop":
            return fullmatch(rule.regex, value) is None
        case "keepequal":
            return labels.get(rule.target_label, "") == value
        case "dropequal":
            return labels.get(rule.target_label, "") != value
    return True


def _change(rule: Rule, labels: dict[str, str], value: str) -> None:
    match rule.action:
        case "replace":
            _replace(rule, labels, value)
        case "lowercase":
            _set(labels, rule.target_label, value.lower())
        case "uppercase":
            _set(labels, rule.target_label, value.upper())
        case "hashmod":
            number = int.from_bytes(hashlib.md5(value.encode(), usedforsecurity=False).digest()[8:], "big")
            _set(labels, rule.target_label, str(number % rule.modulus))
        case "labelmap":
            for name, held in list(labels.items()):
                if (groups := fullmatch(rule.regex, name)) is not None:
                    _set(labels, expand(rule.replacement, groups), held)
        case "labeldrop":
            _keep(labels, [name for name in labels if fullmatch(rule.regex, name) is None])
        case "labelkeep":
            _keep(labels, [name for name in labels if fullmatch(rule.regex, name) is not None])


def _replace(rule: Rule, labels: dict[str, str], value: str) -> None:
    groups = fullmatch(rule.regex, value)
    if groups is None:
        return
    target = expand(rule.target_label, groups)
    if _LABEL.fullmatch(target):
        _set(labels, target, expand(rule.replacement, groups))


def _set(labels: dict[str, str], name: str, value: str) -> None:
    if value:
        labels[name] = value
    else:
        labels.pop(name, None)


def _keep(labels: dict[str, str], names: Sequence[str]) -> None:
    for name in labels.keys() - set(names):
        del labels[name]


def expand(template: str, groups: Mapping[str, str]) -> str:
    """A replacement with its references filled in; a group that does not exist is empty."""

    def filled(reference: re.Match[str]) -> str:
        return "$" if reference[1] else groups.get(reference[2] or reference[3], "")

    return _REFERENCE.sub(filled, template)
