"""What the page of one target says: every probe with its last runs, and what was seen of its last failure."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

from exporter.ledger import ProbeRecord, TargetRecord
from exporter.model.failure import Status
from exporter.model.result import Past
from exporter.settings import format_duration
from exporter.web import transcript
from exporter.web.page import charts
from exporter.web.page.charts import Piece, Strip
from exporter.web.page.rows import Moment, first_token, moment
from exporter.web.words import REASONS, SKIPS, amount, latency, number

#: Lines of the table of runs, and of that of failures.
RUNS, FAILURES = 20, 30


@dataclass(frozen=True, slots=True)
class Fact:
    """A number or a text, and what it is called."""

    name: str
    value: str


@dataclass(frozen=True, slots=True)
class Failing:
    """Failures in a row that were alike, in words. `first` is None for a single one."""

    at: Moment
    first: Moment | None
    count: int
    probe: str
    what: str
    detail: str
    took: str
    attempts: int
    http_status: int | None
    trace_id: str


@dataclass(frozen=True, slots=True)
class ProbeSheet:
    """One probe in full. `mood` is `ok`, `bad` or `none` (no run yet)."""

    name: str
    kind: str
    mood: str
    outcome: str
    detail: str
    paused: str
    last: Moment | None
    next: Moment | None
    strip: Strip | None
    first_tokens: Strip | None
    pieces: tuple[Piece, ...]
    facts: tuple[Fact, ...]
    failed: Moment | None
    transcript: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Sheet:
    """What stands below the head of the page."""

    facts: tuple[Fact, ...]
    probes: tuple[ProbeSheet, ...]
    failures: tuple[Failing, ...]


def sheet(record: TargetRecord, now: float) -> Sheet:
    """All of one target; `now` is Unix time."""
    failures = [(past, name) for name, probe in record.probes.items() for past in probe.recent_failures]
    failures.sort(key=lambda each: each[0].at, reverse=True)
    return Sheet(
        facts=tuple(_told(record)),
        probes=tuple(sorted((_probe(probe, now) for probe in record.probes.values()), key=_trouble_first)),
        failures=tuple(_failing(past, name, now) for past, name in failures[:FAILURES]),
    )


def _told(record: TargetRecord) -> Iterator[Fact]:
    """What the server said of itself."""
    for key, text in record.info.items():
        yield Fact(key.replace("_", " "), text)
    for key, value in record.facts.items():
        yield Fact(key.replace("_", " "), number(value))
    if (load := record.load) is not None:
        for name, count in (("requests running", load.running), ("requests waiting", load.waiting)):
            if count is not None:
                yield Fact(name, number(count))


def _trouble_first(shown: ProbeSheet) -> bool:
    return shown.mood != "bad"


def _probe(probe: ProbeRecord, now: float) -> ProbeSheet:
    last, failed = probe.last, probe.last_failure
    mood, outcome, detail = "none", "has not run yet", ""
    if last is not None and last.status is Status.HEALTHY:
        mood, outcome = "ok", "healthy"
    elif last is not None:
        mood, detail = "bad", last.detail
        outcome = f"{last.status}: {REASONS[last.reason]}" if last.reason else last.status
    return ProbeSheet(
        name=probe.job.probe,
        kind=probe.job.kind,
        mood=mood,
        outcome=outcome,
        detail=detail,
        paused=", ".join(SKIPS.get(reason, reason) for reason, on in probe.paused.items() if on),
        last=moment(probe.last_run_at, now) if probe.last_run_at is not None else None,
        next=moment(probe.next_at, now) if probe.next_at is not None else None,
        strip=charts.runs(probe),
        first_tokens=charts.first_tokens(probe),
        pieces=charts.phases(probe),
        facts=tuple(_facts(probe)),
        failed=moment(failed.at, now) if failed is not None else None,
        transcript=tuple(transcript.account(failed)) if failed is not None else (),
    )


def _times(probe: ProbeRecord) -> Iterator[Fact]:
    if probe.last_duration is not None:
        yield Fact("latency", latency(probe.last_duration))
    if (first := first_token(probe)) is not None:
        yield Fact("first token", latency(first))
    if probe.tokens_per_second is not None:
        yield Fact("tokens a second", f"{probe.tokens_per_second:.1f}")
    if probe.max_gap is not None:
        yield Fact("longest gap", latency(probe.max_gap))
    for part, seconds in probe.server_seconds.items():
        yield Fact(f"server: {part}", latency(seconds))
    if probe.last is not None and probe.job.target.endpoint.kernel_stamps:
        yield Fact("timestamps", probe.last.measurement.stamps)


def _facts(probe: ProbeRecord) -> Iterator[Fact]:
    yield from _times(probe)
    yield Fact("runs healthy", f"{probe.successes} of {probe.runs}")
    yield Fact("every", format_duration(probe.interval))
    yield Fact("timeout", format_duration(probe.job.schedule.timeout))
    if any(probe.tokens.values()):
        spent = ", ".join(f"{amount(count)} {kind}" for kind, count in probe.tokens.items() if count)
        yield Fact("tokens spent", spent)
    if probe.http_status is not None:
        yield Fact("HTTP status", str(probe.http_status))
    for (_, reason), count in probe.failures.items():
        yield Fact(f"failed by {reason}", amount(count))
    for why, count in probe.skipped.items():
        yield Fact(f"skipped: {SKIPS.get(why, why)}", amount(count))


def _failing(past: Past, probe: str, now: float) -> Failing:
    return Failing(
        at=moment(past.at, now),
        first=moment(past.first_at, now) if past.count > 1 else None,
        count=past.count,
        probe=probe,
        what=f"{past.status}: {REASONS[past.reason]}" if past.reason else past.status,
        detail=past.detail,
        took=latency(past.duration),
        attempts=past.attempts,
        http_status=past.http_status,
        trace_id=past.trace_id,
    )


def runs(record: TargetRecord, now: float) -> list[tuple[Moment, str, str]]:
    """The newest healthy runs: when, of which probe, and how long they took."""
    found = [(at, name, seconds) for name, probe in record.probes.items() for at, seconds in probe.recent]
    found.sort(reverse=True)
    return [
        (moment(at, now), name, "" if math.isnan(seconds) else latency(seconds)) for at, name, seconds in found[:RUNS]
    ]
