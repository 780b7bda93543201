"""Writes the config that `init` prints: YAML by hand, for the comments are half of its worth."""

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from exporter.cli.words import clean

if TYPE_CHECKING:
    from exporter.cli.inquire import Tensor


@dataclass(frozen=True, slots=True)
class Canary:
    """A probe that asks for a real answer. `settings` is its block.

    `trouble` is why it did not pass when it was tried; `misfit`: so that the question itself seems to be wrong.
    """

    name: str
    settings: dict[str, Any]
    comment: str
    trouble: str = ""
    misfit: bool = False


@dataclass(frozen=True, slots=True)
class Proposal:
    """One target of the config. `protocol` is empty when the server did not tell; `why` is for people."""

    url: str
    protocol: str
    server: str
    why: str
    model: str
    others: tuple[str, ...]
    probes: tuple[str, ...]
    canary: Canary | None


def stream_settings() -> dict[str, Any]:
    """A short chat that costs about two dozen tokens."""
    return {"interval": "1m", "timeout": "30s", "prompt": "Say OK.", "max_tokens": 16}


def infer_settings(tensors: "Iterable[Tensor]") -> dict[str, Any]:
    """A prediction on zeros."""
    return {
        "interval": "1m",
        "inputs": [
            {"name": each.name, "shape": list(each.shape), "datatype": each.datatype, "data": list(each.data)}
            for each in tensors
        ],
    }


def write(proposals: Sequence[Proposal]) -> str:
    """The whole file."""
    lines = [
        "# Written by `model-exporter init`. Save it, then:",
        "#   model-exporter check FILE",
        "#   model-exporter run --config FILE",
        "",
        "targets:",
    ]
    names: set[str] = set()
    for proposal in proposals:
        lines += [*_target(proposal, names), ""]
    return "\n".join(lines)


def _target(proposal: Proposal, names: set[str]) -> list[str]:
    lines = [f"  # {_heading(proposal)}"]
    if proposal.why:
        lines.append(f"  # {clean(proposal.why, 150)}")
    name = _name(proposal, names)
    lines.append(f"  - name: {_scalar(name)}")
    lines.append(f"    url: {_scalar(proposal.url)}")
    if not proposal.protocol:
        lines.append("    protocol: auto  # asked again until there is an answer; the probes follow from it")
        return lines
    lines.append(f"    protocol: {proposal.protocol}")
    if proposal.model:
        lines.append(f"    model: {_scalar(proposal.model)}")
    if proposal.others:
        lines.append(f"    # also served here, a target each: {clean(', '.join(proposal.others), 150)}")
    lines.append("    probes:")
    lines += [f"      {probe}: {{}}" for probe in proposal.probes]
    if proposal.canary is not None:
        lines += _canary(proposal.canary)
    return lines


def _heading(proposal: Proposal) -> str:
    if not proposal.protocol:
        return "What this is could not be found out:"
    server = f" ({clean(proposal.server, 60)})" if proposal.server and proposal.server != proposal.protocol else ""
    return f"{proposal.protocol}{server}"


def _canary(canary: Canary) -> list[str]:
    lines = [f"      # {canary.comment}"]
    mark = ""
    if canary.trouble:
        tried = "Left out, for when it was tried" if canary.misfit else "It did not pass when it was tried just now"
        lines.append(f"      # {tried}: {clean(canary.trouble, 150)}")
    if canary.misfit:
        mark = "# "
    lines.append(f"      {mark}{canary.name}:")
    lines += [f"      {mark}  {key}: {_flow(value)}" for key, value in canary.settings.items()]
    return lines


def _name(proposal: Proposal, names: set[str]) -> str:
    """The model's name, or the address; both where that is taken already."""
    address = proposal.url.partition("://")[2].partition("?")[0].rstrip("/")
    candidates = [proposal.model or address, f"{address}/{proposal.model}" if proposal.model else address]
    numbered = (f"{candidates[-1]}-{number}" for number in range(2, 10_000))
    name = next(name for name in (*candidates, *numbered) if name not in names)
    names.add(name)
    return name


def _scalar(value: str) -> str:
    """A text as YAML: every JSON string is one."""
    return json.dumps(value, ensure_ascii=False)


def _flow(value: Any) -> str:
    """A value as YAML on one line, keys bare."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {_flow(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(_flow(item) for item in value) + "]"
    if isinstance(value, str) and re.fullmatch(r"[0-9]+(ms|s|m|h)", value):
        return value
    return _scalar(value) if isinstance(value, str) else json.dumps(value)
