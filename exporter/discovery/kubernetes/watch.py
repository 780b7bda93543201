"""One collection of objects in a cluster: listed once, and followed from there.

A watch that ends, by itself or not, is opened again where it stopped; what happened in between is told then. Only when
that is too long ago (410), or the server refuses, all is listed anew.
"""

import asyncio
import random
import time
from collections.abc import Callable, Mapping
from contextlib import aclosing
from typing import Any

from exporter.discovery.kubernetes.api import Api, Gone
from exporter.discovery.kubernetes.kept import Kept
from exporter.model.failure import Failure, Reason
from exporter.slices import unhurried

#: Seconds after which the server ends a watch by itself, at most twice as many, and how much longer it is waited for.
_WATCH, _GRACE = 300, 30.0
#: Seconds until a watch that broke is opened again; they double while it breaks again within `_STEADY` seconds.
_FIRST, _LONGEST, _STEADY = 0.2, 30.0, 10.0


class Watched:
    """The objects of one path, as far as `keep` keeps them. `shown` names it to people."""

    def __init__(
        self, api: Api, shown: str, path: str, query: Mapping[str, str], keep: Callable[[Mapping[str, Any]], Kept]
    ) -> None:
        self.shown = shown
        #: By name; None until they were listed once.
        self.kept: dict[str, Kept] | None = None
        self._api = api
        self._path = path
        self._query = query
        self._keep = keep
        self._version = ""
        self._listed = asyncio.Event()
        self._not_listed: Failure | None = None
        self._not_watched: Failure | None = None

    @property
    def old(self) -> bool:
        """Whether the last try to list it failed."""
        return self._not_listed is not None

    @property
    def failure(self) -> Failure | None:
        """Why what is kept may be old."""
        return self._not_listed or self._not_watched

    async def list(self) -> None:
        """Have the list, unless a watch goes on from one. What fails is remembered, and raises nothing."""
        if self._listed.is_set():
            return
        try:
            for last in (False, True):
                try:
                    objects, version = await self._api.list(self._path, self._query)
                    break
                except Gone:  # between two pages
                    if last:
                        raise Failure(Reason.HTTP_STATUS, "the server answers 410", http_status=410) from None
        except Failure as failure:
            self._not_listed = failure
            return
        fresh: dict[str, Kept] = {}
        async for each in unhurried(objects):
            if (kept := self._kept(each)) is not None:
                fresh[kept.id] = kept
        self.kept, self._version, self._not_listed = fresh, version, None
        if self._not_watched is not None and self._not_watched.http_status is None:
            self._not_watched = None  # the way is open again; a server that refuses to watch is another matter
        self._listed.set()

    async def follow(self, changed: Callable[[], None]) -> None:
        """Follow the list, until cancelled. `changed` is called when something else is kept, or `list` is needed."""
        broke = 0
        while True:
            await self._listed.wait()
            since = time.monotonic()
            try:
                await self._watch(changed)
            except Gone:
                self._anew(changed)
            except _Refused as refused:
                first = self._not_watched is None
                self._not_watched = refused.failure
                self._anew(changed if first else None)  # afterwards whoever asks again has its own pace
            except Failure:
                pass  # it broke on the way
            broke = 0 if time.monotonic() - since >= _STEADY else min(broke + 1, 30)
            wait = min(_LONGEST, _FIRST * 2.0 ** (broke - 1)) if broke else 0.0
            await asyncio.sleep(wait * random.uniform(0.5, 1))  # noqa: S311 - no secret depends on it

    def _anew(self, changed: Callable[[], None] | None) -> None:
        self._listed.clear()
        if changed is not None:
            changed()

    async def _watch(self, changed: Callable[[], None]) -> None:
        """Until it ends. Raises `Gone`, `_Refused` when it could not be opened, and `Failure` when it broke."""
        opened = False
        seconds = round(_WATCH * random.uniform(1, 2))  # noqa: S311 - no secret depends on it
        watch = self._api.watch(self._path, self._query, self._version, seconds)
        try:
            async with asyncio.timeout(seconds + _GRACE), aclosing(watch) as events:
                async for kind, found in events:
                    if kind == "OPEN":
                        opened = True
                        if self._not_watched is not None:
                            self._not_watched = None
                            changed()
                    elif self._learned(kind, found):
                        changed()
        except TimeoutError:
            pass  # the server should have ended it
        except Failure as failure:
            if not opened:
                raise _Refused(failure) from None
            raise

    def _learned(self, kind: str, found: Mapping[str, Any]) -> bool:
        """Whether an event changed what is kept."""
        metadata = found.get("metadata")
        if not isinstance(metadata, dict) or not metadata.get("resourceVersion"):
            raise Gone  # not to be followed
        assert self.kept is not None  # noqa: S101 - a watch follows a list
        self._version = str(metadata["resourceVersion"])
        if kind == "BOOKMARK":
            return False
        name = f"{metadata.get('namespace', '')}/{metadata.get('name', '')}"
        before, kept = self.kept.pop(name, None), self._kept(found) if kind != "DELETED" else None
        if kept is not None:
            self.kept[name] = kept
        return kept != before

    def _kept(self, found: Mapping[str, Any]) -> Kept | None:
        """None for what nobody asks for, and for what is no such object: others write them, and one that is strange
        must not hide the rest.
        """
        try:
            kept = self._keep(found)
        except (KeyError, TypeError, AttributeError, ValueError):
            return None
        return kept if kept.asked is not None or kept.problem or kept.of else None


class _Refused(Exception):
    """A watch could not be opened."""

    def __init__(self, failure: Failure) -> None:
        self.failure = failure
