"""Metrics of golden-set evaluations. They are series of the target, by the name of the evaluation's probe."""

from collections.abc import Callable, Mapping
from math import isfinite
from operator import attrgetter

from exporter.ledger import Dirty, Evaluated, TargetRecord
from exporter.metrics.family import Family, Key, Rows, values
from exporter.metrics.text import Type
from exporter.model.score import Outcome, Score

_Read = Callable[[TargetRecord], Mapping[Key, float]]


def _each(read: Callable[[Evaluated], Mapping[Key, float]]) -> _Read:
    """Of each evaluation of a target the series that `read` gives; their keys begin with its name."""

    def found(target: TargetRecord) -> Mapping[Key, float]:
        return {
            (name, *((key,) if isinstance(key, str) else key)): number
            for name, evaluated in target.evaluations.items()
            for key, number in read(evaluated).items()
        }

    return found


def _of_score(read: Callable[[Score], float | None], *, metric: bool = False) -> _Read:
    def found(evaluated: Evaluated) -> Mapping[Key, float]:
        score = evaluated.score
        number = None if score is None else read(score)
        if score is None or number is None or not isfinite(number):
            return {}
        return {(score.metric,) if metric else (): number}

    return _each(found)


def _dataset(evaluated: Evaluated) -> Mapping[Key, float]:
    score = evaluated.score
    return {(score.dataset,): 1} if score is not None and score.dataset else {}


def _last_run(evaluated: Evaluated) -> Mapping[Key, float]:
    return {} if evaluated.last_run_at is None else {(): evaluated.last_run_at}


def _family(name: str, text: str, read: _Read, *labels: str, kind: Type = Type.GAUGE) -> Family:
    return Family(
        name=f"model_probe_evaluation_{name}", type=kind, group=Dirty.CHANGE, rows=Rows.TARGET, series=0,
        labels=("evaluation", *labels), help=text, shape=values(read), needs="evaluations",
    )  # fmt: skip


#: Series of one evaluation that has a threshold, once it ran.
EVALUATION_SERIES = 6 + len(Outcome)

EVALUATION_FAMILIES = (
    _family(
        "score",
        "Score of the last golden-set run, by evaluation (the probe's name) and metric (its scorer). Absent when too "
        "few examples were answered for one: see model_probe_evaluation_coverage. Runs are hours apart.",
        _of_score(attrgetter("value"), metric=True), "metric",
    ),
    _family(
        "threshold",
        "The worst score that is good: at_least (of mae and rmse at_most), or the baseline less drop. The target is "
        "unhealthy only when the whole 95 % interval of the score is worse.",
        _of_score(attrgetter("threshold"), metric=True), "metric",
    ),
    _family(
        "coverage", "Share of the examples that were answered in the last run. Below min_coverage it says nothing of "
        "the target.", _of_score(attrgetter("coverage")),
    ),
    _family("duration_seconds", "Time the last run took, waiting included.", _of_score(attrgetter("seconds"))),
    _family("last_run_timestamp_seconds", "Unix time at which the last run ended.", _each(_last_run)),
    _family("info", "Always 1. SHA-256 of the data set that the last run used.", _each(_dataset), "dataset"),
    _family(
        "examples_total",
        "Examples of all finished runs by outcome, from 0. scored: answered; unreadable: the scorer could make nothing "
        "of the answer; failed: no valid answer came; not_asked: the budget or the time of the run was over.",
        _each(attrgetter("outcomes")), "outcome", kind=Type.COUNTER,
    ),
)  # fmt: skip
