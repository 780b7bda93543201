"""A ledger that remembers what a test says, and the gate's verdict on it."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from math import inf
from typing import Any

from exporter.ledger import Ledger
from exporter.model.endpoint import Endpoint
from exporter.model.failure import Evidence, Reason, Status
from exporter.model.job import Job, Kind, Retry, Schedule, Thresholds
from exporter.model.observation import Measurement, Observation
from exporter.model.result import Result
from exporter.model.state import State, Verdict
from exporter.model.stream import Channel, Outcome, StreamSummary
from exporter.model.target import Target
from exporter.rollout.terms import Terms
from exporter.rollout.verdict import GateVerdict, Tally

#: Unix time of the first run of a test, and seconds from one to the next.
START, STEP = 1000.0, 10.0
HEALTHY = Verdict(State.HEALTHY, verified=True)


async def _ask(_: Any) -> Observation:
    return Observation()


def target(name: str = "a", **extra: Any) -> Target:
    return Target(name, Endpoint("http", "127.0.0.1", 8000), **extra)


def job(kind: Kind, of: Target | None = None, *, probe: str = "", fingerprint: str = "1", **extra: Any) -> Job:
    schedule = Schedule(extra.pop("interval", 60.0), 5.0, 5.0)
    return Job(of or target(), probe or str(kind), kind, schedule, Retry(), Thresholds(), _ask, fingerprint, **extra)


def result(of: Job, *, good: bool = True, began: float = START, took: float = 0.1, **seen: Any) -> Result:
    """A finished run. `duration` and `ttft` are seconds, `version` and `platform` what the server told; the engine's
    clock is an hour behind Unix time.
    """
    duration, ttft = seen.pop("duration", took), seen.pop("ttft", None)
    told_of_it = {"model_version": seen.pop("version", ""), "platform": seen.pop("platform", "")}
    reason = seen.pop("reason", Reason.TIMEOUT)
    stream, detected = None, seen.pop("detected", None)
    if of.kind is Kind.STREAM:
        told = {} if ttft is None else {Channel.REASONING: ttft, Channel.CONTENT: ttft + 1}
        stream = StreamSummary(Outcome.COMPLETE, told, (), None, took, 1, None, None)
    started = began - 3600
    return Result(
        job=of, generation=1, planned=started, started=started, ended=started + took, at=began + took,
        status=Status.HEALTHY if good else Status.ERROR, evidence=Evidence.OK if good else Evidence.SLOW,
        reason=None if good else reason, detail="" if good else "no answer", attempts=1, failures=(),
        measurement=Measurement(duration=duration), trace_id="t",
        observation=Observation(stream=stream, info={key: text for key, text in told_of_it.items() if text},
                                detected=detected),
        **seen,
    )  # fmt: skip


class Remembered:
    """Each run begins STEP seconds after the one before it."""

    def __init__(self, *jobs: Job) -> None:
        self.ledger = Ledger()
        self.now = START - STEP
        for each in jobs:
            self.ledger.add(each)
        self.states()

    def states(self, **verdicts: Verdict) -> None:
        """What is believed of the targets: they are healthy unless another verdict is given."""
        for name in self.ledger.targets:
            self.ledger.judge(name, verdicts.get(name, HEALTHY))

    def run(self, of: Job, *, times: int = 1, **how: Any) -> None:
        """So many runs, one after the other."""
        for _ in range(times):
            self.now = how.pop("began", self.now + STEP)
            finished = result(of, began=self.now, **how)
            record = self.ledger.targets[of.target.name]
            assert self.ledger.record(replace(finished, generation=record.generation))

    def pause(self, name: str, passed_over: Mapping[str, str]) -> None:
        """Probes of a target that do not run just now, with the reason."""
        for probe, reason in passed_over.items():
            self.ledger.targets[name].probes[probe].paused = {reason: True}

    def verdict(self, since: float = -inf, unread: Iterable[Target] = (), **terms: Any) -> GateVerdict:
        """Of a gate that wants one run, unless the terms say something else."""
        tally = Tally(Terms(**({"consecutive": 1} | terms)), since)
        for record in self.ledger:
            tally.add(record)
        return tally.verdict(unread)

    def have(self, **terms: Any) -> int:
        """Good runs in a row of the first target."""
        return self.verdict(**terms).standings[0].have
