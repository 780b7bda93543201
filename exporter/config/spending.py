"""What the canaries of a config use in a day, as it is written."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby

from exporter.config.budget import allowance_of
from exporter.config.build import Built, jobs_of
from exporter.config.catalogue import watched
from exporter.config.merge import Merger
from exporter.config.models import File
from exporter.config.own_keys import OwnKeys
from exporter.evaluation.cost import cost_of
from exporter.model.cost import ONE_REQUEST, Allowance, Cost
from exporter.model.job import Job

DAY = 86400.0


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens and requests of one day."""

    tokens: float = 0.0
    requests: float = 0.0

    def __add__(self, other: "Usage") -> "Usage":
        return Usage(self.tokens + other.tokens, self.requests + other.requests)

    def within(self, budget: Allowance | None) -> "Usage":
        """What a budget leaves of it."""
        if budget is None:
            return self
        windows = DAY / budget.per
        tokens = self.tokens if budget.tokens is None else min(self.tokens, budget.tokens * windows)
        requests = self.requests if budget.requests is None else min(self.requests, budget.requests * windows)
        return Usage(tokens, requests)


@dataclass(frozen=True, slots=True)
class Canary:
    """One canary or evaluation that is well: how often it runs in a day, and what one run uses at most. `note` says of
    how many servers or models that is told, or that of a data set at a url each example is. `cap` is the budget that is
    too small for it and its like: of its target, or (`overall`) of all together.
    """

    target: str
    note: str
    probe: str
    runs: float
    worst: Cost
    cap: Allowance | None = None
    overall: bool = False

    @property
    def usage(self) -> Usage:
        """What it uses in a day, without a budget."""
        return Usage(self.runs * self.worst.tokens, self.runs * self.worst.requests)


@dataclass(frozen=True, slots=True)
class Spending:
    """All canaries, what they use in a day, and what of it budgets allow."""

    canaries: tuple[Canary, ...]
    planned: Usage
    allowed: Usage


def spending(built: Built) -> Spending:
    """What a config spends. Addresses of a name and models of a catalogue are not known yet: each is told of once.

    Raises `BadDataset` where a golden set cannot be read.
    """
    canaries: list[Canary] = []
    planned = allowed = Usage()
    for note, times, jobs in _targets(built):
        own = jobs[0].target.budget
        of_target = [
            Canary(job.target.name, told, job.probe, times * DAY / job.schedule.interval, worst)
            for job in jobs
            for told, worst in _run(job, note)
        ]
        usage = sum((each.usage for each in of_target), Usage())
        capped = usage.within(own)
        planned, allowed = planned + usage, allowed + capped
        canaries += (replace(each, cap=own) if capped != usage else each for each in of_target)
    overall = allowance_of(built.limits.budget)
    capped = allowed.within(overall)
    if capped != allowed:
        canaries = [each if each.cap else replace(each, cap=overall, overall=True) for each in canaries]
    return Spending(tuple(canaries), planned, capped)


def _run(job: Job, note: str) -> Iterator[tuple[str, Cost]]:
    """The note on a run that costs, and the most it uses."""
    if job.kind.canary:
        yield note, job.worst
    elif job.evaluation is not None:
        cost = cost_of(job.evaluation)
        yield (note, cost) if cost is not None else (f"{note}, each example" if note else "each example", ONE_REQUEST)


def _targets(built: Built) -> Iterator[tuple[str, int, Sequence[Job]]]:
    """The jobs of each target, with a note and how many there are of it."""
    for name, jobs in groupby(built.jobs, key=lambda job: job.target.name):
        replicas = built.replicas.get(name)
        if replicas is None:
            yield "", 1, list(jobs)
        elif isinstance(replicas, str):
            yield "each address", 1, list(jobs)
        else:
            yield f"{len(replicas)} addresses", len(replicas), list(jobs)
    yield from (("each model", 1, jobs) for jobs in _of_catalogues(built.file))


def _of_catalogues(file: File) -> Iterable[Sequence[Job]]:
    """The jobs of the models that a catalogue is expected to list; of one that stands for all, where it is none."""
    merger, own_keys = Merger(file), OwnKeys(file.folder)
    for entry in file.discovery or ():
        if (catalogue := entry.catalogue) is not None:
            for model in catalogue.expected or ["MODEL"]:
                yield jobs_of(merger.merge(watched(entry, catalogue, merger, model)), own_keys, merger)
