"""States of a target, and the change from one to another."""

from dataclasses import dataclass
from enum import StrEnum

from exporter.model.failure import Reason


class State(StrEnum):
    """What is believed of a target. Exactly one holds at any time."""

    HEALTHY = "healthy"
    LOADING = "loading"
    SATURATED = "saturated"
    ZOMBIE = "zombie"
    UNHEALTHY = "unhealthy"
    ERROR = "error"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Verdict:
    """A state and what it rests on.

    `reason` and `detail` are those of the evidence that decided; both are empty for a healthy state. `verified`:
    the state rests on a current canary.
    """

    state: State
    reason: Reason | None = None
    detail: str = ""
    probe: str = ""
    verified: bool = False


@dataclass(frozen=True, slots=True)
class StateChange:
    """One target went from a state to another. `at` is Unix time in seconds."""

    target: str
    model: str
    before: State
    verdict: Verdict
    at: float
