"""What is remembered per target between runs, and the exporter's own plain counters. Knows no metric names.

Every number lives in a slot; rendering reads the slots and nothing else. Times are seconds; `*_at` is Unix time.
"""

import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from exporter.ledger import metadata
from exporter.ledger.drift import Drift
from exporter.ledger.lifecycle import Lifecycle
from exporter.ledger.numbers import (
    DURATION_BOUNDS,
    INTER_CHUNK_BOUNDS,
    LAG_BOUNDS,
    RECENT,
    TTFT_BOUNDS,
    Bounds,
    Histogram,
    Recent,
)
from exporter.ledger.replicas import Replicas
from exporter.model.cost import Balance
from exporter.model.failure import TABLE, Evidence, Reason, Status
from exporter.model.job import Job, Kind
from exporter.model.load import Load
from exporter.model.observation import Account
from exporter.model.result import Past, Result
from exporter.model.state import State, StateChange, Verdict
from exporter.model.stream import Channel, Outcome
from exporter.model.target import Target

__all__ = [
    "CONCLUSIVE",
    "DURATION_BOUNDS",
    "INTER_CHUNK_BOUNDS",
    "LAG_BOUNDS",
    "RECENT",
    "TTFT_BOUNDS",
    "Bounds",
    "Dirty",
    "Histogram",
    "Ledger",
    "Own",
    "ProbeRecord",
    "Recent",
    "Replicas",
    "TargetRecord",
]


#: Evidence of a run that shows whether the model can what it was asked for; other runs say nothing of it.
CONCLUSIVE: Final = frozenset({Evidence.OK, Evidence.REFUSED, Evidence.WRONG, Evidence.BROKEN})


class Dirty:
    """Bits: which groups of a target's numbers changed since they were last rendered.

    Plain numbers: an IntFlag's operators are Python code, and one of them would run in every probe.
    """

    STATIC: Final = 1  #: what the config says
    CHANGE: Final = 2  #: state, info, metadata
    RUN: Final = 4  #: what every run moves
    ALL: Final = 7


class ProbeRecord:
    """One probe of one target. A last-run value the last run did not produce is None or missing, never an old one."""

    __slots__ = (
        "attempts", "capable", "drift", "duration", "failures", "http_status", "inter_chunk", "interval", "job", "last",
        "last_duration", "last_run_at", "last_success_at", "max_gap", "next_at", "outcomes", "paused", "phases",
        "recent", "recent_failures", "response_bytes", "retries", "runs", "server_seconds", "skipped", "success",
        "successes", "time_per_output_token", "tokens", "tokens_per_second", "ttft",
    )  # fmt: skip

    def __init__(self, job: Job, bounds: Bounds) -> None:
        self.job = job
        self.success: bool | None = None
        #: Of a probe of a capability: whether the last run showed it; None where that showed neither.
        self.capable: bool | None = None
        self.runs = self.successes = self.attempts = self.retries = 0
        self.failures: Counter[tuple[Status, Reason]] = Counter()
        self.duration = Histogram(bounds.duration)
        self.last_duration: float | None = None
        self.phases: Mapping[str, float] = {}
        self.last_run_at: float | None = None
        self.last_success_at: float | None = None
        #: Interval in force: re-check and Retry-After included.
        self.interval = job.schedule.interval
        #: Unix time of the next planned run, for the page; None while not scheduled.
        self.next_at: float | None = None
        self.http_status: int | None = None
        self.response_bytes: int | None = None
        self.skipped: Counter[str] = Counter()
        self.paused: dict[str, bool] = {}
        self.ttft: dict[Channel, Histogram] = {}
        self.inter_chunk: Histogram | None = None
        self.outcomes: dict[Outcome, int] | None = None
        if job.kind is Kind.STREAM:
            self.inter_chunk = Histogram(bounds.inter_chunk)
            self.outcomes = dict.fromkeys(Outcome, 0)
        self.max_gap: float | None = None
        self.time_per_output_token: float | None = None
        self.tokens_per_second: float | None = None
        self.tokens: Counter[str] = Counter()
        if job.kind is Kind.STREAM:
            self.tokens.update(dict.fromkeys(("input", "output", "reasoning", "cached"), 0))
        #: The server's own account of the last run.
        self.server_seconds: Account = {}
        #: Of a canary whose answers are held against each other.
        self.drift = Drift() if job.drift else None
        self.last: Result | None = None
        self.recent = Recent()
        #: A list, because most probes never need one.
        self.recent_failures: list[Past] = []


class TargetRecord:
    """One target: its state and what its probes left behind."""

    __slots__ = (
        "added_at", "balance", "capabilities", "certificate_not_after", "described", "dirty", "disagreements",
        "entered", "facts", "generation", "info", "lifecycle", "load", "memory", "metadata_changes", "probes",
        "rendered", "rests_until", "since", "state_changes", "state_seconds", "target", "verdict",
    )  # fmt: skip

    def __init__(self, target: Target, generation: int, now: float, at: float) -> None:
        self.target = target
        self.generation = generation
        self.added_at = at
        self.verdict = Verdict(State.UNKNOWN)
        #: Unix time since when the state holds; `entered` is the same moment, or the last settling, monotonic.
        self.since = at
        self.entered = now
        self.state_changes: Counter[tuple[State, State]] = Counter()
        self.state_seconds = dict.fromkeys(State, 0.0)
        #: (cheap, canary), each `ok` or `bad`.
        self.disagreements = {("ok", "bad"): 0, ("bad", "ok"): 0}
        self.info: dict[str, str] = {}
        self.facts: dict[str, float] = {}
        self.metadata_changes: Counter[str] = Counter()
        #: Keys of `info` that the server told by itself, and not in answer to a canary.
        self.described: frozenset[str] = frozenset()
        self.certificate_not_after: float | None = None
        #: By name 1 where the model can it, and 0 where it cannot; without those of which the last runs showed neither.
        self.capabilities: dict[str, int] = {}
        #: Read beside the last canary; None where that told nothing.
        self.load: Load | None = None
        #: Where its budget stands; None where it has none.
        self.balance: Balance | None = None
        #: Unix time until which it is in maintenance; None while it is not.
        self.rests_until: float | None = None
        self.lifecycle = Lifecycle(now)
        self.memory: dict[str, Any] = {}
        self.probes: dict[str, ProbeRecord] = {}
        self.dirty: int = Dirty.ALL
        #: The renderer's own cache; nothing else touches it.
        self.rendered: Any = None

    def note_capabilities(self) -> None:
        """Put together what the last runs showed. What several probes ask for, all of them have to show."""
        self.capabilities = {}
        for probe in self.probes.values():
            if probe.capable is not None:
                name = probe.job.capability
                self.capabilities[name] = int(probe.capable and self.capabilities.get(name, 1))

    @property
    def state(self) -> State:
        """The present state."""
        return self.verdict.state

    def settle(self, now: float) -> None:
        """Move the time since the last settling to the account of the present state."""
        self.state_seconds[self.verdict.state] += max(0.0, now - self.entered)
        self.entered = now


class Own:
    """The exporter's plain counters about itself."""

    __slots__ = (
        "balance", "component_restarts", "discovery_failures", "discovery_last_success_at", "discovery_over_limit",
        "in_flight", "internal_errors", "loop_lag", "missed_slots", "models_missing", "on_demand",
        "reload_success_at", "reload_successful", "reloads", "schedule_delay", "scrape_seconds", "scrape_series",
        "slots", "suspect", "targets", "unread_loads", "waiting",
    )  # fmt: skip

    def __init__(self) -> None:
        #: Where the budget of all targets together stands.
        self.balance: Balance | None = None
        self.in_flight = 0
        self.waiting = 0
        self.slots = 0
        self.missed_slots = 0
        self.suspect = 0
        #: Readings of a server's load that failed. They are no measurement, so nobody is told of them one by one.
        self.unread_loads = 0
        self.schedule_delay = Histogram(LAG_BOUNDS)
        self.loop_lag = Histogram(LAG_BOUNDS)
        self.reloads = {"success": 0, "failure": 0}
        self.reload_successful = False
        self.reload_success_at: float | None = None
        self.targets: dict[str, int] = {}  #: by source
        self.on_demand = {"ok": 0, "bad_request": 0, "denied": 0, "limited": 0}
        self.component_restarts: Counter[str] = Counter()
        self.internal_errors: Counter[str] = Counter()
        self.discovery_last_success_at: dict[str, float] = {}
        self.discovery_failures: Counter[str] = Counter()
        self.discovery_over_limit: dict[str, int] = {}  #: by source: found, and not watched
        self.models_missing: dict[str, int] = {}  #: by source: expected, and not listed
        #: Of the last scrape written out: work it took, waiting for the reader excluded, and sample lines.
        self.scrape_seconds: float | None = None
        self.scrape_series: int | None = None


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
        self.own = Own()
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
        self.own.suspect += result.suspect
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
        healthy = result.status is Status.HEALTHY
        measured = result.measurement
        probe.success = healthy
        if result.job.capability:
            probe.capable = healthy if result.evidence in CONCLUSIVE else None
        probe.runs += 1
        probe.attempts += result.attempts
        probe.retries += max(0, result.attempts - 1)
        probe.last_run_at = result.at
        probe.last_duration = measured.duration
        probe.phases = measured.phases
        probe.http_status = measured.http_status
        probe.response_bytes = measured.response_bytes
        probe.server_seconds = result.observation.server_seconds
        probe.last = result
        if probe.paused:
            probe.paused = dict.fromkeys(probe.paused, False)
        if healthy:
            probe.successes += 1
            probe.last_success_at = result.at
            probe.recent.add(result.at, measured.duration)
            if measured.duration is not None:
                probe.duration.observe(measured.duration, result.trace_id, result.at)
        else:
            probe.recent_failures.append(_past(result))
            del probe.recent_failures[:-RECENT]
            probe.failures[result.status, result.reason or Reason.INTERNAL] += 1
        self._book_stream(probe, result)
        if probe.drift is not None:
            probe.drift.note(result.sample, good=healthy)

    def _book_stream(self, probe: ProbeRecord, result: Result) -> None:
        stream = result.observation.stream
        tokens = result.observation.tokens
        probe.max_gap = stream.max_gap if stream else None
        probe.time_per_output_token = stream.time_per_output_token if stream else None
        probe.tokens_per_second = stream.output_tokens_per_second if stream else None
        if stream is not None:
            for channel, seconds in stream.ttft.items():
                probe.ttft.setdefault(channel, Histogram(self.bounds.ttft)).observe(seconds, result.trace_id, result.at)
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
        if result.job.capability:
            target.note_capabilities()
        if result.job.load is not None:
            target.load = result.load_after or result.load
        if result.job.canary and result.status is Status.HEALTHY:
            target.lifecycle.good(result.job.probe, result.started, result.ended, result.measurement.duration)
        if result.status is Status.ERROR:
            return
        if metadata.note(target, seen, canary=result.job.kind.canary):
            target.dirty |= Dirty.CHANGE


def _past(result: Result) -> Past:
    return Past(
        at=result.at,
        status=result.status,
        reason=result.reason,
        detail=result.detail,
        duration=result.measurement.duration,
        attempts=result.attempts,
        http_status=result.measurement.http_status,
        trace_id=result.trace_id,
    )
