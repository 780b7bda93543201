"""The models a server lists: asked of the server itself, through the engine like any run.

With `auto` the server is asked first what it is. What was found holds until a list could not be read: the server that
comes back may be another one.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Hashable, Sequence
from dataclasses import dataclass, replace

from exporter import log
from exporter.contracts import Found
from exporter.model.failure import Failure, Reason
from exporter.model.job import Job, Kind
from exporter.model.observation import Detection
from exporter.model.result import Result
from exporter.model.target import MAX_LABEL_BYTES
from exporter.protocols.expect import check_regex

logger = logging.getLogger(__name__)

#: Names of one list that are looked at.
MAX_NAMES = 10_000


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which of the models that are listed are watched: those `include` finds and `exclude` does not, at most `limit`.

    The expected ones always are, and come first.
    """

    include: str | None = None
    exclude: str | None = None
    expected: tuple[str, ...] = ()
    limit: int = 100

    def of(self, listed: Sequence[str]) -> Found:
        """What to watch of a list. Above the limit the first by name are chosen, so that a restart chooses the same."""
        names = {name for name in listed[:MAX_NAMES] if _usable(name)}
        others = sorted(name for name in names.difference(self.expected) if self.lets_in(name))
        room = max(0, self.limit - len(self.expected))
        return Found(
            names=(*self.expected, *others[:room]),
            over=max(0, len(others) - room) + max(0, len(listed) - MAX_NAMES),
            missing=sum(name not in names for name in self.expected),
        )

    def lets_in(self, name: str) -> bool:
        """Whether `include` and `exclude` leave a name."""
        if self.include is not None and check_regex(self.include, name, "the name") is not None:
            return False
        return self.exclude is None or check_regex(self.exclude, name, "the name") is not None


class Catalogue:
    """Implements `contracts.Discoverer` for one server.

    `asks` is the job that reads the list, or of kind `detect` one that finds out what the server is; `listing` then
    makes the job that reads the list. `run` runs a job once and does not raise for what a server did.
    """

    def __init__(
        self,
        source: str,
        asks: Job,
        wanted: Wanted,
        *,
        listing: Callable[[Detection], Job],
        run: Callable[[Job], Awaitable[Result]],
    ) -> None:
        self.source = source
        self.interval = asks.schedule.interval
        endpoint = asks.target.endpoint
        self.place: Hashable = (endpoint.scheme, endpoint.host, endpoint.port, endpoint.path)
        self.question: Hashable = (asks.fingerprint, wanted)
        self._asks = asks
        self._wanted = wanted
        self._listing = listing
        self._run = run
        self._detection: Detection | None = None
        self._doubted = False
        self._last: Found | None = None
        self._emptied = False

    async def find(self) -> Found:
        """The models to watch now."""
        listed = await self._list()
        if not listed and self._last is not None and not self._emptied:
            # A server that was just started may not have found its models yet: one empty list proves nothing.
            self._emptied = True
            return replace(self._last, missing=len(self._wanted.expected))
        self._emptied = not listed
        # Regular expressions on what a server says are not for the loop that measures.
        found = await asyncio.to_thread(self._wanted.of, listed)
        self._last = replace(found, detection=self._detection)
        return self._last

    async def _list(self) -> tuple[str, ...]:
        job = self._asks
        if job.kind is Kind.DETECT:
            if self._detection is None or self._doubted:
                self._detection = await self._detect(self._detection)
            self._doubted = True  # until a list was read
            job = self._listing(self._detection)
        result = await self._run(job)
        models = result.observation.models
        if result.reason is not None:
            raise Failure(result.reason, result.detail)
        if models is None:
            raise Failure(Reason.INTERNAL, f"{job.target.protocol} told no list of models")
        self._doubted = False
        return models

    async def _detect(self, known: Detection | None) -> Detection:
        result = await self._run(self._asks)
        found = result.observation.detected
        if found is None:
            raise Failure(result.reason or Reason.INTERNAL, result.detail)
        if known is not None and replace(found, why=known.why) == known:
            return known
        log.event(
            logger, logging.INFO, "server found", source=self.source, protocol=found.protocol, server=found.server,
            why=found.why,
        )  # fmt: skip
        return found


def _usable(name: str) -> bool:
    """Whether a name can be a label, and be asked for."""
    return bool(name) and name.isprintable() and len(name.encode("utf-8", "replace")) <= MAX_LABEL_BYTES
