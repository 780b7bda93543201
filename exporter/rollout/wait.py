"""The gate: finished runs in, one verdict out. Pure; whoever owns the runs feeds them.

A target is good when its state is healthy and each probe that counts had `consecutive` healthy runs in a row, all of
them started after the gate was opened. The canaries count where a target has any, for they outvote the cheap
questions; otherwise health and ready do.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from exporter.model.failure import Status
from exporter.model.job import Job, Kind
from exporter.model.result import Result
from exporter.model.state import State, Verdict
from exporter.model.target import Target

#: Target, probe and fingerprint: with other settings a probe starts again from nothing.
_Key = tuple[str, str, str]
#: Why a probe may be passed over again and again: what to say of it, and what in the config would change it.
_PASSED_OVER = {
    "asleep": ("its model sleeps or is not loaded, and no canary may wake it", "wake: true"),
    "budget": ("its budget has no room for a run", ""),
}
#: What is known of a target that is still to be found only once it was.
_FOUND = frozenset({"target", "model", "protocol", "address"})


@dataclass(frozen=True, slots=True)
class Standing:
    """How far one target is. `have` and `want` are healthy runs in a row.

    `reason` is that of its state, or why a probe that counts does not run: `asleep`, `budget`. `hint` is what to write
    into the config, "" where there is nothing to say.
    """

    target: str
    state: State
    reason: str | None
    detail: str
    have: int
    want: int
    hint: str = ""

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
        """`{ready, blocking: [{target, state, reason, have, want, hint}]}`; what there is not is null."""
        return {
            "ready": self.ready,
            "blocking": [
                {
                    "target": standing.target,
                    "state": str(standing.state),
                    "reason": str(standing.reason) if standing.reason else None,
                    "have": standing.have,
                    "want": standing.want,
                    "hint": standing.hint or None,
                }
                for standing in self.blocking
            ],
        }


def traits(target: Target) -> dict[str, str]:
    """What a target can be selected by: the labels of its series, and its protocol as configured."""
    return target.traits


def selected(target: Target, select: Sequence[tuple[str, str]]) -> bool:
    """Whether a target is meant. Pairs of one key are alternatives, different keys must all hold; none means all."""
    found = traits(target)
    wanted: dict[str, set[str]] = {}
    for key, value in select:
        wanted.setdefault(key, set()).add(value)
    return all(found.get(key) in values for key, values in wanted.items())


def maybe_selected(target: Target, select: Sequence[tuple[str, str]]) -> bool:
    """Whether targets may be meant that will be found where this one stands: of them only the labels are known."""
    return selected(target, [(key, value) for key, value in select if key not in _FOUND])


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
        self._unread: list[str] = []

    @property
    def targets(self) -> tuple[str, ...]:
        """Names of the selected targets."""
        return tuple(self._counted)

    def watch(self, jobs: Iterable[Job], unread: Iterable[Target] = ()) -> None:
        """Take the jobs in force; to be called again whenever they change. A job that stayed keeps its streak.

        `unread` stand for targets that are still to be found: while there are any, nobody knows whether all is good.
        """
        self._unread = [target.name for target in unread if maybe_selected(target, self.select)]
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

    def verdict(
        self,
        verdict_of: Callable[[str], Verdict],
        passed_over: Callable[[str], Mapping[str, str]] = lambda name: {},
    ) -> GateVerdict:
        """Judge now. By a target's name `verdict_of` tells the present verdict on it, and `passed_over` which of its
        probes do not run just now, with the reason.
        """
        standings = [
            self._standing(name, keys, verdict_of(name), passed_over(name)) for name, keys in self._counted.items()
        ]
        standings += [
            Standing(name, State.UNKNOWN, None, "what is there was not found yet", 0, self.consecutive)
            for name in self._unread
            if name not in self._counted
        ]
        return GateVerdict(tuple(standings))

    def _standing(self, name: str, keys: Sequence[_Key], verdict: Verdict, passed_over: Mapping[str, str]) -> Standing:
        want = self.consecutive
        have = min(want, min((self._streaks[key] for key in keys), default=0))
        if have < want and verdict.reason is None:
            # The state is no obstacle, and the runs that are missing may never come.
            for _, probe, _ in (key for key in keys if self._streaks[key] < want):
                if (reason := passed_over.get(probe, "")) in _PASSED_OVER:
                    why, hint = _PASSED_OVER[reason]
                    return Standing(name, verdict.state, reason, f"{probe} does not run: {why}", have, want, hint)
        return Standing(name, verdict.state, verdict.reason, verdict.detail, have, want)


def _key(job: Job) -> _Key:
    return (*job.key, job.fingerprint)


def _counted(jobs: Sequence[Job]) -> list[Job]:
    return [job for job in jobs if job.canary] or [job for job in jobs if job.kind.cheap]
