"""Replicas of one target, in words and as plain values: how many are how, and which one differs."""

from collections import Counter
from typing import Any

from exporter.ledger import Ledger, Replicas, TargetRecord
from exporter.ledger.replicas import Majority, Standing, differs, majority, standing
from exporter.model.state import State
from exporter.web.words import STATES

_RANKS = {state: rank for rank, state in enumerate(STATES)}


def of(record: TargetRecord, ledger: Ledger) -> Replicas | None:
    """The group a target belongs to; None for one that is a server by itself."""
    return ledger.groups.get(record.target.group) if record.target.group else None


def oddity(record: TargetRecord, group: Replicas | None) -> str:
    """In what a replica differs from most of its group, in words; empty when it does not."""
    if group is None:
        return ""
    standings = group.standings()
    most = majority(standings)
    own = standing(record)
    return _why(own, most, group) if differs(own, most) else ""


def summary(group: Replicas) -> str:
    """`3 replicas: 1 error, 2 healthy; versions: 2 serve 3, 1 serves 4`."""
    count = len(group.members)
    words = f"{count} replica{'' if count == 1 else 's'}: {counted(group.states())}"
    versions = group.versions()
    if len(versions) > 1:
        told = ", ".join(
            f"{number} serve{'s' if number == 1 else ''} {version}" for version, number in versions.items()
        )
        words += f"; versions: {told}"
    return words


def counted(states: Counter[State]) -> str:
    """`1 error, 2 healthy`: what needs a hand first."""
    return ", ".join(f"{states[state]} {state}" for state in STATES if states[state])


def worst(group: Replicas) -> State:
    """The state of its replicas that needs a hand most."""
    states = group.states()
    return next(state for state in STATES if states[state])


def worst_first(group: Replicas) -> list[TargetRecord]:
    """The replicas, what needs a hand first."""
    return sorted(group.members.values(), key=lambda record: _RANKS[record.state])


def values(group: Replicas) -> dict[str, Any]:
    """What the replicas are together, as plain values."""
    target = next(iter(group.members.values())).target
    standings = group.standings()
    most = majority(standings)
    return {
        "name": group.name,
        "model": target.model,
        "url": target.endpoint.url,
        "labels": dict(target.labels),
        "states": dict(group.states()),
        "versions": dict(group.versions()),
        "majority": {"state": most.state, "version": most.version or None},
        "odd": [
            {
                "address": each.address,
                "state": each.state,
                "version": each.version or None,
                "why": _why(each, most, group),
            }
            for each in standings
            if differs(each, most)
        ],
    }


def _why(odd: Standing, most: Majority, group: Replicas) -> str:
    count, parts = len(group.members), []
    if most.state not in (None, odd.state) and odd.state is not State.UNKNOWN:
        parts.append(f"{odd.state} while {group.states()[most.state]} of {count} are {most.state}")
    if most.version and odd.version not in ("", most.version):
        number = group.versions()[most.version]
        parts.append(f"serves version {odd.version} while {number} of {count} serve {most.version}")
    return " and ".join(parts)
