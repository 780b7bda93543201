"""One run of one job: its slots, its attempts, its deadline, and the Result they make.

A run never raises: a `Failure` is what a target did, and anything else is a bug of ours that is logged, counted and
becomes the reason `internal`. Only cancellation passes through, and the exchange is closed in every case.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import replace
from random import getrandbits

from exporter.contracts import Exchange
from exporter.engine.attempts import wait_before_next
from exporter.engine.backstop import Backstop
from exporter.engine.lag import LagSampler
from exporter.engine.slots import Slots, Ticket
from exporter.ledger import Own
from exporter.model.failure import Evidence, Failure, Reason, Status
from exporter.model.job import Job
from exporter.model.observation import Measurement, Observation
from exporter.model.result import Result

logger = logging.getLogger(__name__)

OpenExchange = Callable[[Job, float, str], Exchange]
#: Hears the result of a run, or None when it was cancelled.
Done = Callable[[Result | None], None]

MAX_DETAIL = 300

_NOTHING = Observation()
_UNMEASURED = Measurement()


class Flight(Ticket):
    """A job on its way: waiting for slots, running, or between two attempts."""

    __slots__ = ("begun", "done", "generation", "job", "planned", "runner", "started", "task", "waiter")

    def __init__(
        self, runner: "Runner", job: Job, planned: float | None, generation: int, done: Done, *, slow: bool
    ) -> None:
        super().__init__(job.target.endpoint.peer, slow=slow)
        self.runner = runner
        self.job = job
        self.planned = planned  #: None for a run outside the schedule
        self.generation = generation
        self.done = done
        self.started = 0.0
        self.begun = False  #: the task took its first step
        self.task: asyncio.Task[None] | None = None  #: None while it waits for its first slots
        self.waiter: asyncio.Future[None] | None = None

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


class Runner:
    """Runs jobs within the slots, and keeps the strong references to what is in flight."""

    def __init__(
        self,
        *,
        open_exchange: OpenExchange,
        slots: Slots,
        lag: LagSampler,
        own: Own,
        clock: Callable[[], float],
        wall: Callable[[], float],
        sleep: Callable[[float], Awaitable[None]],
        random: Callable[[], float],
    ) -> None:
        self._open = open_exchange
        self._slots = slots
        self._lag = lag
        self._own = own
        self._clock = clock
        self._wall = wall
        self._sleep = sleep
        self._random = random
        self.flights: set[Flight] = set()

    def launch(self, job: Job, planned: float | None, generation: int, done: Done, *, slow: bool) -> Flight:
        """Queue a run. It never ends within this call."""
        flight = Flight(self, job, planned, generation, done, slow=slow)
        self.flights.add(flight)
        self._slots.ask(flight)
        return flight

    async def once(self, job: Job) -> Result:
        """Run a job now, within the slots but outside any schedule. Cancelling this cancels the run."""
        landed: asyncio.Future[Result] = asyncio.get_running_loop().create_future()

        def done(result: Result | None) -> None:
            if result is None:
                landed.cancel()
            elif not landed.done():
                landed.set_result(result)

        flight = self.launch(job, None, 0, done, slow=False)
        try:
            return await landed
        finally:
            if not landed.done() or landed.cancelled():
                flight.cancel()

    def take_off(self, flight: Flight) -> asyncio.Task[None]:
        """Begin a run that holds its slots."""
        flight.started = now = self._clock()
        if flight.planned is not None:
            self._own.schedule_delay.observe(max(0.0, now - flight.planned))
        return asyncio.get_running_loop().create_task(self._fly(flight))

    def land(self, flight: Flight, result: Result | None) -> None:
        """Give the slots back and tell whoever launched it. Once; later calls do nothing."""
        if flight not in self.flights:
            return
        self.flights.discard(flight)
        self._slots.leave(flight)
        try:
            flight.done(result)
        except Exception:
            self.bug("engine", flight.job)

    async def _fly(self, flight: Flight) -> None:
        flight.begun = True
        result = None
        try:
            result = await self._run(flight)
        finally:
            self.land(flight, result)

    async def _run(self, flight: Flight) -> Result:
        job, schedule, started = flight.job, flight.job.schedule, flight.started
        end = started + schedule.deadline
        trace_id = f"{getrandbits(128):032x}"
        failures: list[Reason] = []
        made = 0
        while True:
            made += 1
            observation, failure, measurement = await self._attempt(flight, trace_id)
            if failure is None:
                break
            failures.append(failure.reason)
            wait = wait_before_next(failure, job.retry, made, end - self._clock(), schedule.timeout, self._random)
            if wait is None or not await self._pause(flight, wait, end - schedule.timeout):
                break
        row = failure.row if failure else None
        return Result(
            job=job,
            generation=flight.generation,
            planned=started if flight.planned is None else flight.planned,
            started=started,
            ended=self._clock(),
            at=self._wall(),
            status=row.status if row else Status.HEALTHY,
            evidence=row.evidence if row else Evidence.OK,
            reason=failure.reason if failure else None,
            detail=failure.detail if failure else "",
            attempts=made,
            failures=tuple(failures),
            measurement=measurement,
            observation=observation,
            trace_id=trace_id,
            retry_after=failure.retry_after if failure else None,
            suspect=self._lag.lagged_since(started),
        )

    async def _pause(self, flight: Flight, wait: float, latest: float) -> bool:
        """Back off without holding slots. False when they came back too late for a whole attempt."""
        self._slots.leave(flight)
        await self._sleep(wait)
        flight.waiter = asyncio.get_running_loop().create_future()
        self._slots.ask(flight)
        await flight.waiter
        return self._clock() <= latest

    async def _attempt(self, flight: Flight, trace_id: str) -> tuple[Observation, Failure | None, Measurement]:
        job, task = flight.job, flight.task
        assert task is not None  # noqa: S101 - this is running in it
        timeout = job.schedule.timeout
        deadline = self._clock() + timeout
        observation, measurement = _NOTHING, _UNMEASURED
        failure: Failure | None
        exchange: Exchange | None = None
        backstop = Backstop(task, self._clock, deadline)
        try:
            exchange = self._open(job, deadline, trace_id)
            observation = await job.ask(exchange)
            failure = observation.failure
        except Failure as error:
            failure = error
        except asyncio.CancelledError:
            if not backstop.withdraw():
                raise
            failure = Failure(Reason.TIMEOUT, f"no end within {timeout:g} s")
        except Exception as error:
            self.bug("runner", job)
            failure = Failure(Reason.INTERNAL, f"{type(error).__name__} in the exporter; its log has the traceback")
        finally:
            try:
                if exchange is not None:
                    measurement = await self._close(exchange, backstop, job)
            finally:
                backstop.disarm()
        if exchange is not None:
            observation = _redacted(observation, exchange.redact)
        if failure is not None:
            _tidy(failure, exchange.redact if exchange is not None else str)
        return observation, failure, measurement

    async def _close(self, exchange: Exchange, backstop: Backstop, job: Job) -> Measurement:
        measurement = _UNMEASURED
        try:
            measurement = exchange.measured()
            await exchange.close()
        except asyncio.CancelledError:
            if not backstop.withdraw():
                raise
        except Exception:
            self.bug("runner", job)
        return measurement

    def bug(self, component: str, job: Job) -> None:
        """Note an exception that nobody foresaw, with its traceback; call it while handling one."""
        self._own.internal_errors[component] += 1
        logger.exception("internal error", extra={"fields": {"target": job.target.name, "probe": job.probe}})


def _redacted(seen: Observation, redact: Callable[[str], str]) -> Observation:
    """What a server said of itself may hold the credential it was sent: an echo must not reach a label or the page."""
    found = seen.detected
    if not (seen.answer or seen.info or found):
        return seen
    return replace(
        seen,
        answer=redact(seen.answer),
        info={key: redact(value) for key, value in seen.info.items()},
        detected=found and replace(found, server=redact(found.server), why=redact(found.why)),
    )


def _tidy(failure: Failure, redact: Callable[[str], str]) -> None:
    """Make a failure fit to be kept: its detail for people, and no hold on the frames it came through."""
    # A traceback holds our frame, and our frame the failure: a cycle per failed run, left to the collector.
    failure.__traceback__ = failure.__context__ = failure.__cause__ = None
    detail = redact(failure.detail)
    if not detail.isprintable():
        detail = "".join(char if char.isprintable() else " " for char in detail)
    failure.detail = detail[:MAX_DETAIL]
    failure.args = (failure.reason, failure.detail)
