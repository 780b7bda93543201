"""The gate: finished runs in, one verdict out. Pure; whoever owns the runs feeds them.

A target is good when its state is healthy and each probe that counts had `consecutive` healthy runs in a row, all of
them started after the gate was opened. The canaries count where a target has any, for they outvote the cheap
questions; otherwise health and ready do.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from exporter.model.failure import Reason, Status
from exporter.model.job import Job, Kind
from exporter.model.result import Result
from exporter.model.state import State, Verdict
from exporter.model.target import Target

#: Target, probe and fingerprint: with other settings a probe starts again from nothing.
_Key = tuple[str, str, str]


@dataclass(frozen=True, slots=True)
class Standing:
    """How far one target is. `have` and `want` are healthy runs in a row."""

    target: str
    state: State
    reason: Reason | None
    detail: str
    have: int
    want: int

    @property
    def good(self) -> bool:
        """Whether this target holds nothing up."""
        return self.state is State.HEALTHY and self.have >= self.want


@dataclass(frozen=True, slots=True)
class GateVerdict:
    """Where all selected targets stand, in the order of the config."""

    standings: tuple[Standing, ...]

    @property
    def blocking(self) -> tuple[Standing, ...]:
        """The targets that are not good yet."""
        return tuple(standing for standing in self.standings if not standing.good)

    @property
    def ready(self) -> bool:
        """Whether the gate is open."""
        return not self.blocking

    def as_json(self) -> dict[str, Any]:
        """`{ready, blocking: [{target, state, reason, have, want}]}`; `reason` is null where there is none."""
        return {
            "ready": self.ready,
            "blocking": [
                {
                    "target": standing.target,
                    "state": str(standing.state),
                    "reason": str(standing.reason) if standing.reason else None,
                    "have": standing.have,
                    "want": standing.want,
                }
                for standing in self.blocking
            ],
        }


def traits(target: Target) -> dict[str, str]:
    """What a target can be selected by: the labels of its series, and its protocol as configured."""
    return {"protocol": target.protocol, **target.labels, "target": target.name, "model": target.model}


def selected(target: Target, select: Sequence[tuple[str, str]]) -> bool:
    """Whether a target is meant. Pairs of one key are alternatives, different keys must all hold; none means all."""
    found = traits(target)
    wanted: dict[str, set[str]] = {}
    for key, value in select:
        wanted.setdefault(key, set()).add(value)
    return all(found.get(key) in values for key, values in wanted.items())


class Gate:
    """Counts runs. `since` is a stamp of the clock that stamps `Result.started`: earlier runs prove nothing."""

    def __init__(self, *, since: float, consecutive: int = 1, select: Sequence[tuple[str, str]] = ()) -> None:
        if consecutive < 1:
            raise ValueError("consecutive must be at least 1")
        self.since = since
        self.consecutive = consecutive
        self.select = tuple(select)
        #: Per selected target the probes that count.
        self._counted: dict[str, list[_Key]] = {}
        self._streaks: dict[_Key, int] = {}

    @property
    def targets(self) -> tuple[str, ...]:
        """Names of the selected targets."""
        return tuple(self._counted)

    def watch(self, jobs: Iterable[Job]) -> None:
        """Take the jobs in force; to be called again whenever they change. A job that stayed keeps its streak."""
        chosen: dict[str, list[Job]] = {}
        for job in jobs:
            if selected(job.target, self.select):
                chosen.setdefault(job.target.name, []).append(job)
        self._counted = {name: [_key(job) for job in _counted(of_target)] for name, of_target in chosen.items()}
        self._streaks = {key: self._streaks.get(key, 0) for keys in self._counted.values() for key in keys}

    def feed(self, result: Result) -> None:
        """Count one finished run, unless it began too early. Runs of jobs that are watched only later count too."""
        if result.started < self.since:
            return
        key = _key(result.job)
        # An answer to "what are you?" is not yet an answer to "are you well?".
        healthy = result.status is Status.HEALTHY and result.job.kind is not Kind.DETECT
        self._streaks[key] = self._streaks.get(key, 0) + 1 if healthy else 0

    def verdict(self, verdict_of: Callable[[str], Verdict]) -> GateVerdict:
        """Judge now. `verdict_of` tells the present verdict on a target by name."""
        standings = []
        for name, keys in self._counted.items():
            verdict = verdict_of(name)
            have = min((self._streaks[key] for key in keys), default=0)
            standings.append(
                Standing(
                    name, verdict.state, verdict.reason, verdict.detail, min(have, self.consecutive), self.consecutive
                )
            )
        return GateVerdict(tuple(standings))


def _key(job: Job) -> _Key:
    return (*job.key, job.fingerprint)


def _counted(jobs: Sequence[Job]) -> list[Job]:
    return [job for job in jobs if job.kind.canary] or [job for job in jobs if job.kind.cheap]
