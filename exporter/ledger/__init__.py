"""What is remembered per target between runs, and the exporter's own plain counters. Knows no metric names.

Every number lives in a slot; rendering reads the slots and nothing else. Times are seconds; `*_at` is Unix time.
"""

import time
from collections.abc import Callable, Iterator
from typing import Final

from exporter.ledger import metadata
from exporter.ledger.evaluation import Evaluated
from exporter.ledger.numbers import (
    DURATION_BOUNDS,
    INTER_CHUNK_BOUNDS,
    LAG_BOUNDS,
    RECENT,
    RECENT_BAD,
    RECENT_GOOD,
    TTFT_BOUNDS,
    Bounds,
    Form,
    Good,
    Histogram,
    Recent,
)
from exporter.ledger.own import Own
from exporter.ledger.records import Dirty, ProbeRecord, TargetRecord
from exporter.ledger.replicas import Replicas
from exporter.ledger.training import TrainingRecord
from exporter.model.cost import Balance
from exporter.model.failure import TABLE, Evidence, Reason, Status
from exporter.model.job import Job
from exporter.model.result import Past, Result
from exporter.model.state import State, StateChange, Verdict
from exporter.model.training import Rules

__all__ = [
    "CONCLUSIVE",
    "DURATION_BOUNDS",
    "INTER_CHUNK_BOUNDS",
    "LAG_BOUNDS",
    "RECENT",
    "RECENT_BAD",
    "RECENT_GOOD",
    "TTFT_BOUNDS",
    "Bounds",
    "Dirty",
    "Evaluated",
    "Form",
    "Good",
    "Histogram",
    "Ledger",
    "Own",
    "ProbeRecord",
    "Recent",
    "Replicas",
    "TargetRecord",
    "TrainingRecord",
]


#: Evidence of a run that shows whether the model can what it was asked for; other runs say nothing of it.
CONCLUSIVE: Final = frozenset({Evidence.OK, Evidence.REFUSED, Evidence.WRONG, Evidence.BROKEN})


# Before 3.12 a member of an enum is looked up by way of its class at each use.
_HEALTHY, _ERROR = Status.HEALTHY, Status.ERROR


class Ledger:
    """All records. Only the loop's thread writes; `clock` is the engine's monotonic clock, `wall` Unix time."""

    def __init__(
        self,
        bounds: Bounds | None = None,
        clock: Callable[[], float] = time.perf_counter,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self.bounds = bounds or Bounds()
        self.clock = clock
        self.wall = wall
        self.targets: dict[str, TargetRecord] = {}
        #: Targets that are several servers, by their name in the config.
        self.groups: dict[str, Replicas] = {}
        #: Training jobs whose logs are followed, by name.
        self.trainings: dict[str, TrainingRecord] = {}
        self.own = Own()
        #: Healthy runs of a probe that are remembered one by one.
        self.kept = RECENT_GOOD
        #: Goes up whenever targets or probes come or go: cached orders and headers are stale then.
        self.revision = 0
        self._generation = 0

    def __iter__(self) -> Iterator[TargetRecord]:
        return iter(self.targets.values())

    def add(self, job: Job) -> ProbeRecord:
        """Start remembering a probe, and its target if it is new."""
        name = job.target.name
        record = self.targets.get(name)
        if record is None:
            self._generation += 1
            record = self.targets[name] = TargetRecord(job.target, self._generation, self.clock(), self.wall())
            self._join(record)
        if job.canary:
            record.lifecycle.asked(job.probe, self.clock())
        probe = record.probes[job.probe] = ProbeRecord(job, self.bounds)
        record.evaluations.pop(job.probe, None)
        if job.evaluation is not None:
            record.evaluations[job.probe] = Evaluated()
        record.note_capabilities()
        self._touch(record)
        return probe

    def replace(self, job: Job) -> None:
        """Same fingerprint, maybe other labels: numbers go on, the series carry the new labels."""
        record = self.targets[job.target.name]
        if record.target.group != job.target.group:
            self._leave(record)
        record.target = job.target
        self._join(record)
        record.probes[job.probe].job = job
        self._touch(record)

    def remove(self, target: str, probe: str) -> None:
        """Forget a probe; a target without probes is forgotten with all its series."""
        record = self.targets.get(target)
        if record is None or record.probes.pop(probe, None) is None:
            return
        record.evaluations.pop(probe, None)
        self._touch(record)
        record.note_capabilities()
        if not record.probes:
            del self.targets[target]
            self._leave(record)

    def record(self, result: Result) -> bool:
        """Book one finished run. False, and nothing is booked, when its target or job is gone or was replaced."""
        job = result.job
        target = self.targets.get(job.target.name)
        if target is None or target.generation != result.generation:
            return False
        probe = target.probes.get(job.probe)
        if probe is None or probe.job.fingerprint != job.fingerprint:
            return False
        self._book(probe, result)
        self._book_target(target, result)
        if probe.costly:
            self._book_costly(target, probe, result)
        if result.suspect:
            self.own.suspect += 1
        target.settle(self.clock())
        target.dirty |= Dirty.RUN
        return True

    def judge(self, name: str, verdict: Verdict) -> StateChange | None:
        """Set the verdict on a target. Returns the change when the state became another."""
        record = self.targets[name]
        before = record.verdict
        if verdict == before:
            return None
        now = self.clock()
        record.settle(now)
        record.verdict = verdict
        if (
            verdict.state is State.ERROR
            and verdict.reason is not None
            and TABLE[verdict.reason].evidence is Evidence.DEAD
        ):
            record.lifecycle.gone(now)
        record.dirty |= Dirty.CHANGE | Dirty.RUN
        if verdict.state is before.state:
            return None
        record.since = self.wall()
        record.state_changes[before.state, verdict.state] += 1
        return StateChange(name, record.target.model, before.state, verdict, record.since)

    def disagree(self, name: str, cheap: str, canary: str) -> None:
        """Count one canary run that differs from the cheap evidence; each side is `ok` or `bad`."""
        record = self.targets[name]
        record.disagreements[cheap, canary] += 1
        record.dirty |= Dirty.RUN

    def skip(self, job: Job, reason: str, count: int = 1, *, paused: bool = False) -> None:
        """Count slots that were not used: asleep, budget, overlap, missed or maintenance. `paused`: the reason goes on,
        and holds until the probe runs again.
        """
        if (record := self.targets.get(job.target.name)) and (probe := record.probes.get(job.probe)):
            probe.skipped[reason] += count
            if paused:
                probe.paused[reason] = True
            record.dirty |= Dirty.RUN
            if reason == "missed":
                self.own.missed_slots += count

    def rest(self, name: str, until: float | None) -> None:
        """Note until when a target is in maintenance, Unix time; None: it is not, or no longer."""
        if (record := self.targets.get(name)) is None:
            return
        record.rests_until = until
        for probe in record.probes.values():
            if until is not None or "maintenance" in probe.paused:
                probe.paused["maintenance"] = until is not None
        record.dirty |= Dirty.RUN

    def balance(self, title: str, balance: Balance | None) -> None:
        """Note where the budget of a target stands, which all its replicas share; `""` is that of all targets. None:
        there is none.
        """
        if not title:
            self.own.balance = balance
            return
        group = self.groups.get(title)
        single = self.targets.get(title)
        for record in (*(group.members.values() if group is not None else ()), *((single,) if single else ())):
            record.balance = balance
            record.dirty |= Dirty.RUN

    def planned(self, job: Job, interval: float, next_at: float) -> None:
        """Note the interval in force and the Unix time of the next run."""
        if (record := self.targets.get(job.target.name)) and (probe := record.probes.get(job.probe)):
            probe.next_at = next_at
            if probe.interval != interval:
                probe.interval = interval
                record.dirty |= Dirty.RUN

    def add_training(self, name: str, rules: Rules) -> TrainingRecord:
        """Start remembering a training job; one that is known goes on by these rules."""
        record = self.trainings.get(name)
        if record is None:
            record = self.trainings[name] = TrainingRecord(name, rules, self.wall())
        else:
            record.judge_by(rules)
        return record

    def remove_training(self, name: str) -> None:
        """Forget a training job with all its series."""
        self.trainings.pop(name, None)

    def _join(self, record: TargetRecord) -> None:
        if name := record.target.group:
            self.groups.setdefault(name, Replicas(name)).members[record.target.name] = record

    def _leave(self, record: TargetRecord) -> None:
        if (group := self.groups.get(record.target.group)) is not None:
            group.members.pop(record.target.name, None)
            if not group.members:
                del self.groups[group.name]

    def _touch(self, record: TargetRecord) -> None:
        record.dirty = Dirty.ALL
        record.rendered = None
        self.revision += 1

    def _book(self, probe: ProbeRecord, result: Result) -> None:
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
            probe.recent.add(result.at, measured.duration, result.ended - result.started, ttft, self.kept)
            if measured.duration is not None:
                probe.duration.observe(measured.duration, result.trace_id, result.at)
        else:
            self._book_failure(probe, result)

    def _book_failure(self, probe: ProbeRecord, result: Result) -> None:
        failures, again = probe.recent_failures, probe.streak == 0
        probe.streak = 0
        probe.last_failure = result
        before = failures[-1] if failures and again else None
        past = _past(result, before)
        if past.count > 1:
            failures[-1] = past
        else:
            failures.append(past)
            del failures[:-RECENT_BAD]
        probe.failures[result.status, result.reason or Reason.INTERNAL] += 1

    def _book_costly(self, target: TargetRecord, probe: ProbeRecord, result: Result) -> None:
        """What only a run that made the model work tells of a probe and its target."""
        job, healthy = result.job, result.status is Status.HEALTHY
        probe.server_seconds = result.observation.server_seconds
        self._book_stream(probe, result)
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
        if job.canary and healthy:
            duration = result.measurement.duration
            if target.lifecycle.good(job.probe, result.started, result.ended, duration):
                target.dirty |= Dirty.CHANGE

    def _book_stream(self, probe: ProbeRecord, result: Result) -> None:
        stream = result.observation.stream
        tokens = result.observation.tokens
        probe.max_gap = stream.max_gap if stream else None
        probe.time_per_output_token = stream.time_per_output_token if stream else None
        probe.tokens_per_second = stream.output_tokens_per_second if stream else None
        if stream is not None:
            for channel, seconds in stream.ttft.items():
                if (found := probe.ttft.get(channel)) is None:
                    found = probe.ttft[channel] = Histogram(self.bounds.ttft, self.bounds.form)
                found.observe(seconds, result.trace_id, result.at)
            if probe.inter_chunk is not None:
                for gap in stream.gaps:
                    probe.inter_chunk.observe(gap)
            if probe.outcomes is not None:
                probe.outcomes[stream.outcome] += 1
            if tokens is None:
                # The server told no usage: what we saw is the only account there is.
                probe.tokens["output"] += stream.token_events
        if tokens is not None:
            probe.tokens["input"] += tokens.input
            probe.tokens["output"] += tokens.output
            probe.tokens["reasoning"] += tokens.reasoning
            probe.tokens["cached"] += tokens.cached

    def _book_target(self, target: TargetRecord, result: Result) -> None:
        seen = result.observation
        if result.measurement.certificate_not_after is not None:
            target.certificate_not_after = result.measurement.certificate_not_after
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
