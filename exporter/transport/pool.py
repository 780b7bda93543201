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

    files: int  #: descriptors it takes
    on_lost: Callable[[Any], None] | None  #: called with it when it turns out to be dead

    @property
    def usable(self) -> bool:
        """Whether another request may be sent."""

    def abort(self) -> None:
        """Drop it at once."""


_Kind = TypeVar("_Kind", bound=Kept)


class Pool:
    """At most one idle connection per key, and no more than take `limit` descriptors. What made it (endpoint, context,
    credentials) must still be in force.

    When it is full a newer one is closed, and no older one makes room: probes come round in turns, so the oldest is the
    next that is wanted, and with one key more than there is room for nobody would find theirs again.
    """

    __slots__ = ("_files", "_idle", "_swept", "limit")

    def __init__(self, limit: int = 65_536) -> None:
        self.limit = limit
        self._files = 0
        self._idle: dict[Key, tuple[Kept, object, float]] = {}
        self._swept = perf_counter()

    def put(self, key: Key, connection: Kept, made_by: object) -> None:
        """Keep a connection whose answer is complete, or close it where there is no room."""
        if key in self._idle:
            self.drop(key)
        now = perf_counter()
        if now - self._swept > _SWEEP:
            self._swept = now
            for old in [other for other, entry in self._idle.items() if now - entry[2] > MAX_IDLE]:
                self.drop(old)
        if self._files + connection.files > self.limit:
            connection.abort()
            return
        connection.on_lost = lambda lost: self._lost(key, lost)
        self._idle[key] = (connection, made_by, now)
        self._files += connection.files

    def take(self, key: Key, made_by: object, kind: type[_Kind]) -> _Kind | None:
        """The kept connection, if it is alive, of this kind and made of the same things; it leaves the pool."""
        entry = self._idle.pop(key, None)
        if entry is None:
            return None
        connection, made_by_then, since = entry
        self._files -= connection.files
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
            self._files -= entry[0].files
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
            self._files -= connection.files
            del self._idle[key]
