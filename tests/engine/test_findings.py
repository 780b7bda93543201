"""Findings: what replaces a `detect` job, when it is forgotten, and when it is doubted."""

from dataclasses import replace

from exporter.engine.findings import MISFITS, Findings
from exporter.model.endpoint import Endpoint
from exporter.model.failure import Evidence, Reason, Status
from exporter.model.job import Job, Kind, Retry, Schedule, Thresholds
from exporter.model.observation import Detection, Measurement, Observation
from exporter.model.result import Result
from exporter.model.target import Target

VLLM = Detection("openai", "vllm", ("health", "ready"), "GET /v1/models lists models owned by vllm")


async def _ask(_exchange: object) -> Observation:
    return Observation()


def _job(kind: Kind = Kind.DETECT, fingerprint: str = "f", labels: dict[str, str] | None = None) -> Job:
    target = Target("t", Endpoint("http", "127.0.0.1", 8000), labels=labels or {})
    probe = "health" if kind is Kind.DETECT else str(kind)
    return Job(target, probe, kind, Schedule(15, 5, 5), Retry(), Thresholds(), _ask, fingerprint)


def _result(job: Job, evidence: Evidence = Evidence.OK, reason: Reason | None = None, **observation: object) -> Result:
    return Result(
        job=job, generation=1, planned=0, started=0, ended=0, at=0, status=Status.HEALTHY, evidence=evidence,
        reason=reason, detail="", attempts=1, failures=(), measurement=Measurement(),
        observation=Observation(**observation), trace_id="0" * 32,
    )  # type: ignore[arg-type]  # fmt: skip


def _findings() -> Findings:
    return Findings(
        lambda job, found: [
            replace(job, kind=Kind(kind), probe=kind, fingerprint=f"{found.protocol}/{kind}") for kind in found.probes
        ]
    )


def _found(detection: Detection = VLLM) -> tuple[Findings, Job]:
    findings, job = _findings(), _job()
    assert findings.learn(_result(job, detected=detection))
    return findings, job


def test_a_question_stands_for_itself_until_it_is_answered() -> None:
    job = _job()
    assert _findings().jobs(job) == [job]


def test_the_found_jobs_replace_the_question() -> None:
    findings, job = _found()
    assert [(found.probe, found.kind) for found in findings.jobs(job)] == [
        ("health", Kind.HEALTH),
        ("ready", Kind.READY),
    ]


def test_a_reload_with_other_labels_keeps_the_finding_and_takes_the_labels() -> None:
    findings, _ = _found()
    jobs = findings.jobs(_job(labels={"team": "chat"}))
    assert [job.kind for job in jobs] == [Kind.HEALTH, Kind.READY]
    assert {job.target.labels["team"] for job in jobs} == {"chat"}


def test_another_address_is_another_question() -> None:
    findings, _ = _found()
    changed = _job(fingerprint="other")
    assert findings.jobs(changed) == [changed]


def test_a_removed_target_is_forgotten() -> None:
    findings, job = _found()
    findings.keep([])
    assert findings.jobs(job) == [job]


def test_the_same_answer_again_is_no_news_and_another_one_is() -> None:
    findings, job = _found()
    assert not findings.learn(_result(job, detected=VLLM))
    assert findings.learn(_result(job, detected=replace(VLLM, protocol="http")))


def test_a_server_that_was_away_and_is_back_is_asked_again_once() -> None:
    findings, job = _found()
    health = _job(Kind.HEALTH)
    assert findings.doubt(_result(health)) is None
    assert findings.doubt(_result(health, Evidence.DEAD, Reason.CONNECT_REFUSED)) is None
    assert findings.doubt(_result(health)) is job
    assert findings.doubt(_result(health)) is None


def test_answers_that_do_not_fit_are_doubted_only_in_a_row() -> None:
    findings, job = _found()
    ready = _job(Kind.READY)
    odd = _result(ready, Evidence.BROKEN, Reason.MALFORMED)
    for _ in range(MISFITS - 1):
        assert findings.doubt(odd) is None
    assert findings.doubt(_result(ready)) is None
    for _ in range(MISFITS - 1):
        assert findings.doubt(odd) is None
    assert findings.doubt(odd) is job
