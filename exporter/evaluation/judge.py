"""Scores answers where it is fit to: on the loop while that is quick, in a process of its own once it is not."""

import asyncio
import signal
import time
from collections.abc import Callable, Sequence
from concurrent.futures import BrokenExecutor, Executor
from typing import Any, NamedTuple, TypeVar

from exporter.evaluation import answers
from exporter.evaluation.answers import Unreadable
from exporter.evaluation.command import Program
from exporter.evaluation.dataset import Example
from exporter.evaluation.scorers import Mark, Scorer, Total, scorer_of
from exporter.model.evaluation import Scoring
from exporter.model.observation import Output

#: Seconds of CPU for scoring one example that the loop can bear, and bytes of an answer above which that is not tried.
QUICK, SMALL = 0.005, 65_536
#: Marks of which the total is made on the loop.
FEW = 100

Found = TypeVar("Found")


class Marked(NamedTuple):
    """What an answer is worth, and the beginning of it."""

    mark: Mark
    beginning: str


class Judge:
    """Of one run. `slow` becomes True with the first example that took its scorer long. Close it when all is scored."""

    def __init__(self, scoring: Scoring) -> None:
        self.scorer: Scorer = scorer_of(scoring)
        self.slow = False
        self._where = scoring.answer
        self._program = Program(scoring.command) if scoring.command else None
        self._pool: Executor | None = None

    async def mark(self, output: Output | None, example: Example) -> Marked:
        """What the answer to an example is worth. Raises `Unreadable`."""
        if self._program is not None:
            answer = await self._aside(_fitted, output, self._where, example.expected, size=_size(output))
            asked = {"id": example.id, "input": example.input, "expected": example.expected, "answer": answer}
            return Marked(await self._program.score(asked), answers.beginning(answer))
        return await self._aside(_mark, self.scorer, output, self._where, example.expected, size=_size(output))

    async def total(self, marks: Sequence[Mark]) -> Total:
        """What at least one mark amounts to."""
        if isinstance(marks[0], tuple):
            return await self._away(_total, self.scorer, marks)  # thousands of samples are drawn
        if len(marks) <= FEW:
            return self.scorer.total(marks)
        return await asyncio.to_thread(_total, self.scorer, marks)

    async def close(self) -> None:
        """End what was started."""
        pool, self._pool = self._pool, None
        if pool is not None:
            pool.shutdown(wait=False, cancel_futures=True)
        if self._program is not None:
            await self._program.close()

    async def _aside(self, work: Callable[..., Found], *given: Any, size: int) -> Found:
        if self.slow or size > SMALL:
            return await self._away(work, *given)
        began = time.thread_time()
        try:
            return work(*given)
        finally:
            self.slow = self.slow or time.thread_time() - began > QUICK

    async def _away(self, work: Callable[..., Found], *given: Any) -> Found:
        if self._pool is None:
            self._pool = _pool()
        try:
            return await asyncio.get_running_loop().run_in_executor(self._pool, work, *given)
        except BrokenExecutor:
            self._pool = None
            raise Unreadable("the process that scores was ended from outside") from None


def _pool() -> Executor:
    """One process. Not forked: a copy of this one would hold its sockets, and locks of its threads as they just are."""
    from concurrent.futures import ProcessPoolExecutor  # for those alone who need it
    from multiprocessing import get_context

    return ProcessPoolExecutor(1, mp_context=get_context("spawn"), initializer=_quiet)


def _quiet() -> None:
    """Ctrl+C is for the process that will end this one."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _fitted(output: Output | None, where: str, expected: Any) -> Any:
    return answers.fitted(answers.taken(output, where), expected)


def _mark(scorer: Scorer, output: Output | None, where: str, expected: Any) -> Marked:
    answer = _fitted(output, where, expected)
    return Marked(scorer.mark(answer, expected), answers.beginning(answer))


def _total(scorer: Scorer, marks: Sequence[Mark]) -> Total:
    return scorer.total(marks)


def _size(output: Output | None) -> int:
    """About how much there is to look at."""
    if output is None:
        return 0
    return len(output.body) + len(output.text) + 16 * sum(map(len, output.vectors)) + _many(output.value, 4096) * 16


def _many(value: Any, most: int) -> int:
    """Things in a JSON value, counted as far as `most`."""
    waiting, found = [value], 0
    while waiting and found < most:
        item = waiting.pop()
        found += 1
        if isinstance(item, dict):
            waiting += item.values()
        elif isinstance(item, list):
            found += max(0, len(item) - most)
            waiting += item[:most]
    return found
