"""Golden sets: the data set is fetched, its examples are asked in batches, the answers scored, the score kept."""

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from exporter import log
from exporter.contracts import Questions
from exporter.evaluation import record, threshold
from exporter.evaluation.answers import Unreadable
from exporter.evaluation.ask import Asked, Progress, Round
from exporter.evaluation.dataset import BadDataset, Dataset
from exporter.evaluation.fetch import Calls, Fetcher
from exporter.evaluation.judge import Judge
from exporter.evaluation.save import save
from exporter.evaluation.scorers import Scorer, scorer_of
from exporter.evaluation.threshold import BadBaseline
from exporter.model.evaluation import Evaluation
from exporter.model.failure import Asleep, Failure, Reason, joined
from exporter.model.job import Job
from exporter.model.observation import Observation
from exporter.model.score import Outcome, Score

__all__ = ["BadDataset", "Evaluations", "Progress", "Record"]

logger = logging.getLogger(__name__)

#: Bad rows of a data set that the log tells of.
_TOLD = 20


@dataclass(frozen=True, slots=True)
class Record:
    """A finished run that was begun with a good data set. `at` is Unix time, `fields` are plain JSON values."""

    job: Job
    at: float
    fields: Mapping[str, Any]
    asked: Sequence[Asked]

    @property
    def scorer(self) -> Scorer:
        """What scored it."""
        assert self.job.evaluation is not None  # noqa: S101 - else there is no record
        return scorer_of(self.job.evaluation.scoring)

    def right(self, each: Asked) -> bool:
        """Whether an example was answered, and as well as can be where there is such a thing."""
        return each.worth is not None and (self.scorer.span != (0.0, 1.0) or each.worth == 1.0)

    def whole(self) -> dict[str, Any]:
        """All of it as plain JSON values."""
        return {
            **record.of_target(self.job.target, self.at),
            **self.fields,
            "examples": record.of_examples(self.asked),
        }


class Evaluations:
    """Does the runs of `evaluate` probes.

    `calls` gives the client for what is no measurement, `on_record` hears what each finished run found, `on_progress`
    how far one has come. All are called on the loop and must not block.
    """

    def __init__(
        self,
        calls: Callable[[], Calls],
        *,
        on_record: Callable[[Record], None] = lambda record: None,
        on_progress: Callable[[Progress], None] = lambda progress: None,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._fetcher = Fetcher(calls)
        self._on_record = on_record
        self._on_progress = on_progress
        self._wall = wall

    def keep(self, jobs: Iterable[Job]) -> None:
        """Forget what was read for other jobs than these."""
        self._fetcher.keep({(job.key, job.fingerprint) for job in jobs if job.evaluation is not None})

    async def read(self, job: Job) -> Dataset:
        """The data set of a job, as it is now. Raises `BadDataset`, which tells of every bad row."""
        assert job.evaluation is not None  # noqa: S101 - no other job comes here
        return await self._fetcher.fetch((job.key, job.fingerprint), job.evaluation)

    async def run(self, job: Job, questions: Questions) -> Observation:
        """One run: the door `contracts.AskMany`."""
        evaluation = job.evaluation
        assert evaluation is not None  # noqa: S101 - the engine hands over no other job
        began = questions.now()
        try:
            dataset = await self.read(job)
        except BadDataset as error:
            for problem in error.problems[:_TOLD]:
                log.event(logger, logging.ERROR, "data set not used", target=job.target.name, problem=problem)
            return Observation(
                failure=Failure(Reason.INCONCLUSIVE, f"data set: {joined(error.problems)}"),
                score=Score(evaluation.scoring.scorer, seconds=questions.now() - began),
            )
        judge = Judge(evaluation.scoring)
        try:
            made = Round(job, evaluation, dataset.examples, judge, questions, self._on_progress)
            await made.run()
            if made.stopped == "asleep" and not any(each.tries for each in made.asked):
                raise Asleep("the model is asleep: no example was asked")
            score, failure = await _judged(evaluation, dataset, made, judge)
        finally:
            await judge.close()
        score = replace(score, seconds=questions.now() - began)
        await self._keep(job, evaluation, score, failure, made)
        return Observation(failure=failure, tokens=made.tokens, score=score)

    async def _keep(self, job: Job, evaluation: Evaluation, score: Score, failure: Failure | None, made: Round) -> None:
        """Hand the record of a run on, and write it where the config says."""
        found = Record(job, self._wall(), record.of_run(job, score, failure), made.asked)
        try:
            self._on_record(found)
        except Exception:
            logger.exception("internal error", extra={"fields": {"target": job.target.name, "probe": job.probe}})
        if not evaluation.save:
            return
        try:
            await asyncio.to_thread(lambda: save(evaluation.save, found.whole()))
        except OSError as error:
            log.event(
                logger, logging.ERROR, "evaluation not written", target=job.target.name, path=evaluation.save,
                problem=error.strerror or str(error),
            )  # fmt: skip


async def _judged(evaluation: Evaluation, dataset: Dataset, made: Round, judge: Judge) -> tuple[Score, Failure | None]:
    """The score, and the failure it stands for."""
    scorer, counted = judge.scorer, made.outcomes
    score = Score(scorer.name, {outcome: counted[outcome] for outcome in Outcome}, dataset=dataset.digest)
    marks = [each.mark for each in made.asked if each.mark is not None]
    if not marks or len(marks) / len(made.asked) < evaluation.min_coverage:
        return score, Failure(Reason.INCONCLUSIVE, _incomplete(made, len(marks), evaluation.min_coverage))
    try:
        total = await judge.total(marks)
        worst = await asyncio.to_thread(threshold.bound, evaluation.threshold, scorer, dataset.digest)
    except (Unreadable, BadBaseline) as error:
        return score, Failure(Reason.INCONCLUSIVE, str(error))
    low, high = total.interval or (None, None)
    bad = threshold.below(total, worst, scorer)
    score = replace(score, value=total.value, low=low, high=high, threshold=worst, below=bad)
    return score, Failure(Reason.EXPECTATION, _worse(score, scorer)) if bad else None


def _incomplete(made: Round, scored: int, wanted: float) -> str:
    """Why a run says nothing: how many answers are missing, and what became of them."""
    reasons = Counter(str(each.reason) for each in made.asked if each.outcome is Outcome.FAILED)
    parts = [f"{reason} {many}" for reason, many in reasons.most_common()]
    if unreadable := made.outcomes[Outcome.UNREADABLE]:
        parts.append(f"unreadable {unreadable}")
    if missing := made.outcomes[Outcome.NOT_ASKED]:
        why = {"budget": "the budget is spent", "time": "the time was over"}.get(made.stopped, made.stopped)
        parts.append(f"not asked {missing} ({why})")
    first = next((each.detail for each in made.asked if each.detail), "")
    lacking = f"{scored} of {len(made.asked)} examples were answered, and {wanted:g} of them have to be"
    return joined([f"{lacking}: {', '.join(parts)}", *([f"first: {first}"] if first else [])])


def _worse(score: Score, scorer: Scorer) -> str:
    assert score.low is not None and score.high is not None  # noqa: S101, PT018 - else it is not below
    way = "above" if scorer.lower_is_better else "below"
    return (
        f"{score.metric} is {score.value:.4g}, its 95 % interval ({score.low:.4g} to {score.high:.4g}) wholly {way} "
        f"{score.threshold:.4g}"
    )
