"""What the status page says of a target: plain values in the words people read."""

from collections.abc import Iterator
from dataclasses import dataclass

from exporter.ledger import ProbeRecord, Replicas, TargetRecord
from exporter.model.cost import Balance
from exporter.model.failure import Status
from exporter.model.state import State
from exporter.model.stream import Channel
from exporter.web import drift, replicas
from exporter.web.page import charts
from exporter.web.page.charts import Strip
from exporter.web.words import REASONS, STATES, age, amount, latency, stamp

#: A certificate is mentioned when it ends within this time, in seconds.
CERTIFICATE_NOTICE = 30 * 86400.0


@dataclass(frozen=True, slots=True)
class Moment:
    """An instant: for machines, and how far it is from now."""

    iso: str
    span: str


@dataclass(frozen=True, slots=True)
class ProbeMark:
    """One probe in a word. `mood` is `ok`, `bad`, `none` (no run yet) or `paused`."""

    name: str
    mood: str
    word: str


@dataclass(frozen=True, slots=True)
class TargetRow:
    """One target in words. `address` is empty unless it is one replica of many."""

    name: str
    address: str
    model: str
    url: str
    protocol: str
    server: str
    version: str
    labels: tuple[str, ...]
    state: State
    since: Moment
    reason: str
    detail: str
    notes: tuple[str, ...]
    latency: str
    latency_of: str
    strip: Strip | None
    first_token: str
    first_tokens: Strip | None
    tokens: str
    next: Moment | None
    probes: tuple[ProbeMark, ...]


def row(record: TargetRecord, now: float, group: Replicas | None = None) -> TargetRow:
    """One target as it is now; `now` is Unix time. Of a replica `group` holds the others too."""
    target, verdict, info = record.target, record.verdict, record.info
    main, streaming = main_probe(record), stream_probe(record)
    planned = min((probe.next_at for probe in record.probes.values() if probe.next_at is not None), default=None)
    return TargetRow(
        name=target.name,
        address=target.address,
        model=target.model,
        url=target.endpoint.url,
        protocol=target.protocol,
        server=" ".join(filter(None, (info.get("server"), info.get("server_version")))),
        version=info.get("model_version", ""),
        labels=tuple(f"{name}={value}" for name, value in target.labels.items()),
        state=verdict.state,
        since=moment(record.since, now),
        reason=": ".join(filter(None, (verdict.probe, REASONS[verdict.reason]))) if verdict.reason else "",
        detail=verdict.detail,
        notes=tuple(notes_of(record, now, group)),
        latency=latency(main.last_duration) if main else "",
        latency_of=main.job.probe if main else "",
        strip=charts.runs(main) if main else None,
        first_token=latency(first_token(streaming)) if streaming else "",
        first_tokens=charts.first_tokens(streaming) if streaming else None,
        tokens=amount(spent) if (spent := tokens(record)) else "",
        next=moment(planned, now) if planned is not None else None,
        probes=tuple(_mark(name, probe) for name, probe in record.probes.items()),
    )


def main_probe(record: TargetRecord) -> ProbeRecord | None:
    """The probe whose latency speaks for the target: a canary that ran, else any that ran."""
    ran = [probe for probe in record.probes.values() if probe.runs]
    return next((probe for probe in ran if probe.job.canary), ran[0] if ran else None)


def stream_probe(record: TargetRecord) -> ProbeRecord | None:
    """The first probe that has seen tokens come."""
    return next((probe for probe in record.probes.values() if probe.ttft), None)


def first_token(probe: ProbeRecord) -> float | None:
    """Seconds until the first token of the last run, of the answer itself where that told."""
    stream = probe.last.observation.stream if probe.last else None
    return stream.ttft.get(Channel.CONTENT, min(stream.ttft.values())) if stream and stream.ttft else None


def tokens(record: TargetRecord) -> int:
    """Tokens that the probing of a target has cost since the exporter runs."""
    return sum(sum(probe.tokens.values()) for probe in record.probes.values())


def notes_of(record: TargetRecord, now: float, group: Replicas | None) -> Iterator[str]:
    """What else is worth a word about a target."""
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


def _mark(name: str, probe: ProbeRecord) -> ProbeMark:
    if any(probe.paused.values()):
        return ProbeMark(name, "paused", "paused: " + ", ".join(why for why, on in probe.paused.items() if on))
    if probe.last is None:
        return ProbeMark(name, "none", "has not run yet")
    if probe.last.status is Status.HEALTHY:
        return ProbeMark(name, "ok", "healthy")
    return ProbeMark(name, "bad", REASONS[probe.last.reason] if probe.last.reason else probe.last.status)


def moment(at: float, now: float) -> Moment:
    """An instant, seen from now."""
    return Moment(stamp(at) or "", age(abs(now - at)))
