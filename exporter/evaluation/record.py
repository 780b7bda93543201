"""What is told and kept of a run: fields for the whole, and for each example."""

from collections.abc import Sequence
from typing import Any

from exporter.evaluation.ask import Asked
from exporter.model.failure import Failure, Status
from exporter.model.job import Job
from exporter.model.score import Score
from exporter.model.target import Target


def of_target(target: Target, at: float) -> dict[str, Any]:
    """Whose run it was, and when it ended (Unix time), as JSON."""
    return {
        "at": round(at, 3),
        "target": target.title,
        "model": target.model,
        "address": target.address or None,
        "labels": dict(target.labels),
    }


def of_run(job: Job, score: Score, failure: Failure | None) -> dict[str, Any]:
    """What a run found as JSON."""
    return {
        "evaluation": job.probe,
        "status": str(failure.row.status if failure is not None else Status.HEALTHY),
        "reason": None if failure is None else str(failure.reason),
        "detail": "" if failure is None else failure.detail,
        "metric": score.metric,
        "score": score.value,
        "low": score.low,
        "high": score.high,
        "threshold": score.threshold,
        "coverage": score.coverage,
        "outcomes": {str(outcome): many for outcome, many in score.outcomes.items()},
        "dataset": score.dataset,
        "seconds": round(score.seconds, 3),
    }


def of_examples(asked: Sequence[Asked]) -> list[dict[str, Any]]:
    """The examples of a run as JSON, in the order of the data set."""
    return [
        {
            "id": each.example.id,
            "tags": list(each.example.tags),
            "outcome": str(each.outcome),
            "score": each.worth,
            "expected": each.example.expected,
            "answer": each.shown,
            "reason": None if each.reason is None else str(each.reason),
            "detail": each.detail,
            "seconds": None if each.seconds is None else round(each.seconds, 6),
            "tries": each.tries,
        }
        for each in asked
    ]
