"""A small world of targets for the renderer: jobs and results made by hand, on a clock that the test turns."""

from collections.abc import Mapping
from dataclasses import dataclass

from exporter.ledger import Ledger
from exporter.model.endpoint import Endpoint
from exporter.model.failure import Evidence, Failure, Reason, Status, row_of
from exporter.model.job import Job, Kind, Retry, Schedule, Thresholds
from exporter.model.observation import Measurement, Observation
from exporter.model.result import Result
from exporter.model.state import State, Verdict
from exporter.model.stream import Channel, Outcome, StreamSummary, Tokens
from exporter.model.target import Target

EPOCH = 1_700_000_000.0

NO_LABELS: Mapping[str, str] = {}


async def never(_: object) -> Observation:
    raise AssertionError("no probe runs in these tests")


def job(
    target: str = "assistant",
    probe: str = "health",
    kind: Kind | None = None,
    *,
    model: str = "llama-3",
    labels: Mapping[str, str] = NO_LABELS,
    protocol: str = "openai",
    interval: float = 15.0,
    timeout: float = 5.0,
) -> Job:
    watched = Target(target, Endpoint("https", "chat.models", 443), protocol, model, labels)
    return Job(
        target=watched,
        probe=probe,
        kind=kind or Kind(probe),
        schedule=Schedule(interval, timeout, 5.0),
        retry=Retry(),
        thresholds=Thresholds(),
        ask=never,
        fingerprint=f"{target}/{probe}",
    )


PHASES = {"dns": 0.001, "connect": 0.002, "tls": 0.004, "first_byte": 0.008, "transfer": 0.016}


def summary(outcome: Outcome = Outcome.COMPLETE, usage: Tokens | None = None) -> StreamSummary:
    """Three chunks, 0.25 and 0.5 s apart."""
    return StreamSummary(
        outcome=outcome,
        ttft={Channel.CONTENT: 0.125},
        gaps=(0.25, 0.5),
        max_gap=0.5,
        duration=0.875,
        token_events=3,
        usage=usage,
        time_per_output_token=0.375 if usage else None,
    )


@dataclass
class World:
    """A ledger, its clock, and the hands that write into it."""

    now: float = 0.0

    def __post_init__(self) -> None:
        self.ledger = Ledger(clock=lambda: self.now, wall=lambda: EPOCH + self.now)

    def watch(self, *jobs: Job) -> None:
        for each in jobs:
            self.ledger.add(each)

    def fill(self, count: int) -> list[Job]:
        """Watch `count` targets with a health probe each."""
        jobs = [job(f"target-{number}") for number in range(count)]
        self.watch(*jobs)
        return jobs

    def result(
        self,
        of: Job,
        reason: Reason | None = None,
        *,
        duration: float | None = 0.03125,
        phases: Mapping[str, float] = PHASES,
        http_status: int | None = 200,
        size: int | None = 512,
        certificate: float | None = EPOCH + 86400,
        attempts: int = 1,
        observation: Observation | None = None,
        trace_id: str = "0af7651916cd43dd8448eb211c80319c",
    ) -> Result:
        row = row_of(reason) if reason else None
        seen = observation or Observation(failure=Failure(reason) if reason else None)
        record = self.ledger.targets.get(of.target.name)
        return Result(
            job=of,
            generation=record.generation if record else 0,
            planned=self.now,
            started=self.now,
            ended=self.now + (duration or 0.0),
            at=EPOCH + self.now,
            status=row.status if row else Status.HEALTHY,
            evidence=row.evidence if row else Evidence.OK,
            reason=reason,
            detail="",
            attempts=attempts,
            failures=(),
            measurement=Measurement(duration, phases, http_status, size, certificate),
            observation=seen,
            trace_id=trace_id,
        )

    def run(self, result: Result) -> None:
        assert self.ledger.record(result)

    def judge(self, target: str, state: State, *, verified: bool = False) -> None:
        self.ledger.judge(target, Verdict(state, verified=verified))


def streamed(usage: Tokens | None = None, outcome: Outcome = Outcome.COMPLETE) -> Observation:
    """What a stream probe saw."""
    return Observation(stream=summary(outcome, usage), tokens=usage)


#: Kinds that a config names, but evaluations.
KINDS = [Kind.HEALTH, Kind.READY, Kind.METADATA, Kind.INFER, Kind.STREAM]


def good(kind: Kind) -> Observation:
    """What a healthy run of a kind sees."""
    tokens = Tokens(input=4, output=2)
    if kind is Kind.STREAM:
        return streamed(tokens)
    return Observation(tokens=tokens if kind is Kind.INFER else None)
