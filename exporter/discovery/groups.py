"""Target groups as Prometheus writes them (`file_sd_configs`, `http_sd_configs`): `[{targets: [...], labels: {...}}]`.

Source: prometheus.io/docs, "Writing HTTP service discovery", and `targetgroup` in its code. Every target becomes one
set of labels, with `__address__` for the target itself. Pure.
"""

from collections.abc import Iterator, Mapping
from typing import Any

ADDRESS = "__address__"
#: Targets of one source that are looked at, and characters one text may have.
MAX_ENTRIES = 100_000
MAX_TEXT = 4096


class Malformed(ValueError):
    """Not target groups. The message says where and what."""


def entries(groups: Any, meta: Mapping[str, str]) -> list[dict[str, str]]:
    """The label sets of groups that were read from JSON or YAML; `meta` is added to each. Raises `Malformed`."""
    if not isinstance(groups, list):
        raise Malformed(f"found {_kind(groups)}; allowed: a list of {{targets: [...], labels: {{...}}}}")
    found: list[dict[str, str]] = []
    for index, group in enumerate(groups):
        for target, labels in _group(f"[{index}]", group):
            found.append({**labels, **meta, ADDRESS: target})
            if len(found) > MAX_ENTRIES:
                raise Malformed(f"more than {MAX_ENTRIES} targets")
    return found


def _group(at: str, group: Any) -> Iterator[tuple[str, dict[str, str]]]:
    if not isinstance(group, dict):
        raise Malformed(f"{at}: found {_kind(group)}; allowed: targets and labels")
    for key in group:
        if key not in ("targets", "labels"):
            raise Malformed(f"{at}: unknown key {str(key)[:60]!r}; allowed: targets, labels")
    targets, labels = group.get("targets"), group.get("labels") or {}
    if not isinstance(targets, list):
        raise Malformed(f"{at}.targets: found {_kind(targets)}; allowed: a list of texts")
    if not isinstance(labels, dict):
        raise Malformed(f"{at}.labels: found {_kind(labels)}; allowed: texts by name")
    checked = {_text(f"{at}.labels", name): _text(f"{at}.labels.{name}", value) for name, value in labels.items()}
    for index, target in enumerate(targets):
        yield _text(f"{at}.targets[{index}]", target), checked


def _text(at: str, value: Any) -> str:
    if not isinstance(value, str):
        raise Malformed(f"{at[:200]}: found {_kind(value)}; text expected: write it in quotes")
    if len(value) > MAX_TEXT:
        raise Malformed(f"{at[:200]}: {len(value)} characters; allowed: at most {MAX_TEXT}")
    return value


def _kind(value: Any) -> str:
    match value:
        case None:
            return "nothing"
        case bool():
            return "a boolean"
        case int() | float():
            return f"the number {value!r}"[:80]
        case str():
            return "a text"
        case list():
            return "a list"
        case dict():
            return "a mapping"
    return f"a {type(value).__name__}"
