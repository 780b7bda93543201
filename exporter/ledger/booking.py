"""How a finished run is written into the records of its probe and its target. Each run goes through here."""

from typing import Final

from exporter.ledger import metadata
from exporter.ledger.numbers import RECENT_BAD, Bounds, Histogram
from exporter.ledger.records import Dirty, ProbeRecord, TargetRecord, counted
from exporter.model.failure import Evidence, Reason, Status
from exporter.model.result import Past, Result

#: Evidence of a run that shows whether the model can what it was asked for; other runs say nothing of it.
CONCLUSIVE: Final = frozenset({Evidence.OK, Evidence.REFUSED, Evidence.WRONG, Evidence.BROKEN})


# Before 3.12 a member of an enum is looked up by way of its class at each use.
_HEALTHY, _ERROR = Status.HEALTHY, Status.ERROR


def of_probe(probe: ProbeRecord, result: Result, kept: int) -> None:
    """What any run tells of its probe. `kept`: how many healthy runs are remembered one by one."""
    healthy = result.status is _HEALTHY
    measured = result.measurement
    probe.success = healthy
    probe.runs += 1
    probe.attempts += result.attempts
    if result.attempts > 1:
        probe.retries += result.attempts - 1
    probe.last_run_at = result.at
    probe.last_duration = measured.duration
    probe.phases = measured.phases
    probe.http_status = measured.http_status
    probe.response_bytes = measured.response_bytes
    probe.last = result
    if probe.paused:
        probe.paused = dict.fromkeys(probe.paused, False)
    if healthy:
        probe.successes += 1
        probe.last_success_at = result.at
        probe.streak += 1
        stream = result.observation.stream
        ttft = None if stream is None else min(stream.ttft.values(), default=None)
        probe.recent.add(result.at, measured.duration, result.ended - result.started, ttft, kept)
        if measured.duration is not None:
            probe.duration.observe(measured.duration, result.trace_id, result.at)
    else:
        _failure(probe, result)


def _failure(probe: ProbeRecord, result: Result) -> None:
    failures, again = probe.recent_failures, probe.streak == 0
    probe.streak = 0
    probe.last_failure = result
    before = failures[-1] if failures and again else None
    past = _past(result, before)
    probe.recent_failures = (*(failures[:-1] if past.count > 1 else failures), past)[-RECENT_BAD:]
    probe.failures = counted(probe.failures, (result.status, result.reason or Reason.INTERNAL))


def of_costly(target: TargetRecord, probe: ProbeRecord, result: Result, bounds: Bounds) -> None:
    """What only a run that made the model work tells of a probe and its target."""
    job, healthy = result.job, result.status is Status.HEALTHY
    probe.server_seconds = result.observation.server_seconds
    _stream(probe, result, bounds)
    if probe.drift is not None:
        probe.drift.note(result.sample, good=healthy)
    if job.capability:
        probe.capable = healthy if result.evidence in CONCLUSIVE else None
        target.note_capabilities()
    if (evaluated := target.evaluations.get(job.probe)) is not None:
        evaluated.note(result.observation.score, result.at)
        target.dirty |= Dirty.CHANGE
    if job.load is not None:
        target.load = result.load_after or result.load
    if job.canary and healthy and target.lifecycle is not None:
        duration = result.measurement.duration
        if target.lifecycle.good(job.probe, result.started, result.ended, duration):
            target.dirty |= Dirty.CHANGE


def _stream(probe: ProbeRecord, result: Result, bounds: Bounds) -> None:
    stream = result.observation.stream
    tokens = result.observation.tokens
    probe.max_gap = stream.max_gap if stream else None
    probe.time_per_output_token = stream.time_per_output_token if stream else None
    probe.tokens_per_second = stream.output_tokens_per_second if stream else None
    if stream is not None:
        for channel, seconds in stream.ttft.items():
            if (found := probe.ttft.get(channel)) is None:
                found = Histogram(bounds.ttft, bounds.form)
                probe.ttft = {**probe.ttft, channel: found}
            found.observe(seconds, result.trace_id, result.at)
        if probe.inter_chunk is not None:
            for gap in stream.gaps:
                probe.inter_chunk.observe(gap)
        if probe.outcomes is not None:
            probe.outcomes[stream.outcome] += 1
        if tokens is None:
            # The server told no usage: what we saw is the only account there is.
            probe.tokens = counted(probe.tokens, "output", stream.token_events)
    if tokens is not None:
        used = (tokens.input, tokens.output, tokens.reasoning, tokens.cached)
        for kind, count in zip(("input", "output", "reasoning", "cached"), used, strict=True):
            probe.tokens = counted(probe.tokens, kind, count)


def of_target(target: TargetRecord, result: Result) -> None:
    """What any run tells of its target."""
    seen = result.observation
    not_after = result.measurement.certificate_not_after
    if not_after is not None and not_after != target.certificate_not_after:
        target.certificate_not_after = not_after
        target.dirty |= Dirty.CHANGE
    if not (seen.info or seen.facts) or result.status is _ERROR:
        return
    version = target.info.get("model_version")
    if metadata.note(target, seen, canary=result.job.kind.canary):
        target.dirty |= Dirty.CHANGE
        if target.info.get("model_version") != version:
            target.version_at = result.at - (result.ended - result.started)


def _past(result: Result, before: Past | None) -> Past:
    """What is kept of a failure; `before` is that of the run before it, which it goes on when they are alike."""
    measured = result.measurement
    alike = before is not None and (before.status, before.reason, before.http_status) == (
        result.status, result.reason, measured.http_status,
    )  # fmt: skip
    return Past(
        at=result.at,
        status=result.status,
        reason=result.reason,
        detail=result.detail,
        duration=measured.duration,
        attempts=result.attempts,
        http_status=measured.http_status,
        trace_id=result.trace_id,
        first_at=before.first_at if before is not None and alike else result.at,
        count=before.count + 1 if before is not None and alike else 1,
    )
