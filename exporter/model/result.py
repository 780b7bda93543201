"""What one run found, and what the runner made of it."""

from dataclasses import dataclass

from exporter.model.failure import Evidence, Reason, Status
from exporter.model.job import Job
from exporter.model.observation import Measurement, Observation


@dataclass(frozen=True, slots=True)
class Result:
    """One finished run.

    `planned`, `started` and `ended` are of the engine's monotonic clock; `at` is Unix time of the end. `attempts`
    counts tries made; `failures` holds the reason of each that failed. `suspect`: the loop lagged meanwhile.
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


@dataclass(frozen=True, slots=True)
class Past:
    """What is kept of a run that went wrong, for people who come later. `at` is Unix time, `duration` seconds."""

    at: float
    status: Status
    reason: Reason | None
    detail: str
    duration: float | None
    attempts: int
    http_status: int | None
    trace_id: str
