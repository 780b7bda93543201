"""The questions of one long run, asked one by one: behind all probes, within the budget of their target, and only while
that can bear them.
"""

from abc import abstractmethod
from collections.abc import Awaitable, Callable
from typing import Protocol

from exporter.engine.budget import Hold
from exporter.engine.runner import Runner
from exporter.model.cost import Cost
from exporter.model.job import Job
from exporter.model.result import Result

#: Seconds between two looks at a target that is left alone for now.
LOOK = 1.0


class Charge(Protocol):
    """Charges a question that ended. `result` is None when it was cancelled; `begun`: it was under way by then."""

    @abstractmethod
    def __call__(self, hold: Hold, result: Result | None, *, begun: bool) -> Cost:
        """Returns what it used."""


class Behind:
    """`contracts.Questions`. `spared`: whether the target is left alone for now; `reserve` and `charge` are of its
    budget.
    """

    def __init__(
        self,
        runner: Runner,
        *,
        until: float,
        clock: Callable[[], float],
        sleep: Callable[[float], Awaitable[None]],
        spared: Callable[[], bool],
        reserve: Callable[[str, Cost], Hold | None],
        charge: Charge,
    ) -> None:
        self.until = until
        self.now = clock
        self._runner = runner
        self._sleep = sleep
        self._spared = spared
        self._reserve = reserve
        self._charge = charge

    async def ask(self, job: Job) -> Result | None:
        """See `contracts.Questions`."""
        while self._spared():
            await self._sleep(LOOK)
        hold = self._reserve(job.target.title, job.worst)
        if hold is None:
            return None
        result, begun = None, False

        def cut() -> None:
            nonlocal begun
            begun = True

        try:
            result = await self._runner.once(job, behind=True, begun=cut)
        finally:
            self._charge(hold, result, begun=begun)
        return result
