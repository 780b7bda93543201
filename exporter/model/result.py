"""What one run found, and what the runner made of it."""

from dataclasses import field

from exporter.model.failure import Evidence, Reason, Status
from exporter.model.frozen import frozen
from exporter.model.job import Job
from exporter.model.load import Load
from exporter.model.observation import Measurement, Observation
from exporter.model.sample import Sample


@frozen
class Result:
    """One finished run.

    `planned`, `started` and `ended` are of the engine's monotonic clock; `at` is Unix time of the end. `attempts`
    counts tries made; `failures` holds the reason of each that failed. `suspect`: the loop lagged meanwhile.
    `load` was read at a canary's start, `load_after` once it had ended as busy or slow; None where nothing was told.
    `sample` is of the answer of a canary that watches for drift; None where no whole answer came. `wire` tells people
    what was said on the wire in the last attempt of a run that failed, without secrets.

    `skipped` (`asleep`) says why it was no run after all: nothing was asked that costs, so it is neither good nor bad.
    Its status is then healthy, its evidence none, and its detail says more.
    """

    job: Job
    generation: int
    planned: float
    started: float
    ended: float
    at: float
    status: Status
    evidence: Evidence
    reason: Reason | None
    detail: str
    attempts: int
    failures: tuple[Reason, ...]
    measurement: Measurement
    observation: Observation
    trace_id: str
    retry_after: float | None = None
    suspect: bool = False
    load: Load | None = None
    load_after: Load | None = None
    sample: Sample | None = None
    skipped: str = ""
    wire: str = field(default="", repr=False)

    @property
    def outcome(self) -> str:
        """What became of it, in a word: its status, or why it was no run."""
        return self.skipped or str(self.status)


@frozen
class Past:
    """What is kept of a run that went wrong, for people who come later. `at` is Unix time, `duration` seconds.

    Runs in a row that went wrong in the same way are one: `count` of them since `first_at`; the rest is of the last.
    """

    at: float
    status: Status
    reason: Reason | None
    detail: str
    duration: float | None
    attempts: int
    http_status: int | None
    trace_id: str
    first_at: float
    count: int = 1
