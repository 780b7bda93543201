"""When a target is left alone: windows that a config names, and times that somebody announced."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta, tzinfo
from math import inf
from typing import Protocol


class Window(Protocol):
    """Times of maintenance. All are Unix time, in seconds."""

    def until(self, now: float) -> float | None:
        """The end of the maintenance that goes on at `now`; None when none does."""

    def next(self, now: float) -> float:
        """When it next begins, later than `now`; never: infinity."""


@dataclass(frozen=True, slots=True)
class Span:
    """Once, from one instant until another."""

    begins: float
    ends: float

    def until(self, now: float) -> float | None:
        """Its end, while it goes on."""
        return self.ends if self.begins <= now < self.ends else None

    def next(self, now: float) -> float:
        """Its begin, before that."""
        return self.begins if now < self.begins else inf


@dataclass(frozen=True, slots=True)
class Weekly:
    """On some days of the week, Monday is 0, at a time of day in a zone, for so many seconds.

    A time that the clocks of the zone skip is taken as if they had not; of one they show twice the first counts.
    """

    days: frozenset[int]
    at: time
    seconds: float
    zone: tzinfo = UTC

    def until(self, now: float) -> float | None:
        """The end of the one that began last, while that goes on."""
        last = max((begin for begin in self._begins(now) if begin <= now), default=-inf)
        return last + self.seconds if now < last + self.seconds else None

    def next(self, now: float) -> float:
        """The first begin after `now`."""
        return min((begin for begin in self._begins(now) if begin > now), default=inf)

    def _begins(self, now: float) -> Iterator[float]:
        """Those of the week before and the week after."""
        today = datetime.fromtimestamp(now, self.zone).date()
        for offset in range(-8, 9):
            day = today + timedelta(days=offset)
            if day.weekday() in self.days:
                yield datetime.combine(day, self.at, self.zone).timestamp()


@dataclass(frozen=True, slots=True)
class Wish:
    """Which targets shall be left alone, and for how many seconds: those that have one of the names (of a target, or
    of one of its replicas) and all of the traits. Where there are no names, every name will do.
    """

    names: frozenset[str]
    traits: Mapping[str, str]
    seconds: float
    comment: str = ""

    def means(self, name: str, title: str, trait: Callable[[str], str | None]) -> bool:
        """Whether a target is one of them; `trait` gives what it can be selected by."""
        if self.names and name not in self.names and title not in self.names:
            return False
        return all(trait(key) == value for key, value in self.traits.items())


@dataclass(frozen=True, slots=True)
class Announced:
    """A wish that was granted; `begins` and `ends` are Unix time."""

    id: str
    wish: Wish
    begins: float
    ends: float


def ends(windows: tuple[Window, ...], now: float) -> float | None:
    """When the last of the maintenances that go on at `now` ends; None when none does."""
    return max((end for window in windows if (end := window.until(now)) is not None), default=None)
