"""Connections kept from one run to the next, one per key, for those who asked for it."""

from collections.abc import Callable
from time import perf_counter
from typing import Any, Protocol, TypeVar

Key = tuple[str, str]

#: Seconds a connection may lie unused. Runs further apart than this open a new one.
MAX_IDLE = 900.0
_SWEEP = 60.0


class Kept(Protocol):
    """What can be kept: a connection, whatever it is spoken over."""

    on_lost: Callable[[Any], None] | None  #: called with it when it turns out to be dead

    @property
    def usable(self) -> bool:
        """Whether another request may be sent."""

    def abort(self) -> None:
        """Drop it at once."""


_Kind = TypeVar("_Kind", bound=Kept)


class Pool:
    """At most one idle connection per key, and `limit` in all: a newer one takes the place of the oldest. What made it
    (endpoint, context, credentials) must still be in force.
    """

    __slots__ = ("_idle", "_limit", "_swept")

    def __init__(self, limit: int = 65_536) -> None:
        self._limit = limit
        self._idle: dict[Key, tuple[Kept, object, float]] = {}
        self._swept = perf_counter()

    def put(self, key: Key, connection: Kept, made_by: object) -> None:
        """Keep a connection whose answer is complete."""
        self.drop(key)
        if len(self._idle) >= self._limit:
            self.drop(next(iter(self._idle)))
        now = perf_counter()
        connection.on_lost = lambda lost: self._lost(key, lost)
        self._idle[key] = (connection, made_by, now)
        if now - self._swept > _SWEEP:
            self._swept = now
            for old in [other for other, entry in self._idle.items() if now - entry[2] > MAX_IDLE]:
                self.drop(old)

    def take(self, key: Key, made_by: object, kind: type[_Kind]) -> _Kind | None:
        """The kept connection, if it is alive, of this kind and made of the same things; it leaves the pool."""
        entry = self._idle.pop(key, None)
        if entry is None:
            return None
        connection, made_by_then, since = entry
        connection.on_lost = None
        same = made_by_then is made_by or made_by_then == made_by
        if same and connection.usable and perf_counter() - since <= MAX_IDLE and isinstance(connection, kind):
            return connection
        connection.abort()
        return None

    def drop(self, key: Key) -> None:
        """Close what is kept under a key, if anything."""
        entry = self._idle.pop(key, None)
        if entry is not None:
            entry[0].on_lost = None
            entry[0].abort()

    def close(self) -> None:
        """Close everything."""
        for key in list(self._idle):
            self.drop(key)

    def __len__(self) -> int:
        return len(self._idle)

    def _lost(self, key: Key, connection: Kept) -> None:
        entry = self._idle.get(key)
        if entry is not None and entry[0] is connection:
            del self._idle[key]
