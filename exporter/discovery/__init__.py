"""What there is to watch, found out again and again.

One supervised loop per discoverer. What it found last stays while it fails, for a server or a resolver that does not
answer says nothing about what exists. Whoever owns the room turns what was found into jobs.
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import Awaitable, Callable, Sequence

from exporter import log
from exporter.contracts import Discoverer, Follower, Found
from exporter.ledger import Own
from exporter.model.failure import Failure, Reason

__all__ = ["Discovery"]

logger = logging.getLogger(__name__)

#: Seconds until a question that failed is asked again; they double with each further failure, up to the interval.
RECHECK = 5.0
#: Names that one log line tells.
_TOLD = 10

#: Runs a function until it is cancelled, and again when it crashes.
Supervise = Callable[[Callable[[], Awaitable[None]]], "asyncio.Task[None]"]


class Discovery:
    """All discoverers at work. `changed` is called on the loop when something else, or nothing for the first time, was
    found.
    """

    def __init__(
        self,
        *,
        own: Own,
        supervise: Supervise,
        changed: Callable[[], None],
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._own = own
        self._supervise = supervise
        self._changed = changed
        self._wall = wall
        self._loops: dict[str, _Loop] = {}

    def take(self, discoverers: Sequence[Discoverer]) -> None:
        """Make these the ones that are asked, each at once where it is new or asks something else now."""
        for source in self._loops.keys() - {discoverer.source for discoverer in discoverers}:
            self._drop(source)
        for discoverer in discoverers:
            known = self._loops.get(discoverer.source)
            if known is not None and known.discoverer.place == discoverer.place:
                known.replace(discoverer)
                continue
            if known is not None:
                self._drop(discoverer.source)
            self._own.discovery_failures[discoverer.source] = 0
            loop = self._loops[discoverer.source] = _Loop(discoverer, self._own, self._changed, self._wall)
            loop.task = self._supervise(loop.run)

    def found(self, source: str) -> Found | None:
        """What was found last; None before that."""
        known = self._loops.get(source)
        return known.found if known is not None else None

    def tried(self, source: str) -> bool:
        """Whether an answer came, or at least a failure."""
        known = self._loops.get(source)
        return known is not None and known.tried

    def _drop(self, source: str) -> None:
        task = self._loops.pop(source).task
        if task is not None:
            task.cancel()
        own = self._own
        for numbers in (
            own.discovery_failures, own.discovery_last_success_at, own.discovery_over_limit, own.discovery_asleep,
            own.models_missing,
        ):  # fmt: skip
            numbers.pop(source, None)


class _Loop:
    """One discoverer, what it found, and how it fares."""

    def __init__(
        self, discoverer: Discoverer, own: Own, changed: Callable[[], None], wall: Callable[[], float]
    ) -> None:
        self.discoverer = discoverer
        self.found: Found | None = None
        self.tried = False
        self.task: asyncio.Task[None] | None = None
        self._own = own
        self._changed = changed
        self._wall = wall
        self._at_once = asyncio.Event()
        self._failures = 0
        self._failure = ""

    def replace(self, discoverer: Discoverer) -> None:
        """Ask this one from now on."""
        if discoverer.question != self.discoverer.question:
            self._at_once.set()
            self.discoverer = discoverer

    async def run(self) -> None:
        while True:
            discoverer = self.discoverer
            if not isinstance(discoverer, Follower):
                await self._round()
                continue
            async with asyncio.TaskGroup() as group:
                following = group.create_task(discoverer.follow(self._at_once.set))
                while discoverer is self.discoverer:
                    await self._round()
                following.cancel()

    async def _round(self) -> None:
        """Ask, and wait until it is worth asking again."""
        self._at_once.clear()
        await self._ask()
        wait = self.discoverer.interval
        if self._failures:
            wait = min(wait, RECHECK * 2.0 ** min(self._failures - 1, 32))
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(wait):
                await self._at_once.wait()

    async def _ask(self) -> None:
        discoverer = self.discoverer
        try:
            found = await discoverer.find()
        except Failure as failure:
            self._failed(failure)
        else:
            if discoverer is self.discoverer:  # else the answer is one to an old question
                self._learned(found)
                if found.failure is not None:
                    self._failed(found.failure)

    def _failed(self, failure: Failure) -> None:
        source, first = self.discoverer.source, not self.tried
        self._own.discovery_failures[source] += 1
        self._failures += 1
        self.tried = True
        about = failure.detail if failure.reason is Reason.MALFORMED else failure.reason
        if self._failure != about:
            # Once for each reason: a server that is down for a night is one line. Of what cannot be used, each is told.
            self._failure = about
            log.event(
                logger, logging.WARNING, "discovery failed, what was found last stays", source=source,
                reason=failure.reason, detail=failure.detail,
            )  # fmt: skip
        if first:
            self._changed()

    def _learned(self, found: Found) -> None:
        source, before = self.discoverer.source, self.found
        own = self._own
        own.discovery_over_limit[source] = found.over
        if found.asleep is not None:
            own.discovery_asleep[source] = found.asleep
        if found.missing is not None:
            own.models_missing[source] = found.missing
        if found.failure is None:
            own.discovery_last_success_at[source] = self._wall()
            if self._failures:
                log.event(logger, logging.INFO, "discovery works again", source=source, failures=self._failures)
            self._failures, self._failure = 0, ""
        if found.over and not (before and before.over):
            log.event(
                logger, logging.WARNING, "more was found than is watched: raise the limit, or narrow what is found",
                source=source, watched=len(found.names), left_out=found.over,
            )  # fmt: skip
        self.found, self.tried = found, True
        if before is None or (before.names, before.entries, before.detection) != (
            found.names, found.entries, found.detection,
        ):  # fmt: skip
            known = before.names if before is not None else ()
            log.event(
                logger, logging.INFO, "targets found", source=source, count=len(found.names),
                added=_told(found.names, known), removed=_told(known, found.names),
            )  # fmt: skip
            self._changed()


def _told(names: Sequence[str], others: Sequence[str]) -> str:
    """The names that are not among the others, the first few of them."""
    fresh = sorted(set(names) - set(others))
    more = f" and {len(fresh) - _TOLD} more" if len(fresh) > _TOLD else ""
    return ", ".join(fresh[:_TOLD]) + more
