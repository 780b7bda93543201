"""What is remembered per target between runs, and the exporter's own plain counters. Knows no metric names.

Every number lives in a slot; rendering reads the slots and nothing else. Times are seconds; `*_at` is Unix time.
"""

import time
from collections.abc import Callable, Iterator

from exporter.ledger import booking
from exporter.ledger.booking import CONCLUSIVE
from exporter.ledger.evaluation import Evaluated
from exporter.ledger.lifecycle import Lifecycle
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
from exporter.ledger.records import NOTHING, Dirty, ProbeRecord, TargetRecord, counted
from exporter.ledger.replicas import Replicas
from exporter.ledger.training import TrainingRecord
from exporter.model.cost import Balance
from exporter.model.failure import TABLE, Evidence
from exporter.model.job import Job
from exporter.model.result import Result
from exporter.model.state import State, StateChange, Verdict
from exporter.model.target import Target
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
            if record.lifecycle is None:
                record.lifecycle = Lifecycle(self.clock())
            record.lifecycle.asked(job.probe, self.clock())
        probe = record.probes[job.probe] = ProbeRecord(job, self.bounds)
        evaluations = {name: known for name, known in record.evaluations.items() if name != job.probe}
        if job.evaluation is not None:
            evaluations[job.probe] = Evaluated()
        record.evaluations = evaluations or NOTHING
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

    def renew(self, job: Job, before: Target) -> None:
        """The same job, of a new config; `before` is its target until now. Nothing is left of the old one."""
        record = self.targets[job.target.name]
        record.probes[job.probe].job = job
        if record.target is before:  # else another job of the target brought a new one
            record.target = job.target

    def remove(self, target: str, probe: str) -> None:
        """Forget a probe; a target without probes is forgotten with all its series."""
        record = self.targets.get(target)
        if record is None or record.probes.pop(probe, None) is None:
            return
        record.evaluations = {name: known for name, known in record.evaluations.items() if name != probe} or NOTHING
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
        booking.of_probe(probe, result, self.kept)
        booking.of_target(target, result)
        if probe.costly:
            booking.of_costly(target, probe, result, self.bounds)
        if result.suspect:
            self.own.suspect += 1
        target.settle(self.clock())
        target.dirty |= Dirty.RUN if result.attempts <= 1 else Dirty.RUN | Dirty.CHANGE
        return True

    def judge(self, name: str, verdict: Verdict) -> StateChange | None:
        """Set the verdict on a target. Returns the change when the state became another."""
        record = self.targets[name]
        before = record.verdict
        if verdict == before:
            return None
        now = self.clock()
        record.settle(now)
        record.judged(verdict)
        if (
            verdict.state is State.ERROR
            and verdict.reason is not None
            and TABLE[verdict.reason].evidence is Evidence.DEAD
            and record.lifecycle is not None
        ):
            record.lifecycle.gone(now)
        record.dirty |= Dirty.CHANGE | Dirty.RUN
        if verdict.state is before.state:
            return None
        record.since = self.wall()
        record.state_changes = counted(record.state_changes, (before.state, verdict.state))
        return StateChange(name, record.target.model, before.state, verdict, record.since)

    def disagree(self, name: str, cheap: str, canary: str) -> None:
        """Count one canary run that differs from the cheap evidence; each side is `ok` or `bad`."""
        record = self.targets[name]
        record.disagreements = counted(record.disagreements, (cheap, canary))
        record.dirty |= Dirty.CHANGE

    def skip(self, job: Job, reason: str, count: int = 1, *, paused: bool = False) -> None:
        """Count slots that were not used: asleep, budget, overlap, missed or maintenance. `paused`: the reason goes on,
        and holds until the probe runs again.
        """
        if (record := self.targets.get(job.target.name)) and (probe := record.probes.get(job.probe)):
            probe.skipped = counted(probe.skipped, reason, count)
            if paused:
                probe.paused = {**probe.paused, reason: True}
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
                probe.paused = {**probe.paused, "maintenance": until is not None}
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
                record.dirty |= Dirty.CHANGE

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
