"""One run of one job: its slots, its attempts, its deadline, and the Result they make.

A run never raises: a `Failure` is what a target did, and anything else is a bug of ours that is logged, counted and
becomes the reason `internal`. Only cancellation passes through, and the exchange is closed in every case.
"""

import asyncio
import logging
from abc import abstractmethod
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Protocol

from exporter.contracts import Exchange
from exporter.engine.attempt import Attempt, attempt, settled
from exporter.engine.attempts import wait_before_next
from exporter.engine.flight import Done, Flight
from exporter.engine.kept import kept, sampled
from exporter.engine.lag import LagSampler
from exporter.engine.lateness import in_time
from exporter.engine.slots import Slots
from exporter.ledger import Own
from exporter.model.failure import Asleep, Evidence, Failure, Reason, Status
from exporter.model.job import Job, ReadLoad
from exporter.model.load import Load, of_one
from exporter.model.observation import NOTHING_MORE, Measurement, Observation
from exporter.model.result import Result
from exporter.transport.alarm import Timers
from exporter.transport.thread import available

logger = logging.getLogger(__name__)

#: Seconds a reading of the load may take, and how long a canary waits for one that has to come before it.
READING = 1.0
BEFORE = 0.2
#: Seconds a run of many questions has to come to an end once its time is over.
ENDING = 60.0
#: A canary that ended so is understood better with the server's load beside it.
_TELLING = frozenset({Evidence.OK, Evidence.BUSY, Evidence.SLOW})
# What nearly every run ends with. Before 3.12 a member of an enum is looked up by way of its class at each use.
_HEALTHY, _OK = Status.HEALTHY, Evidence.OK


class OpenExchange(Protocol):
    """Opens one attempt's conversation."""

    @abstractmethod
    def __call__(self, job: Job, deadline: float, trace_id: str, *, aside: bool = False) -> Exchange:
        """`aside`: beside the run and no part of it; it neither uses nor leaves a connection that runs keep."""


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
        many: Callable[[Job, float], Awaitable[Observation]],
    ) -> None:
        self.open_exchange = open_exchange
        self._slots = slots
        self._lag = lag
        self._own = own
        self._clock = clock
        self._timers = Timers(clock)
        self._wall = wall
        self._sleep = sleep
        self._random = random
        self._many = many
        self.flights: set[Flight] = set()

    def launch(
        self, job: Job, planned: float | None, generation: int, done: Done, slow: bool, behind: bool = False
    ) -> Flight:
        """Queue a run, `behind` all others where it may wait. It never ends within this call."""
        flight = Flight(self, job, planned, generation, done, slow, behind)
        self.flights.add(flight)
        if job.evaluation is not None:
            flight.granted()  # it holds no slot: each of its questions has to have one
        else:
            self._slots.ask(flight)
        return flight

    async def once(self, job: Job, *, behind: bool = False, begun: Callable[[], None] = lambda: None) -> Result:
        """Run a job now, within the slots but outside any schedule. Cancelling this cancels the run; `begun` is called
        then if it had taken its first step.
        """
        landed: asyncio.Future[Result] = asyncio.get_running_loop().create_future()

        def done(result: Result | None) -> None:
            if result is None:
                landed.cancel()
            elif not landed.done():
                landed.set_result(result)

        flight = self.launch(job, None, 0, done, False, behind)
        try:
            return await landed
        finally:
            if not landed.done() or landed.cancelled():
                if flight.begun:
                    begun()
                flight.cancel()

    def take_off(self, flight: Flight) -> asyncio.Task[None]:
        """Begin a run that holds its slots."""
        flight.started = now = self._clock()
        if flight.planned is not None:
            self._own.schedule_delay.observe(now - flight.planned if now > flight.planned else 0.0)
        loop = self._timers.loop or asyncio.get_running_loop()  # the latter is a system call before 3.12
        # Not by `create_task`, which writes a name for each, and looks for a factory that we do not have.
        return asyncio.Task(self._fly(flight), loop=loop, name="run")

    def land(self, flight: Flight, result: Result | None) -> None:
        """Give the slots back and tell whoever launched it. Once; later calls do nothing."""
        try:
            self.flights.remove(flight)
        except KeyError:
            return
        self._slots.leave(flight)
        flight.task = None  # which keeps the error it was cancelled with, and that the frame which knows the flight
        try:
            flight.done(result)
        except Exception:
            self.bug("engine", flight.job)

    async def _fly(self, flight: Flight) -> None:
        flight.begun = True
        result, cancelled = None, False
        try:
            if flight.plain:
                result = await self._ask(flight)
            else:
                if flight.job.needs:
                    await available(flight.job.needs)
                    flight.started = self._clock()
                result = await self._ask_more(flight)
        except asyncio.CancelledError:
            cancelled = True
        finally:
            self.land(flight, result)
        if cancelled:
            # A new one: the task keeps it, and the other keeps all frames it came through, with bodies of megabytes, in
            # a circle with the attempt, which knows the task.
            raise asyncio.CancelledError

    def _ask_more(self, flight: Flight) -> Awaitable[Result]:
        """What a run does that is not one question alone."""
        job = flight.job
        if job.evaluation is not None:
            return self._ask_many(flight)
        return self._ask(flight) if job.load is None else self._ask_beside(flight, job.load)

    async def _ask_beside(self, flight: Flight, read: ReadLoad) -> Result:
        """Ask, and read the server's load meanwhile."""
        first = asyncio.get_running_loop().create_task(self._read_load(flight, read))
        try:
            if flight.job.accounts:
                await asyncio.wait([first], timeout=BEFORE)
            result = await self._ask(flight)
            return await self._loaded(flight, result, read, first)
        finally:
            if not first.done():
                first.cancel()
                await asyncio.wait([first])

    async def _ask(self, flight: Flight) -> Result:
        """Ask until it is answered, or no further attempt is worth it or fits."""
        job, started = flight.job, flight.started
        schedule = job.schedule
        failures: tuple[Reason, ...] = ()
        while True:
            made = await attempt(flight.open, job.ask, schedule.timeout, self._timers, flight.bug)
            observation = made.found or NOTHING_MORE
            if observation is not NOTHING_MORE:
                observation = kept(observation, made.redact)
            failure = made.failure or observation.failure
            if job.within is not None and made.asleep is None:
                failure = in_time(failure, job.within, made.measurement, observation.stream)
            if failure is None:
                break
            failures = (*failures, failure.reason)
            end = started + schedule.deadline
            left = end - self._clock()
            wait = wait_before_next(failure, job.retry, len(failures), left, schedule.timeout, self._random)
            if wait is None or not await self._pause(flight, wait, end - schedule.timeout):
                break
        if failure is not None:
            row, asleep = failure.row, None
            detail, wire = self._told(made, failure, job)
            status, evidence, reason = row.status, row.evidence, failure.reason
            retry_after, attempts = failure.retry_after, len(failures)
        else:
            asleep = made.asleep
            status, evidence, reason, detail = _HEALTHY, _OK if asleep is None else Evidence.NONE, None, asleep or ""
            retry_after, attempts, wire = None, len(failures) + 1, ""
        made.exchange = None  # the attempt lies among the timers for a while yet, and shall not keep the answer
        # By position: keywords go through a dictionary on their way into a class, and this is done in every run.
        return Result(
            job,
            flight.generation,
            started if flight.planned is None else flight.planned,
            started,
            self._clock(),
            self._wall(),
            status,
            evidence,
            reason,
            detail,
            attempts,
            failures,
            made.measurement,
            observation,
            flight.trace_id,
            retry_after,
            self._lag.lagged_at >= started,
            None,
            None,
            sampled(made.found) if job.drift and made.found is not None else None,
            "" if asleep is None else "asleep",
            wire,
        )

    def _told(self, made: Attempt[Observation], failure: Failure, job: Job) -> tuple[str, str]:
        """What people are told of an attempt that failed: the detail, and what was said on the wire."""
        exchange = made.exchange
        try:
            if exchange is not None:
                return exchange.redact(failure.detail, asked=True), exchange.told(made.began)
        except Exception:
            self.bug("runner", job)
        return failure.detail, ""

    async def _ask_many(self, flight: Flight) -> Result:
        """A run of many questions, each of which is a run of its own."""
        job, started = flight.job, flight.started
        observation, failure, asleep = NOTHING_MORE, None, None
        try:
            async with asyncio.timeout(job.schedule.deadline + ENDING):
                observation = await self._many(job, started + job.schedule.deadline)
            failure = observation.failure
        except Asleep as error:
            asleep = error.detail
        except TimeoutError:
            failure = Failure(Reason.INCONCLUSIVE, f"no end within {ENDING:g} s after its time was over")
        except Exception:
            self.bug("runner", job)
            failure = Failure(Reason.INTERNAL, "an error in the exporter; its log has the traceback")
        if failure is not None:
            failure = settled(failure, str)
        row = failure.row if failure else None
        return Result(
            job=job,
            generation=flight.generation,
            planned=started if flight.planned is None else flight.planned,
            started=started,
            ended=self._clock(),
            at=self._wall(),
            status=row.status if row else Status.HEALTHY,
            evidence=row.evidence if row else Evidence.OK if asleep is None else Evidence.NONE,
            reason=failure.reason if failure else None,
            detail=failure.detail if failure else asleep or "",
            attempts=1,
            failures=() if failure is None else (failure.reason,),
            measurement=Measurement(),
            observation=observation,
            trace_id=flight.trace_id,
            skipped="" if asleep is None else "asleep",
        )

    async def _pause(self, flight: Flight, wait: float, latest: float) -> bool:
        """Back off without holding slots. False when they came back too late for a whole attempt."""
        self._slots.leave(flight)
        await self._sleep(wait)
        flight.waiter = asyncio.get_running_loop().create_future()
        self._slots.ask(flight)
        await flight.waiter
        return self._clock() <= latest

    async def _read_load(self, flight: Flight, read: ReadLoad, within: float = READING) -> Load | None:
        """One reading, on an exchange of its own that is no part of what is measured."""
        job = flight.job
        reading = await attempt(
            lambda deadline: self.open_exchange(job, deadline, flight.trace_id, aside=True),
            read,
            min(READING, job.schedule.timeout, within),
            self._timers,
            lambda: self.bug("load", job),
        )
        self._own.unread_loads += reading.failure is not None
        return reading.found

    async def _loaded(
        self, flight: Flight, result: Result, read: ReadLoad, first: "asyncio.Task[Load | None]"
    ) -> Result:
        """The result with what was read of the load. The canary is over: its slots are given back before."""
        if result.evidence not in _TELLING:
            return result
        self._slots.leave(flight)
        during = first.done()  # else the reading may hold the canary already
        load = await first
        after = None
        if result.evidence is Evidence.OK and during and load is not None and load.spent is not None:
            return await self._accounted(flight, replace(result, load=load), read)
        # Only a verdict looks at the second one, and a run on demand makes none.
        if result.evidence is not Evidence.OK and flight.planned is not None:
            after = await self._read_load(flight, read)
        return replace(result, load=load, load_after=after)

    async def _accounted(self, flight: Flight, result: Result, read: ReadLoad) -> Result:
        """The result with where its time went, by what the server's account has grown. A run on demand has no more
        time than its own timeout.
        """
        left = READING if flight.planned is not None else flight.started + flight.job.schedule.timeout - self._clock()
        if left <= 0:
            return result
        after = await self._read_load(flight, read, left)
        told = of_one(result.load, after)
        return replace(result, observation=replace(result.observation, server_seconds=told)) if told else result

    def bug(self, component: str, job: Job) -> None:
        """Note an exception that nobody foresaw, with its traceback; call it while handling one."""
        self._own.internal_errors[component] += 1
        logger.exception("internal error", extra={"fields": {"target": job.target.name, "probe": job.probe}})
