"""Waiting before something is tried again."""

import random

#: Seconds: the longest first wait, and the longest of all.
FIRST, LONGEST = 1.0, 60.0


class Backoff:
    """Waits that double with each failure in a row, with jitter: what died together does not come back together."""

    def __init__(self, first: float = FIRST, longest: float = LONGEST) -> None:
        self._first = first
        self._longest = longest
        self._failures = 0

    def next(self) -> float:
        """Seconds until the next try."""
        wait = min(self._longest, self._first * 2.0 ** min(self._failures, 32))
        self._failures += 1
        return wait * random.uniform(0.5, 1.0)  # noqa: S311 - no secret depends on it

    def reset(self) -> None:
        """It works."""
        self._failures = 0
