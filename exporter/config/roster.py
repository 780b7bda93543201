"""Which jobs there should be: those of the config, of `--target`, and of what was found; in this shard."""

import hashlib
from collections.abc import Awaitable, Callable, Iterator, Sequence
from itertools import chain, groupby
from typing import TYPE_CHECKING, Protocol

from exporter.config.build import Built
from exporter.config.models import File
from exporter.config.replicas import DNS, Place, Replicas, at
from exporter.contracts import Discoverer, Found
from exporter.discovery.dns import Names, source_of
from exporter.model.job import Job
from exporter.model.result import Result
from exporter.model.target import MAX_ADDRESSES, Target

if TYPE_CHECKING:
    from exporter.config.listed import Listed
    from exporter.config.sources import Source
    from exporter.transport.calls import Calls


class Findings(Protocol):
    """What was found, by source."""

    def found(self, source: str) -> Found | None:
        """What was found last; None before that."""

    def tried(self, source: str) -> bool:
        """Whether an answer came, or at least a failure."""


class Roster:
    """The jobs of one config. `shard` is (index from 0, count). `only`: of these targets of the config itself, whatever
    else it has; None: of all.
    """

    def __init__(
        self,
        built: Built,
        flagged: Sequence[Job],
        shard: tuple[int, int] | None,
        only: frozenset[str] | None = None,
    ) -> None:
        self.sources: tuple[Source | Listed, ...] = _sources(built.file) if only is None else ()
        self._only = only
        self._built = built
        self._flagged = flagged
        self._shard = shard

    def discoverers(
        self,
        resolve: Callable[[str], Awaitable[Sequence[str]]],
        run: Callable[[Job], Awaitable[Result]],
        calls: "Calls",
    ) -> list[Discoverer]:
        """What has to be found out: the addresses of names, each once however many targets it has, and lists."""
        return [
            *(Names(host, MAX_ADDRESSES, resolve) for host in {target.endpoint.host: None for target in self._named()}),
            *(each.discoverer(run, calls) for each in self.sources),
        ]

    async def prepare(self, findings: Findings) -> None:
        """Make the jobs of what was found beforehand, a little at a time."""
        for source in self.sources:
            if findings.tried(source.name):
                await source.prepare(findings.found(source.name))

    def jobs(self, findings: Findings) -> Iterator[tuple[str, Job]]:
        """Each job with its source. Where two sources have targets of one name, that of the first is watched."""
        owner: dict[str, str] = {}
        for source, job in self._all(findings):
            if self._mine(job.target) and owner.setdefault(job.target.title, source) == source:
                yield source, job

    def unread(self, findings: Findings) -> Iterator[Target]:
        """A target for each list and each name behind which nothing was found yet: nobody knows what is there."""
        for source in self.sources:
            if findings.found(source.name) is None:
                yield source.placeholder
        for target in self._named():
            if findings.found(source_of(target.endpoint.host)) is None:
                yield target

    def _named(self) -> Iterator[Target]:
        """The targets that are all addresses of a name."""
        if DNS not in self._built.replicas.values():
            return
        for name, jobs in groupby(self._built.jobs, key=lambda job: job.target.name):
            if self._built.replicas.get(name) == DNS and self._mine(target := next(jobs).target):
                yield target

    def _all(self, findings: Findings) -> Iterator[tuple[str, Job]]:
        for name, jobs in groupby(self._built.jobs, key=lambda job: job.target.name):
            replicas = self._built.replicas.get(name)
            for job in jobs if replicas is None else _moved(replicas, list(jobs), findings):
                yield "config", job
        for job in self._flagged:
            yield "flag", job
        for source in self.sources:
            # Not before the first answer or failure: until then nobody knows what the server is.
            if findings.tried(source.name):
                for job in source.jobs(findings.found(source.name)):
                    yield source.name, job

    def _mine(self, target: Target) -> bool:
        if self._only is not None and target.title not in self._only:
            return False
        return self._shard is None or shard_of(target.title, self._shard[1]) == self._shard[0]


def _sources(file: File) -> "tuple[Source | Listed, ...]":
    if not file.discovery:
        return ()
    from exporter.config.sources import sources  # with all that looks for targets

    return sources(file)


def shard_of(name: str, count: int) -> int:
    """Which of `count` shards a target belongs to. A new last shard takes its share and moves nothing else: a jump
    consistent hash (Lamping and Veach, 2014), whose cost grows with the logarithm of `count`.
    """
    digest = hashlib.blake2b(name.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    key, shard, after = int.from_bytes(digest, "big"), 0, 0
    while after < count:
        shard = after
        key = (key * 2862933555777941757 + 1) % 2**64
        after = int((shard + 1) * 2**31 / ((key >> 33) + 1))
    return shard


def _moved(replicas: Replicas, jobs: Sequence[Job], findings: Findings) -> Sequence[Job]:
    """A target's jobs at each of its addresses; as they are while its name could not be looked up."""
    places: Sequence[Place]
    if isinstance(replicas, str):
        source = source_of(jobs[0].target.endpoint.host)
        found = findings.found(source)
        if found is None:
            return jobs if findings.tried(source) else ()
        places = [Place(address) for address in found.names]
    else:
        places = replicas
    return list(chain.from_iterable(at(jobs, place) for place in places))
