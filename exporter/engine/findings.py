"""What `auto` found for each target, and whether it still fits."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from exporter.model.failure import Evidence, Reason
from exporter.model.job import Job
from exporter.model.observation import Detection
from exporter.model.result import Result

#: Answers in a row that do not fit the found protocol before the server is asked again what it is.
MISFITS = 3


@dataclass(slots=True)
class _Finding:
    source: Job
    detection: Detection
    jobs: list[Job]
    was_dead: bool = False
    misfits: int = 0


class Findings:
    """Findings by target name. `jobs_for` turns a `detect` job and its answer into the jobs that replace it.

    A finding is kept until the server was away and is back, or three answers in a row do not fit; then it is worth a
    second look, beside the running jobs, which are replaced only when the answer is another one.
    """

    def __init__(self, jobs_for: Callable[[Job, Detection], list[Job]]) -> None:
        self._jobs_for = jobs_for
        self._found: dict[str, _Finding] = {}

    def jobs(self, job: Job) -> list[Job]:
        """The jobs that stand for a `detect` job: itself, until there is a finding for exactly this job."""
        finding = self._found.get(job.target.name)
        if finding is None:
            return [job]
        if finding.source.fingerprint != job.fingerprint:
            del self._found[job.target.name]
            return [job]
        if finding.source is not job:  # a reload: the same question, maybe with other labels
            finding.source, finding.jobs = job, self._jobs_for(job, finding.detection)
        return finding.jobs

    def keep(self, names: Iterable[str]) -> None:
        """Forget every target that is not among these."""
        for name in self._found.keys() - set(names):
            del self._found[name]

    def learn(self, result: Result) -> bool:
        """Take the answer of a `detect` run. True when it is news: the target's jobs are others now."""
        detection = result.observation.detected
        if detection is None:
            return False
        name = result.job.target.name
        known = self._found.get(name)
        if known is not None and _same(known.detection, detection):
            return False
        self._found[name] = _Finding(result.job, detection, self._jobs_for(result.job, detection))
        return True

    def doubt(self, result: Result) -> Job | None:
        """Weigh a run of a found target. The `detect` job to ask again when the finding may no longer hold."""
        if not self._found or (finding := self._found.get(result.job.target.name)) is None:
            return None
        if result.evidence is Evidence.DEAD and result.job.kind.cheap:
            finding.was_dead = True
            return None
        misfit = result.reason is Reason.MALFORMED or result.measurement.http_status == 404
        finding.misfits = finding.misfits + 1 if misfit else 0
        if not finding.was_dead and finding.misfits < MISFITS:
            return None
        finding.was_dead, finding.misfits = False, 0
        return finding.source


def _same(one: Detection, other: Detection) -> bool:
    return (one.protocol, one.server, one.probes) == (other.protocol, other.server, other.probes)
