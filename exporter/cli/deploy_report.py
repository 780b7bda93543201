"""What `deploy` shows: tables for people, one JSON object for programs."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from exporter.cli.sheet import Live, Table, sheet
from exporter.cli.words import clean, count, seconds

if TYPE_CHECKING:
    from exporter.rollout.back import Return
    from exporter.rollout.deploy import Report
    from exporter.rollout.group import Planned
    from exporter.rollout.ways import Wanted

#: Characters of a detail in a table.
_DETAIL = 400


def as_text(value: Any) -> str:
    """The JSON that is printed."""
    return json.dumps(value)


# Plans


def planned_json(planned: "Sequence[Planned]", to: Sequence[Sequence[str]]) -> dict[str, Any]:
    """`{dry_run, good, plan: [{wave, environment, target, calls: [{call, note}], failure}]}`."""
    return {
        "dry_run": True,
        "good": not any(each.failure for each in planned),
        "plan": [
            {
                "wave": _wave(each.environment, to),
                "environment": each.environment,
                "target": each.target or None,
                "calls": [{"call": step.shown, "note": step.note or None} for step in each.steps],
                "failure": each.failure or None,
            }
            for each in planned
        ],
    }


def tell_plan(planned: "Sequence[Planned]", to: Sequence[Sequence[str]]) -> None:
    """The calls, in their order."""
    rows = []
    for each in planned:
        calls = [(step.shown, step.note) for step in each.steps] or [("none: " + (each.failure or "all is there"), "")]
        rows += [(str(_wave(each.environment, to)), each.environment, each.target, *call) for call in calls]
    out = sheet()
    out.table(Table(("wave", "environment", "target", "call", "what"), rows, wrap="call").without_empty())
    out.line("nothing was changed")


def _wave(environment: str, to: Sequence[Sequence[str]]) -> int:
    return next(number for number, wave in enumerate(to, 1) if environment in wave)


# Deployments


def deployed_json(wanted: "Wanted", reports: "Sequence[Report]", good: bool, state: Path) -> dict[str, Any]:
    """`{id, good, model, version, state, environments: [...]}`."""
    return {
        "id": wanted.identity,
        "good": good,
        "model": wanted.model,
        "version": wanted.version or None,
        "state": str(state),
        "environments": [report.as_json() for report in reports],
    }


def progress(live: Live | None) -> "Callable[[Sequence[Report]], None]":
    """What is shown while it goes on."""

    def update(reports: "Sequence[Report]") -> None:
        if live is not None:
            over = sum(report.outcome is not None for report in reports)
            live.update(f"{over} of {count(len(reports), 'environment')} done", _table(reports))

    return update


def tell(reports: "Sequence[Report]") -> None:
    """How each environment ended."""
    out = sheet()
    good = sum(report.outcome == "good" for report in reports)
    verdict = "good" if good == len(reports) else "not good"
    out.line(f"{verdict}: {good} of {count(len(reports), 'environment')}", strong=True)
    out.table(_table(reports))


def _table(reports: "Sequence[Report]") -> Table:
    rows = [
        (
            str(report.wave),
            report.environment,
            str(report.outcome or "waiting"),
            seconds(report.seconds) if report.seconds else "",
            clean(report.detail or report.doing, _DETAIL),
        )
        for report in reports
    ]
    columns = ("wave", "environment", "outcome", "took", "detail")
    return Table(columns, rows, right=frozenset({"took"}), wrap="detail").without_empty()


# Rollbacks


def undone_json(identity: str, returns: "Sequence[Return]", good: bool) -> dict[str, Any]:
    """`{id, good, rollback: [{environment, target, outcome, detail}]}`."""
    return {"id": identity, "good": good, "rollback": [each.as_json() for each in returns]}


def going_back(live: Live | None) -> "Callable[[Sequence[Return]], None]":
    """What is shown while it goes on."""

    def update(returns: "Sequence[Return]") -> None:
        if live is not None:
            over = sum(each.outcome is not None for each in returns)
            live.update(f"{over} of {count(len(returns), 'server')} done", _back_table(returns))

    return update


def tell_back(returns: "Sequence[Return]") -> None:
    """What was taken back, and what was not."""
    out = sheet()
    if not returns:
        out.line("good: no step of it was made", strong=True)
        return
    left = sum(not each.good for each in returns)
    verdict = (
        f"not good: {left} of {count(len(returns), 'server')}" if left else f"good: {count(len(returns), 'server')}"
    )
    out.line(f"{verdict} as before" if not left else f"{verdict} not as before", strong=True)
    out.table(_back_table(returns))


def _back_table(returns: "Sequence[Return]") -> Table:
    rows = [
        (each.environment, each.target, str(each.outcome or "waiting"), clean(each.detail, _DETAIL)) for each in returns
    ]
    return Table(("environment", "target", "outcome", "detail"), rows, wrap="detail").without_empty()
