"""Writes the config that `init` prints: YAML by hand, for the comments are half of its worth."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from exporter.cli.words import clean


@dataclass(frozen=True, slots=True)
class Canary:
    """A probe that asks for a real answer. `settings` is its block, `comment` what it asks.

    `trouble` is why it did not pass when it was tried; `misfit`: so that the question itself seems to be wrong.
    """

    name: str
    settings: Mapping[str, Any]
    comment: str
    trouble: str = ""
    misfit: bool = False


@dataclass(frozen=True, slots=True)
class Entry:
    """One target of the config. `protocol` is empty when the server did not tell; `why` is for people.

    `others` are models of the same server that get no entry; `wanting` are the kinds of canary that are possible, where
    none could be proposed.
    """

    url: str
    protocol: str
    server: str
    why: str
    model: str
    others: tuple[str, ...]
    probes: tuple[str, ...]
    canary: Canary | None
    wanting: tuple[str, ...] = ()


def write(entries: Sequence[Entry]) -> str:
    """The whole file."""
    lines = [
        "# Written by `model-exporter init`. Save it, then:",
        "#   model-exporter check FILE",
        "#   model-exporter run --config FILE",
        "",
        "targets:",
    ]
    names: set[str] = set()
    for entry in entries:
        lines += [*_target(entry, names), ""]
    return "\n".join(lines)


def _target(entry: Entry, names: set[str]) -> list[str]:
    lines = [f"  # {_heading(entry)}"]
    if entry.why:
        lines.append(f"  # {clean(entry.why, 150)}")
    name = _name(entry, names)
    lines.append(f"  - name: {_scalar(name)}")
    lines.append(f"    url: {_scalar(entry.url)}")
    if not entry.protocol:
        lines.append("    protocol: auto  # asked again until there is an answer; the probes follow from it")
        return lines
    lines.append(f"    protocol: {entry.protocol}")
    if entry.model:
        lines.append(f"    model: {_scalar(entry.model)}")
    if entry.others:
        lines.append(f"    # also served here, each to be a target of its own: {clean(', '.join(entry.others), 150)}")
    lines.append("    probes:")
    lines += [f"      {probe}: {{}}" for probe in entry.probes]
    if entry.canary is not None:
        lines += _canary(entry.canary)
    elif entry.wanting:
        kinds = " or ".join(entry.wanting)
        lines.append(f"      # The real question is missing: add {kinds} with a request that this server answers.")
    return lines


def _heading(entry: Entry) -> str:
    if not entry.protocol:
        return "What this is could not be found out:"
    server = f" ({clean(entry.server, 60)})" if entry.server and entry.server != entry.protocol else ""
    return f"{entry.protocol}{server}"


def _canary(canary: Canary) -> list[str]:
    lines = [f"      # The real question: {clean(canary.comment, 300).rstrip('.')}."]
    mark = ""
    if canary.trouble:
        tried = "Left out, for when it was tried" if canary.misfit else "It did not pass when it was tried just now"
        lines.append(f"      # {tried}: {clean(canary.trouble, 150)}")
    if canary.misfit:
        mark = "# "
    lines.append(f"      {mark}{canary.name}:")
    lines += [f"      {mark}  {key}: {_flow(value)}" for key, value in canary.settings.items()]
    return lines


def _name(entry: Entry, names: set[str]) -> str:
    """The model's name, or the address; both where that is taken already."""
    address = entry.url.partition("://")[2].partition("?")[0].rstrip("/")
    candidates = [entry.model or address, f"{address}/{entry.model}" if entry.model else address]
    numbered = (f"{candidates[-1]}-{number}" for number in range(2, 10_000))
    name = next(name for name in (*candidates, *numbered) if name not in names)
    names.add(name)
    return name


def _scalar(value: str) -> str:
    """A text as YAML: every JSON string is one, once no character in it breaks a line or is none."""
    text = json.dumps(value, ensure_ascii=False)
    return "".join(each if each.isprintable() else f"\\U{ord(each):08x}" for each in text)


def _flow(value: Any) -> str:
    """A value as YAML on one line, plain keys bare."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_key(key)}: {_flow(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(_flow(item) for item in value) + "]"
    if isinstance(value, str) and re.fullmatch(r"[0-9]+(ms|s|m|h)", value):
        return value
    return _scalar(value) if isinstance(value, str) else json.dumps(value)


def _key(key: str) -> str:
    plain = re.fullmatch(r"[a-z_]{2,}", key) and key not in ("false", "no", "null", "off", "on", "true", "yes")
    return key if plain else _scalar(key)
