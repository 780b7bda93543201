"""What is remembered of one probe and of one target."""

from collections import Counter
from collections.abc import Mapping, Sequence
from functools import lru_cache
from types import MappingProxyType
from typing import Any, Final, TypeVar

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

Key = TypeVar("Key")

#: What most records have of most things; whoever notes the first of them gives the record a mapping of its own. Empty
#: ones would be 64 or 88 bytes each, and a target would have a dozen.
NOTHING: Final[Mapping[Any, Any]] = MappingProxyType(Counter())
#: Of targets whose canaries and cheap probes never contradicted each other, by (cheap, canary), each `ok` or `bad`.
_AGREED: Final[Mapping[tuple[str, str], int]] = MappingProxyType({("ok", "bad"): 0, ("bad", "ok"): 0})
#: Where a state's seconds stand.
_PLACES = {state: place for place, state in enumerate(State)}


def counted(counts: Mapping[Key, int], key: Key, more: int = 1) -> Mapping[Key, int]:
    """The counts with so many more of a key: what a record has to have from now on. One of one key it shares."""
    if not counts and more == 1:
        return _once(key)
    own = counts if isinstance(counts, Counter) else Counter(counts)
    own[key] += more
    return own


@lru_cache(maxsize=256)
def _once(key: Any) -> Mapping[Any, int]:
    return MappingProxyType(Counter((key,)))


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
        self.failures: Mapping[tuple[Status, Reason], int] = NOTHING
        self.duration = Histogram(bounds.duration, bounds.form)
        self.last_duration: float | None = None
        self.phases: Mapping[str, float] = NOTHING
        self.last_run_at: float | None = None
        self.last_success_at: float | None = None
        #: Interval in force: re-check and Retry-After included.
        self.interval = job.schedule.interval
        #: Unix time of the next planned run, for the page; None while not scheduled.
        self.next_at: float | None = None
        self.http_status: int | None = None
        self.response_bytes: int | None = None
        self.skipped: Mapping[str, int] = NOTHING
        self.paused: Mapping[str, bool] = NOTHING
        self.ttft: Mapping[Channel, Histogram] = NOTHING
        self.inter_chunk: Histogram | None = None
        self.outcomes: dict[Outcome, int] | None = None
        if job.kind is Kind.STREAM:
            self.inter_chunk = Histogram(bounds.inter_chunk, bounds.form)
            self.outcomes = dict.fromkeys(Outcome, 0)
        self.max_gap: float | None = None
        self.time_per_output_token: float | None = None
        self.tokens_per_second: float | None = None
        self.tokens: Mapping[str, int] = NOTHING
        if job.kind is Kind.STREAM:
            self.tokens = Counter(dict.fromkeys(("input", "output", "reasoning", "cached"), 0))
        #: The server's own account of the last run.
        self.server_seconds: Account = NOTHING
        #: Of a canary whose answers are held against each other.
        self.drift = Drift() if job.drift else None
        self.last: Result | None = None
        #: The last run that was not healthy, however long ago.
        self.last_failure: Result | None = None
        self.recent = Recent()
        #: Healthy runs since the last that was not.
        self.streak = 0
        self.recent_failures: Sequence[Past] = ()


_UNKNOWN = Verdict(State.UNKNOWN)
#: Each empty one would be 216 bytes.
_NO_KEYS: Final[frozenset[str]] = frozenset()


class TargetRecord:
    """One target: its state and what its probes left behind."""

    __slots__ = (
        "added_at", "balance", "capabilities", "certificate_not_after", "described", "dirty", "disagreements",
        "entered", "evaluations", "facts", "generation", "info", "lifecycle", "load", "memory", "metadata_changes",
        "probes", "rendered", "rests_until", "since", "state_changes", "state_seconds", "target", "verdict",
        "version_at", "_place",
    )  # fmt: skip

    def __init__(self, target: Target, generation: int, now: float, at: float) -> None:
        self.target = target
        self.generation = generation
        self.added_at = at
        self.verdict = _UNKNOWN
        self._place = _PLACES[State.UNKNOWN]
        #: Unix time since when the state holds; `entered` is the same moment, or the last settling, monotonic.
        self.since = at
        self.entered = now
        self.state_changes: Mapping[tuple[State, State], int] = NOTHING
        #: In the order of the states.
        self.state_seconds = [0.0] * len(State)
        #: (cheap, canary), each `ok` or `bad`.
        self.disagreements = _AGREED
        self.info: Mapping[str, str] = NOTHING
        self.facts: Mapping[str, float] = NOTHING
        self.metadata_changes: Mapping[str, int] = NOTHING
        #: Unix time at which the first run began that told the version of the model that `info` has.
        self.version_at: float | None = None
        #: Keys of `info` that the server told by itself, and not in answer to a canary.
        self.described = _NO_KEYS
        self.certificate_not_after: float | None = None
        #: By name 1 where the model can it, and 0 where it cannot; without those of which the last runs showed neither.
        self.capabilities: Mapping[str, int] = NOTHING
        #: Read beside the last canary; None where that told nothing.
        self.load: Load | None = None
        #: Of its golden sets, by the probe's name.
        self.evaluations: Mapping[str, Evaluated] = NOTHING
        #: Where its budget stands; None where it has none.
        self.balance: Balance | None = None
        #: Unix time until which it is in maintenance; None while it is not.
        self.rests_until: float | None = None
        #: None where no canary speaks for it.
        self.lifecycle: Lifecycle | None = None
        self.memory: dict[str, Any] = {}
        self.probes: dict[str, ProbeRecord] = {}
        self.dirty: int = Dirty.ALL
        #: The renderer's own cache; nothing else touches it.
        self.rendered: Any = None

    def note_capabilities(self) -> None:
        """Put together what the last runs showed. What several probes ask for, all of them have to show."""
        found: dict[str, int] = {}
        for probe in self.probes.values():
            if probe.capable is not None:
                name = probe.job.capability
                found[name] = int(probe.capable and found.get(name, 1))
        self.capabilities = found or NOTHING

    @property
    def state(self) -> State:
        """The present state."""
        return self.verdict.state

    def settle(self, now: float) -> None:
        """Move the time since the last settling to the account of the present state."""
        if now > self.entered:
            self.state_seconds[self._place] += now - self.entered
        self.entered = now

    def judged(self, verdict: Verdict) -> None:
        """From now on the target is in this state; the time until now was settled."""
        self.verdict = verdict
        self._place = _PLACES[verdict.state]
