"""What a server tells of its load, and of what its requests took."""

from collections.abc import Mapping
from dataclasses import dataclass

from exporter.model.observation import Account, Part


@dataclass(frozen=True, slots=True)
class Spent:
    """The server's own account of all requests it answered so far: how many, and seconds by part over all of them."""

    requests: int
    seconds: Mapping[Part, float]


@dataclass(frozen=True, slots=True)
class Load:
    """One reading; None is what the server does not tell.

    `running` requests at work, `waiting` in its queue, `capacity` how many can run at once. `progress` is any counter
    that moves while it works (tokens made, requests finished): only the difference of two readings means something.
    `spent` is told by servers that account for their requests in all and not one by one.
    """

    running: float | None = None
    waiting: float | None = None
    capacity: float | None = None
    progress: float | None = None
    spent: Spent | None = None


def of_one(before: Load | None, after: Load | None) -> Account:
    """What the one request took that was answered between two readings; nothing unless it was exactly one."""
    first = before.spent if before is not None else None
    last = after.spent if after is not None else None
    if first is None or last is None or last.requests != first.requests + 1:
        return {}
    took = {part: total - first.seconds.get(part, 0.0) for part, total in last.seconds.items()}
    return took if all(seconds >= 0 for seconds in took.values()) else {}
