"""What is remembered of one probe and of one target."""

from collections import Counter
from collections.abc import Mapping
from typing import Any, Final

from exporter.ledger.drift import Drift
from exporter.ledger.evaluation import Evaluated
from exporter.ledger.lifecycle import Lifecycle
from exporter.ledger.numbers import Bounds, Histogram, Recent
from exporter.model.cost import Balance
from exporter.model.failure import Reason, Status
from exporter.model.job import Job, Kind
from exporter.model.load import Load
from exporter.model.observation import Account
from exporter.model.result import Past, Result
from exporter.model.state import State, Verdict
from exporter.model.stream import Channel, Outcome
from exporter.model.target import Target


class Dirty:
    """Bits: which groups of a target's numbers changed since they were last rendered.

    Plain numbers: an IntFlag's operators are Python code, and one of them would run in every probe.
    """

    STATIC: Final = 1  #: what the config says
    CHANGE: Final = 2  #: what most runs leave as it is: state, info, metadata, retries
    RUN: Final = 4  #: what every run moves
    ALL: Final = 7


class ProbeRecord:
    """One probe of one target. A last-run value the last run did not produce is None or missing, never an old one."""

    __slots__ = (
        "attempts", "capable", "costly", "drift", "duration", "failures", "http_status", "inter_chunk", "interval",
        "job", "last", "last_duration", "last_failure", "last_run_at", "last_success_at", "max_gap", "next_at",
        "outcomes", "paused", "phases", "recent", "recent_failures", "response_bytes", "retries", "runs",
        "server_seconds", "skipped", "streak", "success", "successes", "time_per_output_token", "tokens",
        "tokens_per_second", "ttft",
    )  # fmt: skip

    def __init__(self, job: Job, bounds: Bounds) -> None:
        self.job = job
        #: Its runs make the model work, and so have more to tell than others.
        self.costly = job.kind.canary or job.kind is Kind.EVALUATE
        self.success: bool | None = None
        #: Of a probe of a capability: whether the last run showed it; None where that showed neither.
        self.capable: bool | None = None
        self.runs = self.successes = self.attempts = self.retries = 0
        self.failures: Counter[tuple[Status, Reason]] = Counter()
        self.duration = Histogram(bounds.duration, bounds.form)
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
            self.inter_chunk = Histogram(bounds.inter_chunk, bounds.form)
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
        #: The last run that was not healthy, however long ago.
        self.last_failure: Result | None = None
        self.recent = Recent()
        #: Healthy runs since the last that was not.
        self.streak = 0
        #: A list, because most probes never need one.
        self.recent_failures: list[Past] = []


class TargetRecord:
    """One target: its state and what its probes left behind."""

    __slots__ = (
        "added_at", "balance", "capabilities", "certificate_not_after", "described", "dirty", "disagreements",
        "entered", "evaluations", "facts", "generation", "info", "lifecycle", "load", "memory", "metadata_changes",
        "probes", "rendered", "rests_until", "since", "state_changes", "state_seconds", "target", "verdict",
        "version_at",
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
        #: Unix time at which the first run began that told the version of the model that `info` has.
        self.version_at: float | None = None
        #: Keys of `info` that the server told by itself, and not in answer to a canary.
        self.described: frozenset[str] = frozenset()
        self.certificate_not_after: float | None = None
        #: By name 1 where the model can it, and 0 where it cannot; without those of which the last runs showed neither.
        self.capabilities: dict[str, int] = {}
        #: Read beside the last canary; None where that told nothing.
        self.load: Load | None = None
        #: Of its golden sets, by the probe's name.
        self.evaluations: dict[str, Evaluated] = {}
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
        if now > self.entered:
            self.state_seconds[self.verdict.state] += now - self.entered
        self.entered = now
