"""The entries of `discovery`: what asks, and the jobs of what was found."""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from exporter.config.build import job_of, jobs_of, jobs_under
from exporter.config.catalogue import asked_of, source_name, watched
from exporter.config.discovery import Catalogue as Settings
from exporter.config.discovery import Discovery
from exporter.config.listed import Listed
from exporter.config.merge import AUTO, MergedProbe, Merger
from exporter.config.models import File
from exporter.config.own_keys import OwnKeys, kinds
from exporter.contracts import Discoverer, Found
from exporter.discovery.catalogue import Catalogue, Wanted
from exporter.model.failure import Failure, Reason
from exporter.model.job import Job, Kind, Schedule
from exporter.model.observation import Detection
from exporter.model.result import Result
from exporter.model.target import Target
from exporter.slices import unhurried

if TYPE_CHECKING:
    from exporter.transport.calls import Calls

#: Seconds between two readings of a list, and what one attempt may take, where the entry does not say.
INTERVAL, TIMEOUT = 60.0, 5.0
_PROBE = Kind.CATALOGUE.value


class Source:
    """One entry. `asks` reads the list; with `auto` it finds out first what the server is, and `listing` follows."""

    def __init__(self, entry: Discovery, catalogue: Settings, merger: Merger, own_keys: OwnKeys) -> None:
        self.name = source_name(entry, catalogue)
        self.wanted = Wanted(catalogue.include, catalogue.exclude, tuple(catalogue.expected), catalogue.limit)
        self._entry = entry
        self._catalogue = catalogue
        self._merger = merger
        self._own_keys = own_keys
        self._made: dict[str, tuple[Detection | None, list[Job]]] = {}
        asked = asked_of(entry, catalogue, merger)
        probe = self._probe()
        if asked.protocol == AUTO:
            (question,) = jobs_of(asked, own_keys, merger)
            fingerprint = f"{question.fingerprint} {probe.numbers}"
            self.asks = replace(question, schedule=probe.schedule, fingerprint=fingerprint)
        else:
            self.asks = job_of(asked, probe, own_keys, merger)

    @property
    def placeholder(self) -> Target:
        """What stands for the models before they are known."""
        return self.asks.target

    def discoverer(self, run: Callable[[Job], Awaitable[Result]], calls: "Calls") -> Discoverer:
        """What reads the list."""
        return Catalogue(self.name, self.asks, self.wanted, listing=self.listing, run=run)

    def listing(self, found: Detection) -> Job:
        """The job that reads the list of a server that was found out. Raises `Failure` where it has none."""
        if Kind.CATALOGUE not in kinds(found.protocol):
            looks = f"{found.server}, protocol {found.protocol}" if found.server else found.protocol
            raise Failure(Reason.EXPECTATION, f"the server looks like {looks}, which has no list of models")
        asked = replace(asked_of(self._entry, self._catalogue, self._merger), protocol=found.protocol)
        return job_of(asked, self._probe(), self._own_keys, self._merger)

    async def prepare(self, found: Found | None) -> None:
        """Make the jobs that `jobs` will give beforehand: the loop must not stall."""
        async for name in unhurried(self._names(found)):
            self._made[name] = self._of(name, found.detection if found is not None else None)

    def jobs(self, found: Found | None) -> list[Job]:
        """The jobs of everything that is watched: the expected models, and what was found last."""
        detection = found.detection if found is not None else None
        self._made = {name: self._of(name, detection) for name in self._names(found)}
        return [job for _, jobs in self._made.values() for job in jobs]

    def _names(self, found: Found | None) -> list[str]:
        return list(dict.fromkeys((*self.wanted.expected, *(found.names if found is not None else ()))))

    def _of(self, model: str, detection: Detection | None) -> tuple[Detection | None, list[Job]]:
        """What was made before is kept: of a list of hundreds, few models are new."""
        known = self._made.get(model)
        if known is not None and known[0] == detection:
            return known
        merged = self._merger.merge(watched(self._entry, self._catalogue, self._merger, model))
        if detection is not None and merged.protocol == AUTO:
            return detection, jobs_under(detection, merged, self._own_keys, self._merger)
        return detection, jobs_of(merged, self._own_keys, self._merger)

    def _probe(self) -> MergedProbe:
        interval, timeout = self._catalogue.interval or INTERVAL, self._catalogue.timeout or TIMEOUT
        probe = self._merger.probe(_PROBE)
        return replace(
            probe,
            kind=Kind.CATALOGUE,
            schedule=Schedule(interval, timeout, min(interval, probe.schedule.recheck)),
            numbers=f"{interval} {timeout}",
        )


def sources(file: File) -> tuple[Source | Listed, ...]:
    """The entries of a file that `loader.load` gave back."""
    merger, own_keys = Merger(file), OwnKeys(file.folder)
    return tuple(_source(entry, file, merger, own_keys) for entry in file.discovery or ())


def _source(entry: Discovery, file: File, merger: Merger, own_keys: OwnKeys) -> Source | Listed:
    if entry.catalogue is not None:
        return Source(entry, entry.catalogue, merger, own_keys)
    source = entry.listed
    assert source is not None  # noqa: S101 - checked: an entry has one source
    return Listed(entry, source, file, merger, own_keys)
