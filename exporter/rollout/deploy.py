"""Deploy: bring a model to environments, wave by wave; each wave after the one before passed the gate.

An environment is good when every server says that it has what was asked for *and* the gate is open: its targets are
healthy and their canaries answer. That a load call was answered with 200 proves neither.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from time import perf_counter
from typing import Any

from exporter.model.failure import Failure
from exporter.rollout.caller import certain
from exporter.rollout.group import Group, Seat, told
from exporter.rollout.record import Record, RecordError
from exporter.rollout.verdict import GateVerdict
from exporter.rollout.ways import Cannot, Never, Seen, Step, Way

#: Targets that are named where a gate stays shut.
_TOLD = 5
#: Seconds between two looks at a server that is not there yet.
AGAIN = 1.0


class Outcome(StrEnum):
    """What became of an environment."""

    GOOD = "good"
    FAILED = "failed"
    SKIPPED = "skipped"


@dataclass(slots=True)
class Report:
    """How far an environment is. `doing` is for those who watch, `detail` says what went wrong."""

    environment: str
    wave: int
    outcome: Outcome | None = None
    doing: str = "waits for its turn"
    detail: str = ""
    calls: list[str] = field(default_factory=list)
    gate: GateVerdict | None = None
    seconds: float = 0.0

    def as_json(self) -> dict[str, Any]:
        """`{environment, wave, outcome, detail, calls, seconds, blocking}`."""
        return {
            "environment": self.environment,
            "wave": self.wave,
            "outcome": str(self.outcome or Outcome.SKIPPED),
            "detail": self.detail,
            "calls": self.calls,
            "seconds": round(self.seconds, 3),
            "blocking": self.gate.as_json()["blocking"] if self.gate is not None else [],
        }


@dataclass(frozen=True, slots=True)
class Rules:
    """How it is done: environments at once, seconds for each, and whether a failure holds up the rest of its wave."""

    parallel: int = 4
    timeout: float = 600.0
    stop_on_failure: bool = False


async def deploy(
    waves: Sequence[Sequence[Group]],
    rules: Rules,
    record: Record,
    on_update: Callable[[Sequence[Report]], None] = lambda reports: None,
) -> list[Report]:
    """Bring the model to every environment; a report for each, in order. Nothing is taken back when one fails."""
    reports = [Report(group.name, number) for number, wave in enumerate(waves, 1) for group in wave]
    by_name = {report.environment: report for report in reports}
    running = asyncio.Semaphore(rules.parallel)
    failed: list[str] = []

    async def one(group: Group) -> None:
        async with running:
            report = by_name[group.name]
            if failed and rules.stop_on_failure:
                _skip(report, f"{failed[0]} failed before it")
            else:
                await _environment(group, report, rules, record, lambda: on_update(reports))
                if report.outcome is Outcome.FAILED:
                    failed.append(group.name)
            on_update(reports)

    for wave in waves:
        if failed:
            for group in wave:
                _skip(by_name[group.name], f"{failed[0]} failed in the wave before it")
            continue
        await asyncio.gather(*(one(group) for group in wave))
    on_update(reports)
    return reports


def _skip(report: Report, why: str) -> None:
    report.outcome, report.detail, report.doing = Outcome.SKIPPED, f"not touched: {why}", ""


async def _environment(group: Group, report: Report, rules: Rules, record: Record, changed: Callable[[], None]) -> None:
    began = perf_counter()
    until = began + rules.timeout

    def tell(doing: str) -> None:
        report.doing = doing
        changed()

    try:
        wrong = await _bring(group, report, record, until, tell)
        report.outcome = Outcome.FAILED if wrong else Outcome.GOOD
        report.detail = "; ".join(wrong)
    finally:
        report.doing = ""
        report.seconds = perf_counter() - began


async def _bring(
    group: Group, report: Report, record: Record, until: float, tell: Callable[[str], None]
) -> Sequence[str]:
    """All of an environment: what is wrong with it in the end, nothing where it is good."""
    try:
        seats = await group.seats()
    except (Failure, Cannot) as error:
        return [f"{told(error)}; nothing was touched"]
    wrong = [why for why in await asyncio.gather(*(_seat(seat, report, record, until, tell) for seat in seats)) if why]
    if wrong:
        return wrong
    tell("waits for good runs of its targets")
    report.gate = gate = await group.gate(
        seats, max(0.0, until - perf_counter()), lambda verdict: tell(f"waits: {_blocked(verdict)}")
    )
    return [] if gate.ready else [gate.problem or _blocked(gate)]


class _Failed(Exception):
    """A server did not get what it should have; the message says why."""


async def _seat(seat: Seat, report: Report, record: Record, until: float, tell: Callable[[str], None]) -> str:
    """Make the steps and wait until the server itself says that all is there; why it does not, "" when it does."""
    try:
        await _change(seat, report, record, until, tell)
        tell(f"{seat.name}: waits for the server to have it")
        await _there(seat, until)
    except (_Failed, RecordError) as failed:  # what cannot be recorded is not done
        return f"{seat.name}: {failed}"
    return ""


async def _change(seat: Seat, report: Report, record: Record, until: float, tell: Callable[[str], None]) -> None:
    """Make the steps. Raises _Failed."""
    try:
        before = await seat.way.look()
        steps = list(seat.way.plan(before))
    except (Failure, Cannot) as error:
        raise _Failed(f"{told(error)}; nothing was touched") from None
    latest = before
    while steps:
        step = steps.pop(0)
        left = until - perf_counter()
        if left <= 0:
            raise _Failed(f"no time was left for {step.shown}")
        tell(f"{seat.name}: {step.name}")
        report.calls.append(step.shown)
        sure = await _make(seat, step, before, latest, record, left)
        if steps and not sure:
            steps = await _what_is_left(seat, step)
        if steps:
            latest = await _now(seat.way) or latest


async def _make(seat: Seat, step: Step, before: Seen, latest: Seen, record: Record, timeout: float) -> bool:
    """One step, recorded before it is made: false where nobody knows how it ended. Raises _Failed where it was refused.
    `before` is what was there before all steps, `latest` before this one.
    """
    number = record.step(seat.place, step.name, step.shown, before, "step")
    try:
        await call(step, timeout)
    except Failure as failure:
        sure = certain(failure)
        # One that refuses may have done a part.
        refused = sure and (now := await _now(seat.way)) is not None and {**now, "why": ""} == {**latest, "why": ""}
        record.outcome(number, "refused" if refused else "unknown", told(failure), "outcome")
        if sure:
            raise _Failed(told(failure)) from None
        return False
    record.outcome(number, "done", "", "outcome")
    return True


async def _what_is_left(seat: Seat, step: Step) -> list[Step]:
    """The steps after one of which nobody knows how it ended, by what the server shows. Raises _Failed."""
    try:
        steps = list(seat.way.plan(await seat.way.look()))
    except (Failure, Cannot) as error:
        raise _Failed(f"{step.shown} was not answered, and then: {told(error)}") from None
    if any(each.name == step.name for each in steps):
        raise _Failed(f"{step.shown} was not answered, and the server does not show what it should do")
    return steps


async def _there(seat: Seat, until: float) -> None:
    """Wait until the server says that it has what was asked for. Raises _Failed."""
    while True:
        try:
            missing = await seat.way.check()
        except Never as never:
            raise _Failed(str(never)) from None
        except Failure as failure:
            if failure.http_status is not None and certain(failure):
                raise _Failed(told(failure)) from None
            missing = told(failure)  # a server that restarts is not there for a moment
        if not missing:
            return
        if perf_counter() + AGAIN >= until:
            raise _Failed(missing)
        await asyncio.sleep(AGAIN)


async def _now(way: Way) -> Seen | None:
    """What the server has now, None where it does not tell."""
    try:
        return await way.look()
    except Failure:
        return None


async def call(step: Step, timeout: float) -> None:
    """Make a step's call. Raises `Failure` with what the server said."""
    await step.caller.tell(step.method, step.route, step.body, timeout=timeout, media=step.media)


def _blocked(verdict: GateVerdict) -> str:
    """Why a gate is shut."""
    parts = []
    for standing in verdict.blocking[:_TOLD]:
        why = ": ".join(part for part in (str(standing.reason or ""), standing.detail) if part)
        state = f"{standing.target} is {standing.state}" + (f" ({why})" if why else "")
        parts.append(f"{state}, {standing.have} of {standing.want} good runs")
    more = len(verdict.blocking) - len(parts)
    return "; ".join(parts) + (f"; and {more} more" if more > 0 else "")
