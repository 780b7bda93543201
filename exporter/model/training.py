"""What the log of a training job says, and what the operator wants to know of it: values only."""

from collections.abc import Set
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

#: Names of values that are kept of one job where no list of names is given.
MAX_NAMES = 64
#: Seconds without a value after which a job is taken for stalled.
STALL_AFTER = 600.0

#: MLflow's RunStatus, of a run that has ended. RUNNING and SCHEDULED are no end.
_RUN = {"FINISHED": "finished", "FAILED": "failed", "KILLED": "killed"}


class Outcome(StrEnum):
    """How a training job ended. A job that has none is still going on, as far as anyone told.

    There is none for "its log ended": a log says by what stands in it, and a file that stops growing is a stall.
    """

    FINISHED = "finished"  #: it did all it was to do, or stopped early because its own rule said so
    FAILED = "failed"  #: it ended by an error of its own
    KILLED = "killed"  #: someone ended it: a signal, a cancelled run, memory taken away

    @classmethod
    def of_exit(cls, status: int) -> "Outcome":
        """Of a process. Negative, or above 128 as shells and containers say it (137: SIGKILL), is a signal."""
        if status == 0:
            return cls.FINISHED
        return cls.KILLED if status < 0 or status > 128 else cls.FAILED

    @classmethod
    def of_run(cls, status: str) -> "Outcome | None":
        """Of an MLflow run, by its RunStatus; None while it has not ended."""
        found = _RUN.get(status)
        return None if found is None else cls(found)


class Reading(NamedTuple):
    """What one line, or one answer of a tracking server, told. What it did not tell is None or empty.

    `epoch` is as the trainer counts them, broken ones included (1.5). `progress` is the done share of the whole job,
    0 to 1. `values` are (name, number) in the order they stood; numbers may be NaN or infinite. A tuple and no
    dataclass: a log may bring 100,000 of them a second.
    """

    step: int | None = None
    epoch: float | None = None
    progress: float | None = None
    values: tuple[tuple[str, float], ...] = ()
    outcome: Outcome | None = None


@dataclass(frozen=True, slots=True)
class Divergence:
    """When a job counts as diverged: each of the last `values` values of `name` was more than `factor` times the
    smallest there was, or was not finite.
    """

    name: str = "loss"
    factor: float = 2.0
    values: int = 10


@dataclass(frozen=True, slots=True)
class Rules:
    """How the readings of one job are judged.

    `stall_after` is in seconds. `names`: the only names of values that are kept; None: the first MAX_NAMES that come.
    """

    stall_after: float = STALL_AFTER
    names: Set[str] | None = None
    divergence: Divergence | None = None
