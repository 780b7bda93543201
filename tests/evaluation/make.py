"""Evaluations to run without an engine: a server that answers by example, and questions that reach it."""

import asyncio
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from exporter.evaluation import Evaluations
from exporter.model.cost import ONE_REQUEST
from exporter.model.endpoint import Endpoint
from exporter.model.evaluation import Evaluation, Question, Scoring, Source, Threshold, Unusable
from exporter.model.failure import Asleep, Failure, Reason, Status
from exporter.model.job import Job, Kind, Retry, Schedule, Thresholds
from exporter.model.observation import Measurement, Observation, Output
from exporter.model.result import Result
from exporter.model.target import Target

SECRET = "s3cr3t-token"

#: The value that a server answers an input with; or a Failure, raised.
Answer = Callable[[Mapping[str, Any]], Any]


class Exchange:
    def redact(self, text: str, *, asked: bool = False) -> str:
        return text.replace(SECRET, "***")


class Server:
    """Answers `x` with what `answer` makes of it. `asked` is what it was asked, in that order."""

    def __init__(self, answer: Answer = lambda given: given["x"], latency: float = 0.0) -> None:
        self.answer = answer
        self.latency = latency
        self.asked: list[Any] = []
        self.at_once = self.most_at_once = 0

    def question(self, given: Mapping[str, Any]) -> Question:
        if "x" not in given:
            raise Unusable((("x", "missing"),))

        async def ask(exchange: Any) -> Observation:
            self.asked.append(given["x"])
            self.at_once += 1
            self.most_at_once = max(self.most_at_once, self.at_once)
            try:
                await asyncio.sleep(self.latency)
                found = self.answer(given)
            finally:
                self.at_once -= 1
            if isinstance(found, Exception):
                raise found
            return found if isinstance(found, Observation) else Observation(output=Output({"y": found}, essence=found))

        return Question(ask, ONE_REQUEST)


class Asking:
    """`contracts.Questions` as an engine has them, without slots. `room` is how many questions a budget has left."""

    def __init__(self, seconds: float = 60.0, room: int | None = None) -> None:
        self.now = time.perf_counter
        self.until = self.now() + seconds
        self.room = room
        self.jobs: list[Job] = []

    async def ask(self, job: Job) -> Result | None:
        self.jobs.append(job)
        if self.room is not None:
            if not self.room:
                return None
            self.room -= 1
        observation, failure, skipped = Observation(), None, ""
        try:
            observation = await job.ask(Exchange())
            failure = observation.failure
        except Failure as error:
            failure = error
        except Asleep:
            skipped = "asleep"
        row = failure.row if failure is not None else None
        return Result(
            job=job, generation=0, planned=0.0, started=0.0, ended=0.0, at=0.0,
            status=row.status if row else Status.HEALTHY, evidence=row.evidence if row else None,
            reason=failure.reason if failure else None, detail=failure.detail if failure else "", attempts=1,
            failures=(), measurement=Measurement(0.01, http_status=failure.http_status if failure else 200),
            observation=replace(observation, output=None), trace_id="", retry_after=failure and failure.retry_after,
            skipped=skipped,
        )  # fmt: skip


def rows(count: int, expected: Callable[[int], Any] = lambda number: number, **more: Any) -> str:
    return "".join(
        json.dumps({"id": number, "input": {"x": number}, "expected": expected(number), **more}) + "\n"
        for number in range(count)
    )


def job(
    server: Server,
    path: Any,
    *,
    scorer: str = "accuracy",
    retry: Retry = Retry(3, 0.001, 0.001),  # noqa: B008 - frozen
    threshold: Threshold = Threshold(),  # noqa: B008
    labels: Mapping[str, str] | None = None,
    scoring: Mapping[str, Any] | None = None,
    source: Source | None = None,
    **more: Any,
) -> Job:
    return Job(
        target=Target("fraud", Endpoint("http", "127.0.0.1", 8000), "fake", "fraud-2", labels=labels or {}),
        probe="golden",
        kind=Kind.EVALUATE,
        schedule=Schedule(3600.0, 5.0, 5.0),
        retry=retry,
        thresholds=Thresholds(),
        ask=server.question({"x": 0}).ask,
        fingerprint="1",
        evaluation=Evaluation(
            source=source or Source(path.name, "jsonl", 1_000_000, path=str(path)),
            scoring=Scoring(scorer, **(scoring or {})),
            question=server.question,
            threshold=threshold,
            **more,
        ),
    )


def evaluations(**given: Any) -> Evaluations:
    def none() -> Any:
        raise AssertionError("nothing is sent for")

    return Evaluations(none, **given)


refused = Failure(Reason.CONNECT_REFUSED, "connection refused")
