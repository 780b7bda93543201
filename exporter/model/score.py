"""What the runs of an evaluation found."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum


class Outcome(StrEnum):
    """What became of one example. The counts of a run add up to its data set."""

    SCORED = "scored"
    UNREADABLE = "unreadable"  #: an answer came, and the scorer can make nothing of it
    FAILED = "failed"  #: no valid answer came, also when it was asked again
    NOT_ASKED = "not_asked"  #: the run was over before: its budget was spent, or its time


@dataclass(frozen=True, slots=True)
class Score:
    """What one run found. `value` is None for a run that was not complete, `low` and `high` also where too few examples
    were scored for an interval; `threshold` is None where nothing is asked for.

    `dataset` is the SHA-256 of the data set, `""` when it could not be read; `seconds` is how long the run took.
    """

    metric: str
    outcomes: Mapping[Outcome, int] = field(default_factory=dict)
    value: float | None = None
    low: float | None = None
    high: float | None = None
    threshold: float | None = None
    below: bool = False
    dataset: str = ""
    seconds: float = 0.0

    @property
    def examples(self) -> int:
        """How many the data set has."""
        return sum(self.outcomes.values())

    @property
    def coverage(self) -> float | None:
        """Share of the examples that were answered; None without any."""
        return self.outcomes.get(Outcome.SCORED, 0) / self.examples if self.examples else None
