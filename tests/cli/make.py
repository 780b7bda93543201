"""Results as the app hands them over, made by hand."""

from collections.abc import Mapping
from typing import Any

from exporter.model.endpoint import Endpoint
from exporter.model.failure import Evidence, Reason, Status, row_of
from exporter.model.job import Job, Kind, Retry, Schedule, Thresholds
from exporter.model.observation import Detection, Measurement, Observation, Part
from exporter.model.result import Result
from exporter.model.stream import Channel, Outcome, StreamSummary, Tokens
from exporter.model.target import Target
from exporter.once import ProbeReport

FOUND = Detection("openai", "vllm", ("health", "ready", "metadata"), "GET /v1/models lists a model owned by vllm")


async def _ask(_: Any) -> Observation:
    return Observation()


def result(
    kind: Kind = Kind.HEALTH,
    reason: Reason | None = None,
    detail: str = "",
    *,
    duration: float | None = 0.0031,
    phases: Mapping[str, float] | None = None,
    seen: Observation | None = None,
    attempts: int = 1,
    failures: tuple[Reason, ...] = (),
    protocol: str = "openai",
    skipped: str = "",
    **measured: Any,
) -> Result:
    """One run of a probe against http://127.0.0.1:8000."""
    target = Target("t", Endpoint("http", "127.0.0.1", 8000), protocol)
    job = Job(target, str(kind), kind, Schedule(15, 5, 5), Retry(), Thresholds(), _ask, "f")
    row = row_of(reason) if reason else None
    return Result(
        job=job, generation=1, planned=0.0, started=0.0, ended=1.0, at=1_790_000_000.0,
        status=row.status if row else Status.HEALTHY, evidence=row.evidence if row else Evidence.OK,
        reason=reason, detail=detail, attempts=attempts, failures=failures,
        measurement=Measurement(
            duration=duration, phases=phases or {"connect": 0.0003, "first_byte": 0.0022, "transfer": 0.0001},
            http_status=measured.pop("http_status", 200), **measured,
        ),
        observation=seen or Observation(), trace_id="0af7651916cd43dd8448eb211c80319c", skipped=skipped,
    )  # fmt: skip


def streamed(ttft: float = 0.12, per_token: float | None = 0.025) -> Observation:
    """A chat that thought first."""
    summary = StreamSummary(
        Outcome.COMPLETE, {Channel.REASONING: ttft, Channel.CONTENT: ttft * 2}, (0.02, 0.04), 0.04, 0.6, 13,
        Tokens(6, 9, 4), per_token,
    )  # fmt: skip
    return Observation(
        stream=summary, tokens=Tokens(6, 9, 4), answer="OK. All tokens are in the right place.",
        server_seconds={Part.PREFILL: 0.09, Part.DECODE: 0.3},
    )  # fmt: skip


def report(*results: Result, found: Detection | None = FOUND) -> ProbeReport:
    """What one round of asking brought."""
    return ProbeReport(found, list(results))
