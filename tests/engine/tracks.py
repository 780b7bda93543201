"""What probes hold, made by hand: tracks after a few runs."""

from types import SimpleNamespace

from exporter.engine.track import Track
from exporter.model.failure import Evidence, Reason, Status
from exporter.model.job import Kind, Scope, Thresholds
from exporter.model.observation import Measurement, Observation
from exporter.model.result import Result
from exporter.model.state import State, Verdict

REASON = {
    Evidence.BUSY: Reason.OVERLOADED,
    Evidence.LOADING: Reason.NOT_READY,
    Evidence.REFUSED: Reason.AUTH,
    Evidence.WRONG: Reason.EXPECTATION,
    Evidence.BROKEN: Reason.HTTP_STATUS,
    Evidence.SLOW: Reason.TIMEOUT,
    Evidence.DEAD: Reason.CONNECT_REFUSED,
}
UNKNOWN = Verdict(State.UNKNOWN)


def result(job, evidence, start, end, reason=None, **load):
    why = reason if reason and evidence is not Evidence.OK else REASON.get(evidence)
    return Result(
        job, 1, start, start, end, 0.0, Status.HEALTHY, evidence, why, f"{job.kind}: {evidence}", 1, (),
        Measurement(), Observation(), "", **load,
    )  # fmt: skip


def track(kind, *runs, scope=Scope.MODEL, failure=1, reason=None, saturated_at=None, **load):
    """A track after `runs`: (evidence, start, end). `load`: what was read beside each."""
    job = SimpleNamespace(
        kind=kind, probe=kind.value, scope=scope, thresholds=Thresholds(failure),
        schedule=SimpleNamespace(interval=10.0, timeout=5.0), target=SimpleNamespace(saturated_at=saturated_at),
    )  # fmt: skip
    made = Track(job, 0.0)
    for evidence, start, end in runs:
        made.update(result(job, evidence, start, end, reason, **load), 10.0)
    return made


def health(*runs, **more):
    return track(Kind.HEALTH, *runs, **more)


def ready(*runs, **more):
    return track(Kind.READY, *runs, **more)


def infer(*runs, **more):
    return track(Kind.INFER, *runs, **more)


OK, DEAD, SLOW, LOADING, BUSY, BROKEN = (
    Evidence.OK, Evidence.DEAD, Evidence.SLOW, Evidence.LOADING, Evidence.BUSY, Evidence.BROKEN,
)  # fmt: skip
SPOKEN = [each for each in Evidence if each not in (Evidence.NONE, Evidence.ABSENT)]
