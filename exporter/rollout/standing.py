"""How far each target is: what the ledger remembers of it, held against the terms. Pure.

A target is good when its state is healthy and each probe that counts had the wanted number of good runs in a row. The
canaries count where a target has any, for they outvote the cheap questions; otherwise health and ready do.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from math import inf

from exporter.ledger import Good, ProbeRecord, TargetRecord
from exporter.model.failure import Evidence, Status
from exporter.model.job import Kind
from exporter.model.state import State
from exporter.rollout.terms import Terms


class Obstacle(StrEnum):
    """Why a target holds a gate up though its state does not say so."""

    ASLEEP = "asleep"
    BUDGET = "budget"
    MAINTENANCE = "maintenance"
    VERSION = "version"  #: another one is served, or nobody told which
    SLOW = "slow"  #: the answers, or their first tokens, take too long, or nobody can tell
    UNVERIFIED = "unverified"  #: no canary has spoken since the cheap answers changed
    EVALUATION = "evaluation"  #: a golden set was not run to a good end
    ADDRESSES = "addresses"  #: fewer were found than wanted


@dataclass(frozen=True, slots=True)
class Standing:
    """How far one target is. `have` and `want` are good runs in a row; with the reason `addresses`, addresses.

    `reason` is that of its state, or an obstacle; None where only runs are missing. `hint` is what to write into the
    config, `""` where there is nothing to say. `version` is what the target told to serve, `""` where it did not.
    """

    target: str
    state: State
    reason: str | None
    detail: str
    have: int
    want: int
    hint: str = ""
    version: str = ""
    good: bool = False


#: Why a probe may be passed over again and again: what to say of it, and what in the config would change it.
_PASSED_OVER = {
    Obstacle.ASLEEP: ("its model sleeps or is not loaded, and no canary may wake it", "wake: true"),
    Obstacle.BUDGET: ("its budget has no room for a run", ""),
}


class Case:
    """One target under some terms. Runs that began before `since`, Unix time, prove nothing.

    `right`: it told, not before `since`, to serve the wanted version. `counted` are the probes that speak for it,
    `have` is how many good runs in a row each of them had.
    """

    def __init__(self, record: TargetRecord, terms: Terms, since: float = -inf) -> None:
        self.record = record
        self.terms = terms
        self.version, told_at = _version(record) if terms.version else ("", -inf)
        self.right = not terms.version or (terms.version in self.version.split(",") and told_at >= since)
        # What ran before the version was served says nothing of it.
        self.since = max(since, record.version_at or -inf) if terms.version else since
        self.counted = counted(record)
        good = min((self.good(probe) for probe in self.counted), default=0) if self.right else 0
        self.have = min(good, terms.consecutive)

    def good(self, probe: ProbeRecord) -> int:
        """How many runs in a row, from the newest back, were healthy, fast enough and of the right version."""
        if not _of_version(probe, self.terms.version):
            return 0
        good = 0
        for run in self._runs(probe):
            if _late(probe, run, self.terms):
                break
            good += 1
        return good

    def evaluated(self, probe: ProbeRecord) -> bool:
        """Whether a golden set was run to a good end."""
        return any(run.began >= self.since for run in newest(probe, 1))

    def standing(self) -> Standing:
        """Where the target stands."""
        record, verdict = self.record, self.record.verdict
        reason: str | None = verdict.reason
        detail, hint = verdict.detail, ""
        if record.rests_until is not None:
            # Nobody asks it: the state is an old one.
            reason, detail = Obstacle.MAINTENANCE, "it is in maintenance, and is not asked"
        elif reason is None and (found := next(self._obstacles(), None)) is not None:
            reason, detail, hint = found
        good = verdict.state is State.HEALTHY and reason is None and self.have >= self.terms.consecutive
        version = self.version or record.info.get("model_version", "")
        return Standing(
            record.target.name, verdict.state, reason, detail, self.have, self.terms.consecutive, hint, version, good
        )

    def _obstacles(self) -> Iterator[tuple[Obstacle, str, str]]:
        """What holds it up besides missing runs: what, in words, and the hint; the worst first."""
        missing = self.have < self.terms.consecutive
        unverified = any(probe.job.canary for probe in self.counted) and not self.record.verdict.verified
        if missing or unverified:
            # The runs that are missing may never come.
            yield from self._passed_over()
        if self.record.state is not State.HEALTHY:
            return
        if not self.right:
            yield Obstacle.VERSION, *self._wrong_version()
        yield from self._slow()
        if missing:
            return
        if unverified:
            yield Obstacle.UNVERIFIED, "no canary has spoken since its health or ready probe changed its answer", ""
        if self.terms.evaluate:
            yield from self._not_evaluated()

    def _passed_over(self) -> Iterator[tuple[Obstacle, str, str]]:
        for probe in self.counted:
            if self.right and self.good(probe) >= self.terms.consecutive and self.record.verdict.verified:
                continue
            for obstacle, (why, hint) in _PASSED_OVER.items():
                if probe.paused.get(obstacle):
                    yield obstacle, f"{probe.job.probe} does not run: {why}", hint

    def _wrong_version(self) -> tuple[str, str]:
        wanted = self.terms.version
        if self.version and wanted not in self.version.split(","):
            return f"it serves version {self.version}, wanted is {wanted}", ""
        if self.version:
            return f"it told to serve version {self.version} before the time that counts, and not since", ""
        asked = [probe for probe in self.record.probes.values() if probe.job.kind is Kind.METADATA]
        if not asked:
            return f"nobody asks which version it serves, wanted is {wanted}", "probes: {metadata: {}}"
        if any(probe.runs == 0 for probe in asked):
            return f"it was not asked yet which version it serves, wanted is {wanted}", ""
        return f"it does not tell which version it serves, wanted is {wanted}", ""

    def _slow(self) -> Iterator[tuple[Obstacle, str, str]]:
        terms = self.terms
        if terms.max_ttft is not None and not any(probe.job.kind is Kind.STREAM for probe in self.counted):
            hint = "probes: {stream: {}}"
            yield Obstacle.SLOW, "nothing is streamed from it, so the time to its first token is not known", hint
        for probe in self.counted:
            last = next(self._runs(probe), None)
            if last is not None and (why := _late(probe, last, terms)):
                yield Obstacle.SLOW, f"{probe.job.probe}: {why}", ""

    def _not_evaluated(self) -> Iterator[tuple[Obstacle, str, str]]:
        for probe in self.record.probes.values():
            if probe.job.kind is not Kind.EVALUATE or self.evaluated(probe):
                continue
            last = probe.last
            if last is None or last.at - (last.ended - last.started) < self.since:
                yield Obstacle.EVALUATION, f"{probe.job.probe} has not been run to its end yet", ""
            else:
                yield Obstacle.EVALUATION, f"{probe.job.probe}: {last.detail or last.reason or 'no good end'}", ""

    def _runs(self, probe: ProbeRecord) -> Iterator[Good]:
        """Its healthy runs in a row that count, the newest first."""
        return (run for run in newest(probe, self.terms.consecutive) if run.began >= self.since)


def counted(record: TargetRecord) -> Sequence[ProbeRecord]:
    """The probes of a target that speak for it at a gate."""
    probes = record.probes.values()
    return [probe for probe in probes if probe.job.canary] or [probe for probe in probes if probe.job.kind.cheap]


def newest(probe: ProbeRecord, count: int) -> Iterator[Good]:
    """Its healthy runs since the last that was not, at most so many, the newest first."""
    # An answer to "what are you?" is not yet an answer to "are you well?".
    return probe.recent.newest(0 if probe.job.kind is Kind.DETECT else min(count, probe.streak))


def _late(probe: ProbeRecord, run: Good, terms: Terms) -> str:
    """In what a run was too slow, in words. What is not known is not within any bound."""
    if terms.max_duration is not None and (run.duration is None or run.duration > terms.max_duration):
        took = "took an unknown time" if run.duration is None else f"took {run.duration:.3g} s"
        return f"the answer {took}, wanted at most {terms.max_duration:g} s"
    if terms.max_ttft is not None and probe.job.kind is Kind.STREAM and (run.ttft is None or run.ttft > terms.max_ttft):
        took = "came at an unknown time" if run.ttft is None else f"took {run.ttft:.3g} s"
        return f"the first token {took}, wanted at most {terms.max_ttft:g} s"
    return ""


def _of_version(probe: ProbeRecord, wanted: str) -> bool:
    """Whether a canary's last answer, if it told its version at all, told the wanted one."""
    told = probe.last.observation.info.get("model_version") if wanted and probe.last is not None else None
    return told is None or wanted in told.split(",")


def _version(record: TargetRecord) -> tuple[str, float]:
    """The version that was told last, and when the run that told it began; before all time where that is not known."""
    told = [
        (last.at - (last.ended - last.started), version)
        for probe in record.probes.values()
        if (last := probe.last) is not None
        and last.status is not Status.ERROR
        and last.evidence is not Evidence.NONE
        and (version := last.observation.info.get("model_version"))
        # What a server tells by itself may name all that it serves, an answer only the one that it came from.
        and not (probe.job.kind.canary and "model_version" in record.described)
    ]
    at, version = max(told, default=(-inf, ""))
    return (version, at) if version else (record.info.get("model_version", ""), -inf)
