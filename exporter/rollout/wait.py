"""Waiting at the gate: which runs are pulled forward meanwhile, so that a verdict does not take three intervals.

Pulled forward is only what holds the gate up, and never so often that it is a load: after a run the next one waits for
three times as long as that one took, at least a second, at most the probe's own interval. A canary that failed is left
to its own re-checks. The engine's limits hold besides: slots per host, budgets, Retry-After, and of one probe three
runs that were pulled forward in a row, then one per `recheck`.
"""

from collections.abc import Callable, Iterable
from math import inf

from exporter.ledger import Ledger, ProbeRecord
from exporter.model.failure import Status
from exporter.model.job import Job, Kind
from exporter.model.result import Result
from exporter.model.state import State
from exporter.rollout.standing import Case, Standing
from exporter.rollout.terms import Terms
from exporter.rollout.verdict import GateVerdict, Tally

__all__ = ["GateVerdict", "Pace", "Standing", "Tally", "Terms"]

#: Seconds between the end of a run and the next one, and how often what it took, at least.
PAUSE = 1.0
SHARE = 3.0
#: Seconds after which a golden set is asked for that the schedule has not begun by itself.
PATIENCE = 2.0


class Pace:
    """Hears of every run, and tells what to run again. `clock` is the engine's."""

    def __init__(self, terms: Terms, clock: Callable[[], float]) -> None:
        self._terms = terms
        self._clock = clock
        self._next: dict[tuple[str, str], float] = {}
        self._began = clock()

    def feed(self, result: Result) -> None:
        """Note when the probe of a finished run may run again."""
        left_alone = result.retry_after is not None or (result.job.canary and result.status is not Status.HEALTHY)
        self._next[result.job.key] = inf if left_alone else result.ended + pause(result)

    def due(self, blocking: Iterable[Standing], ledger: Ledger) -> list[tuple[str, str]]:
        """The probes (target, name) to run now, each once."""
        now, found = self._clock(), []
        for standing in blocking:
            if (record := ledger.targets.get(standing.target)) is None:
                continue
            case = Case(record, self._terms)
            for probe in record.probes.values():
                key = probe.job.key
                if self._next.get(key, self._first(probe.job)) <= now and self._wanted(case, probe):
                    self._next[key] = inf
                    found.append(key)
        return found

    def _first(self, job: Job) -> float:
        """First runs are begun by the schedule."""
        return self._began + PATIENCE if job.kind is Kind.EVALUATE else inf

    def _wanted(self, case: Case, probe: ProbeRecord) -> bool:
        """Whether one more run of it can help to open the gate."""
        job, verdict = probe.job, case.record.verdict
        if job.kind is Kind.METADATA:
            return self._terms.version != "" or verdict.probe == job.probe
        if job.kind.cheap and verdict.state is not State.HEALTHY:
            return True
        if not case.right:
            return False  # whatever the version that is served now can do
        if job.kind is Kind.EVALUATE:
            return self._terms.evaluate and not case.evaluated(probe)
        return probe in case.counted and case.good(probe) < self._terms.consecutive


def pause(result: Result) -> float:
    """Seconds until a probe may run again after a run of it."""
    return min(result.job.schedule.interval, max(PAUSE, SHARE * (result.ended - result.started)))
