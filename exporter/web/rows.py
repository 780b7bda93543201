"""What the status page says of a target: plain values in the words people read."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from exporter.ledger import RECENT, ProbeRecord, Replicas, TargetRecord
from exporter.model.cost import Balance
from exporter.model.failure import Status
from exporter.model.state import State
from exporter.model.stream import Channel
from exporter.web import drift, replicas
from exporter.web.words import REASONS, STATES, age, latency, stamp

#: A certificate is mentioned when it ends within this time, in seconds.
CERTIFICATE_NOTICE = 30 * 86400.0
#: Runs a history strip shows, and the strip's height in its own units.
STRIP_RUNS, STRIP_HEIGHT = 16, 20


@dataclass(frozen=True, slots=True)
class Moment:
    """An instant: for machines, and how far it is from now."""

    iso: str
    span: str


@dataclass(frozen=True, slots=True)
class Strip:
    """The last runs as bars: outlines of those that were healthy and of those that were not, as SVG paths."""

    healthy: str
    failed: str
    width: int
    words: str


@dataclass(frozen=True, slots=True)
class ProbeRow:
    """One probe in words. `mood` is `ok`, `bad` or `none` (no run yet)."""

    name: str
    kind: str
    mood: str
    outcome: str
    detail: str
    last: Moment | None
    next: Moment | None
    latency: str
    runs: int
    successes: int
    paused: str


@dataclass(frozen=True, slots=True)
class TargetRow:
    """One target in words. `address` is empty unless it is one replica of many."""

    name: str
    address: str
    model: str
    url: str
    protocol: str
    server: str
    labels: tuple[str, ...]
    state: State
    since: Moment
    reason: str
    detail: str
    notes: tuple[str, ...]
    latency: str
    latency_of: str
    first_token: str
    strip: Strip | None
    probes: tuple[ProbeRow, ...]


def row(record: TargetRecord, now: float, group: Replicas | None = None) -> TargetRow:
    """One target as it is now; `now` is Unix time. Of a replica `group` holds the others too."""
    target, verdict, info = record.target, record.verdict, record.info
    main = _main(record)
    return TargetRow(
        name=target.name,
        address=target.address,
        model=target.model,
        url=target.endpoint.url,
        protocol=target.protocol,
        server=" ".join(filter(None, (info.get("server"), info.get("server_version")))),
        labels=tuple(f"{name}={value}" for name, value in target.labels.items()),
        state=verdict.state,
        since=_moment(record.since, now),
        reason=": ".join(filter(None, (verdict.probe, REASONS[verdict.reason]))) if verdict.reason else "",
        detail=verdict.detail,
        notes=tuple(_notes(record, now, group)),
        latency=latency(main.last_duration) if main else "",
        latency_of=main.job.probe if main else "",
        first_token=latency(_first_token(record)),
        strip=_strip(main) if main else None,
        probes=tuple(_probe(name, probe, now) for name, probe in record.probes.items()),
    )


def _main(record: TargetRecord) -> ProbeRecord | None:
    """The probe whose latency speaks for the target: a canary that ran, else any that ran."""
    ran = [probe for probe in record.probes.values() if probe.runs]
    return next((probe for probe in ran if probe.job.canary), ran[0] if ran else None)


def _first_token(record: TargetRecord) -> float | None:
    for probe in record.probes.values():
        stream = probe.last.observation.stream if probe.last else None
        if stream is not None and stream.ttft:
            return stream.ttft.get(Channel.CONTENT, min(stream.ttft.values()))
    return None


def _notes(record: TargetRecord, now: float, group: Replicas | None) -> Iterator[str]:
    if odd := replicas.oddity(record, group):
        yield f"the odd one: {odd}"
    if record.state is State.UNKNOWN:
        yield STATES[State.UNKNOWN]
    if record.state is State.HEALTHY and not record.verdict.verified:
        asked = any(probe.job.canary for probe in record.probes.values())
        yield "no real request has confirmed it lately" if asked else "cheap checks only, no real request is made"
    yield from drift.notes(record)
    if record.rests_until is not None:
        yield f"in maintenance for {age(max(0.0, record.rests_until - now))} more: nothing is asked, the state stays"
    if record.balance is not None:
        yield f"budget: {budget(record.balance, now)}"
    if record.certificate_not_after is not None and (left := record.certificate_not_after - now) < CERTIFICATE_NOTICE:
        yield f"certificate ends in {age(left)}" if left > 0 else f"certificate ended {age(-left)} ago"


def budget(balance: Balance, now: float) -> str:
    """What is left of a budget, in words."""
    limits = (
        ("tokens", balance.remaining_tokens, balance.allowance.tokens),
        ("requests", balance.remaining_requests, balance.allowance.requests),
    )
    left = ", ".join(f"{left} of {limit} {what}" for what, left, limit in limits if limit is not None)
    return f"{left} left for {age(max(0.0, balance.until - now))}"


def _probe(name: str, probe: ProbeRecord, now: float) -> ProbeRow:
    last = probe.last
    if last is None:
        mood, outcome, detail = "none", "has not run yet", ""
    elif last.status is Status.HEALTHY:
        mood, outcome, detail = "ok", "healthy", ""
    else:
        mood = "bad"
        outcome = f"{last.status}: {REASONS[last.reason]}" if last.reason else last.status
        detail = last.detail
    return ProbeRow(
        name=name,
        kind=probe.job.kind,
        mood=mood,
        outcome=outcome,
        detail=detail,
        last=_moment(probe.last_run_at, now) if probe.last_run_at is not None else None,
        next=_moment(probe.next_at, now) if probe.next_at is not None else None,
        latency=latency(probe.last_duration),
        runs=probe.runs,
        successes=probe.successes,
        paused=", ".join(reason for reason, on in probe.paused.items() if on),
    )


def _moment(at: float, now: float) -> Moment:
    return Moment(stamp(at) or "", age(abs(now - at)))


def _strip(probe: ProbeRecord) -> Strip | None:
    runs = _history(probe)
    if len(runs) < 2:
        return None
    longest = max(seconds for _, seconds, _ in runs)
    paths: dict[bool, list[str]] = {True: [], False: []}
    for position, (_, seconds, good) in enumerate(runs):
        share = seconds / longest if longest else 0.0
        height = STRIP_HEIGHT if not good else max(2, round(share * STRIP_HEIGHT))
        paths[good].append(f"M{position * 5} {STRIP_HEIGHT}v-{height}h4v{height}z")
    failed = len(paths[False])
    words = f"last {len(runs)} runs of {probe.job.probe}: " + (f"{failed} failed" if failed else "all healthy")
    return Strip("".join(paths[True]), "".join(paths[False]), len(runs) * 5 - 1, words)


def _history(probe: ProbeRecord) -> Sequence[tuple[float, float, bool]]:
    """The newest runs in order: (Unix time, seconds, whether healthy).

    Good and failed ones are kept apart, each to its own bound, so what is older than the oldest of a full store would
    show one kind only.
    """
    stores = (
        [(at, 0.0 if math.isnan(seconds) else seconds, True) for at, seconds in probe.recent],
        [(run.at, run.duration or 0.0, False) for run in probe.recent_failures],
    )
    since = max((store[0][0] for store in stores if len(store) == RECENT), default=0.0)
    return sorted(run for store in stores for run in store if run[0] >= since)[-STRIP_RUNS:]
