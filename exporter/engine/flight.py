"""A run on its way: what it is of, where it stands, and what it leaves its slots for."""

import asyncio
from collections.abc import Callable
from random import getrandbits
from typing import TYPE_CHECKING

from exporter.contracts import Exchange
from exporter.engine.slots import Ticket
from exporter.model.job import Job
from exporter.model.result import Result

if TYPE_CHECKING:
    from exporter.engine.runner import Runner

#: Hears the result of a run, or None when it was cancelled.
Done = Callable[[Result | None], None]


class Flight(Ticket):
    """A job on its way: waiting for slots, running, or between two attempts."""

    __slots__ = (
        "begun", "done", "generation", "job", "plain", "planned", "runner", "started", "task", "trace_id", "waiter",
    )  # fmt: skip

    def __init__(
        self,
        runner: "Runner",
        job: Job,
        planned: float | None,
        generation: int,
        done: Done,
        slow: bool,
        behind: bool,
    ) -> None:
        Ticket.__init__(self, job.target.peer, slow, behind)
        self.runner = runner
        self.job = job
        self.planned = planned  #: None for a run outside the schedule
        self.generation = generation
        self.done = done
        self.started = 0.0
        self.begun = False  #: the task took its first step
        self.plain = job.load is None and job.evaluation is None and not job.needs  #: one question is all of it
        self.task: asyncio.Task[None] | None = None  #: None while it waits for its first slots
        self.trace_id = getrandbits(128).to_bytes(16).hex()
        self.waiter: asyncio.Future[None] | None = None

    def open(self, deadline: float) -> Exchange:
        """The conversation of an attempt."""
        return self.runner.open_exchange(self.job, deadline, self.trace_id)

    def bug(self) -> None:
        """Note an exception that nobody foresaw; call it while handling one."""
        self.runner.bug("runner", self.job)

    def granted(self) -> None:
        """Both slots are held: take off, or go on with the next attempt."""
        if self.task is None:
            self.task = self.runner.take_off(self)
        elif self.waiter is not None and not self.waiter.done():
            self.waiter.set_result(None)

    def cancel(self) -> None:
        """End it without a result. Its connection is closed in the loop's next turns."""
        if self.task is not None:
            self.task.cancel()
        if not self.begun:
            # A task that is cancelled before its first step never runs any of its code.
            self.runner.land(self, None)
