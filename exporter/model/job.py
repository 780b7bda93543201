"""A probe of a target, ready to be scheduled and run."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from exporter.model.cost import ONE_REQUEST, Cost
from exporter.model.evaluation import Evaluation
from exporter.model.failure import Reason
from exporter.model.load import Load
from exporter.model.observation import Observation
from exporter.model.target import Target


class Kind(StrEnum):
    """What a probe asks."""

    HEALTH = "health"
    READY = "ready"
    METADATA = "metadata"
    INFER = "infer"
    STREAM = "stream"
    EVALUATE = "evaluate"
    DETECT = "detect"
    CATALOGUE = "catalogue"
    PROPOSE = "propose"

    @property
    def cheap(self) -> bool:
        """Whether it asks the cheap question. `detect` stands in for `health` until it has an answer."""
        return self in (Kind.HEALTH, Kind.READY, Kind.DETECT)

    @property
    def internal(self) -> bool:
        """Whether only we ask it: a config never names it. What it finds becomes jobs, or a proposal of `init`."""
        return self in (Kind.DETECT, Kind.CATALOGUE, Kind.PROPOSE)

    @property
    def canary(self) -> bool:
        """Whether it asks the real one."""
        return self in (Kind.INFER, Kind.STREAM)


class Scope(StrEnum):
    """What a `ready` answer speaks of."""

    MODEL = "model"
    SERVER = "server"


@dataclass(frozen=True, slots=True)
class Schedule:
    """Seconds between runs, seconds one attempt may take, and the first wait before a failed canary is asked again."""

    interval: float
    timeout: float
    recheck: float

    @property
    def deadline(self) -> float:
        """Seconds a whole run may take, attempts and backoff included."""
        return max(self.timeout, self.interval)


@dataclass(frozen=True, slots=True)
class Retry:
    """Attempts within one run. `on` holds reasons and HTTP status codes; None means the table's default."""

    attempts: int = 3
    backoff: float = 0.5
    max_backoff: float = 5.0
    on: frozenset[Reason | int] | None = None


@dataclass(frozen=True, slots=True)
class Thresholds:
    """Runs in a row before effective evidence turns."""

    failure: int = 1
    success: int = 1


@dataclass(frozen=True, slots=True)
class Within:
    """Seconds within which an answer, and the first token of a stream, must be there to be right."""

    duration: float | None = None
    ttft: float | None = None


#: Asks the question on an open `contracts.Exchange`. Raises `Failure`, or returns an observation that may hold one.
Ask = Callable[[Any], Awaitable[Observation]]
#: Reads the server's load on an open `contracts.Exchange`; None where the answer does not tell. Raises `Failure`.
ReadLoad = Callable[[Any], Awaitable[Load | None]]


@dataclass(frozen=True, slots=True, eq=False)
class Job:
    """One probe of one target. `probe` is its name and the label; two jobs are the same when fingerprints are.

    `fingerprint` hashes the merged settings, secrets by reference, target labels left out. A change of labels alone
    keeps counters and phase.
    """

    target: Target
    probe: str
    kind: Kind
    schedule: Schedule
    retry: Retry
    thresholds: Thresholds
    ask: Ask
    fingerprint: str
    scope: Scope = Scope.SERVER
    #: Of a canary whose server tells its load: reads it on an exchange of its own.
    load: ReadLoad | None = None
    #: Whether that tells of all requests together what they took: then it is read before the canary and after it.
    accounts: bool = False
    within: Within | None = None
    #: What a canary's success says that the model can, `""` where it says that the model is well. Only the latter
    #: speaks for the target.
    capability: str = ""
    #: Of a canary: its answers are held against each other.
    drift: bool = False
    #: Of a canary: the most that one attempt uses of a budget.
    cost: Cost = ONE_REQUEST
    #: Modules that take a while to import: a run's time begins when they are there.
    needs: tuple[str, ...] = ()
    #: Of a run that asks many questions, one by one: which, and what their answers are worth. `ask` is then not used.
    evaluation: Evaluation | None = None

    @property
    def canary(self) -> bool:
        """Whether it asks the real question, and speaks for the target."""
        return self.kind.canary and not self.capability

    @property
    def worst(self) -> Cost:
        """The most that one run uses of a budget."""
        return self.cost.times(self.retry.attempts)

    @property
    def key(self) -> tuple[str, str]:
        """Target and probe name: unique."""
        return (self.target.name, self.probe)
