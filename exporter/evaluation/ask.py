"""Asks every example of a data set: a few at a time, failed ones again once the others had their turn.

Each is an exchange of its own, asked through the engine: behind all probes, within the budget of the target, and not
while that is saturated.
"""

import asyncio
import random
from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from exporter.contracts import Questions
from exporter.evaluation import answers
from exporter.evaluation.answers import Unreadable
from exporter.evaluation.dataset import Example
from exporter.evaluation.judge import Judge
from exporter.evaluation.scorers import Mark
from exporter.model.evaluation import Evaluation
from exporter.model.failure import Evidence, Reason
from exporter.model.job import Job, Retry, Schedule
from exporter.model.observation import Observation, Output
from exporter.model.result import Result
from exporter.model.score import Outcome
from exporter.model.stream import Tokens

#: Asking again cannot help these.
_FINAL = frozenset({Evidence.REFUSED, Evidence.WRONG, Evidence.NONE})


@dataclass(slots=True)
class Asked:
    """An example and what became of it. `mark`, `shown` (of the answer) and `seconds` are of an answer that came,
    `reason` and `detail` of one that did not, or that could not be read. `tries` counts how often it was asked, and
    `again` says whether it is worth another try.
    """

    example: Example
    outcome: Outcome = Outcome.NOT_ASKED
    mark: Mark | None = None
    shown: str = ""
    reason: Reason | None = None
    detail: str = ""
    seconds: float | None = None
    tries: int = 0
    again: bool = False

    @property
    def worth(self) -> float | None:
        """What it is worth by itself; of two classes whether they are one. None where it was not scored."""
        return float(self.mark[0] == self.mark[1]) if isinstance(self.mark, tuple) else self.mark

    @property
    def wanted(self) -> str:
        """The beginning of what is expected, for people."""
        return answers.cut(answers.beginning(self.example.expected))


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a run has come: examples of each outcome so far, and how many there are."""

    outcomes: Counter[Outcome]
    examples: int


class Round:
    """One run over a data set. `asked` holds every example of it from the beginning; `tokens` is what was used.
    `stopped` says why not all were asked: `budget`, `time`, or `""`.
    """

    def __init__(
        self,
        job: Job,
        evaluation: Evaluation,
        examples: Sequence[Example],
        judge: Judge,
        questions: Questions,
        on_progress: Callable[[Progress], None],
    ) -> None:
        self.asked = [Asked(example) for example in examples]
        #: Examples by what became of them.
        self.outcomes = Counter({Outcome.NOT_ASKED: len(examples)})
        self.tokens: Tokens | None = None
        self.stopped = ""
        self._job = job
        self._evaluation = evaluation
        self._judge = judge
        self._questions = questions
        self._on_progress = on_progress
        self._wait = 0.0  #: seconds that the server asked to be left alone

    async def run(self) -> None:
        """Ask until each has its outcome, the budget is spent, or the time is over."""
        try:
            async with asyncio.timeout(max(0.0, self._questions.until - self._questions.now())):
                await self._rounds(self._job.retry)
        except TimeoutError:
            self.stopped = "time"
            for each in self.asked:
                if each.outcome is Outcome.NOT_ASKED and each.tries:
                    self._settle(each, Outcome.FAILED)
                    each.reason, each.detail = Reason.TIMEOUT, "not answered when the time of the run was over"

    def _settle(self, each: Asked, outcome: Outcome) -> None:
        self.outcomes[each.outcome] -= 1
        self.outcomes[outcome] += 1
        each.outcome = outcome

    async def _rounds(self, retry: Retry) -> None:
        waiting = self.asked
        for made in range(1, retry.attempts + 1):
            queue = deque(waiting)
            workers = min(self._evaluation.in_flight, len(queue))
            async with asyncio.TaskGroup() as group:
                for _ in range(workers):
                    group.create_task(self._work(queue))
            waiting = [each for each in waiting if each.outcome is Outcome.FAILED and each.again]
            if not waiting or self.stopped or made == retry.attempts:
                return
            backoff = min(retry.max_backoff, retry.backoff * 2.0 ** (made - 1))
            wait, self._wait = max(backoff * random.random(), self._wait), 0.0  # noqa: S311 - not for secrets
            await asyncio.sleep(wait)

    async def _work(self, queue: deque[Asked]) -> None:
        while queue and not self.stopped:
            each = queue.popleft()
            await self._ask(each)
            self._on_progress(Progress(self.outcomes.copy(), len(self.asked)))

    async def _ask(self, each: Asked) -> None:
        question = self._evaluation.question(each.example.input)
        kept: list[tuple[Output | None, Callable[[str], str]]] = []

        async def ask(exchange: Any) -> Observation:
            each.tries += 1
            seen = await question.ask(exchange)
            kept.append((seen.output, exchange.redact))
            return seen

        timeout = self._job.schedule.timeout
        job = replace(
            self._job, ask=ask, cost=question.cost, schedule=Schedule(timeout, timeout, timeout), retry=_ONCE,
            evaluation=None,
        )  # fmt: skip
        result = await self._questions.ask(job)
        if result is None:
            self.stopped = "budget"
            return
        if result.observation.tokens is not None:
            self.tokens = _sum(self.tokens, result.observation.tokens)
        each.seconds = result.measurement.duration
        if result.skipped:
            # Nothing was asked that costs: the model sleeps, and so it does for all the others.
            self.stopped, each.tries = result.skipped, each.tries - 1
        elif result.reason is not None or not kept:
            self._failed(each, result)
        else:
            await self._scored(each, *kept[0])

    def _failed(self, each: Asked, result: Result) -> None:
        self._settle(each, Outcome.FAILED)
        each.reason, each.detail = result.reason, result.detail
        on = self._job.retry.on
        if on is None:
            each.again = result.evidence not in _FINAL
        else:
            each.again = result.reason in on or result.measurement.http_status in on
        self._wait = max(self._wait, result.retry_after or 0.0)

    async def _scored(self, each: Asked, output: Output | None, redact: Callable[[str], str]) -> None:
        each.reason, each.detail = None, ""
        try:
            marked = await self._judge.mark(output, each.example)
        except Unreadable as error:
            self._settle(each, Outcome.UNREADABLE)
            each.detail = str(error)
        else:
            self._settle(each, Outcome.SCORED)
            each.mark, each.shown = marked.mark, answers.cut(redact(marked.beginning))


_ONCE = Retry(attempts=1)


def _sum(one: Tokens | None, other: Tokens) -> Tokens:
    if one is None:
        return other
    return Tokens(
        one.input + other.input, one.output + other.output, one.reasoning + other.reasoning, one.cached + other.cached
    )
