"""How a fake server feels over time."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import accumulate


class Mood(StrEnum):
    """What a fake server does at a moment."""

    WELL = "well"
    SLOW = "slow"  #: answers, late
    LOADING = "loading"  #: 503 everywhere until the model is there
    BROKEN = "broken"  #: 500 everywhere
    HANGING = "hanging"  #: health says 200, inference never answers
    STALLING = "stalling"  #: a stream stops after some tokens and stays open
    BUSY = "busy"  #: health says 200, inference is refused with 429


@dataclass(frozen=True, slots=True)
class Act:
    """A mood that lasts for some seconds."""

    mood: Mood
    seconds: float


class Timeline:
    """Acts in turn, over and over; with `once`, the last act goes on for ever.

    The time runs from `start()`, so that all servers of a stage begin together.
    """

    def __init__(self, acts: Sequence[Act], clock: Callable[[], float], *, once: bool = False) -> None:
        if not acts or any(act.seconds <= 0 for act in acts):
            raise ValueError("a timeline needs acts that last")
        self._acts = tuple(acts)
        self._clock = clock
        self._once = once
        self._ends = tuple(accumulate(act.seconds for act in acts))
        self._began = clock()

    def start(self) -> None:
        """Begin with the first act now."""
        self._began = self._clock()

    @property
    def turns(self) -> int:
        """How many acts have ended since the start."""
        elapsed = self._clock() - self._began
        if self._once:
            return sum(elapsed >= end for end in self._ends[:-1])
        rounds, rest = divmod(elapsed, self._ends[-1])
        return int(rounds) * len(self._acts) + sum(rest >= end for end in self._ends)

    @property
    def mood(self) -> Mood:
        """The mood of this moment."""
        return self._acts[self.turns % len(self._acts)].mood
