"""One run of one job: its slots, its attempts, its deadline, and the Result they make.

A run never raises: a `Failure` is what a target did, and anything else is a bug of ours that is logged, counted and
becomes the reason `internal`. Only cancellation passes through, and the exchange is closed in every case.
"""

import asyncio
import logging
from abc import abstractmethod
from collections.abc import Awaitable, Callable
from dataclasses import replace
from random import getrandbits
from typing import Protocol

from exporter.contracts import Exchange
from exporter.engine.attempt import Attempt, attempt, settled
from exporter.engine.attempts import wait_before_next
from exporter.engine.lag import LagSampler
from exporter.engine.lateness import in_time
from exporter.engine.slots import Slots, Ticket
from exporter.ledger import Own
from exporter.model import sample
from exporter.model.failure import Asleep, Evidence, Failure, Reason, Status
from exporter.model.job import Job, ReadLoad
from exporter.model.load import Load, of_one
from exporter.model.observation import Measurement, Observation
from exporter.model.result import Result
from exporter.model.sample import Sample
from exporter.model.stream import Outcome

logger = logging.getLogger(__name__)

#: Hears the result of a run, or None when it was cancelled.
Done = Callable[[Result | None], None]

#: Seconds a reading of the load may take, and how long a canary waits for one that has to come before it.
READING = 1.0
BEFORE = 0.2
#: Seconds a run of many questions has to come to an end once its time is over.
ENDING = 60.0
#: A canary that ended so is understood better with the server's load beside it.
_TELLING = frozenset({Evidence.OK, Evidence.BUSY, Evidence.SLOW})
_NOTHING = Observation()


class OpenExchange(Protocol):
    """Opens one attempt's conversation."""

    @abstractmethod
    def __call__(self, job: Job, deadline: float, trace_id: str, *, aside: bool = False) -> Exchange:
        """`aside`: beside the run and no part of it; it neither uses nor leaves a connection that runs keep."""


class Flight(Ticket):
    """A job on its way: waiting for slots, running, or between two attempts."""

    __slots__ = ("begun", "done", "generation", "job", "planned", "runner", "started", "task", "waiter")

    def __init__(
        self,
        runner: "Runner",
        job: Job,
        planned: float | None,
        generation: int,
        done: Done,
        *,
        slow: bool,
        behind: bool = False,
    ) -> None:
        super().__init__(job.target.peer, slow=slow, behind=behind)
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
        many: Callable[[Job, float], Awaitable[Observation]],
    ) -> None:
        self._open = open_exchange
        self._slots = slots
        self._lag = lag
        self._own = own
        self._clock = clock
        self._wall = wall
        self._sleep = sleep
        self._random = random
        self._many = many
        self.flights: set[Flight] = set()

    def launch(
        self, job: Job, planned: float | None, generation: int, done: Done, *, slow: bool, behind: bool = False
    ) -> Flight:
        """Queue a run, `behind` all others where it may wait. It never ends within this call."""
        flight = Flight(self, job, planned, generation, done, slow=slow, behind=behind)
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

        flight = self.launch(job, None, 0, done, slow=False, behind=behind)
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

    def _run(self, flight: Flight) -> Awaitable[Result]:
        trace_id = f"{getrandbits(128):032x}"
        if flight.job.evaluation is not None:
            return self._ask_many(flight, trace_id)
        read = flight.job.load
        return self._ask(flight, trace_id) if read is None else self._ask_beside(flight, read, trace_id)

    async def _ask_beside(self, flight: Flight, read: ReadLoad, trace_id: str) -> Result:
        """Ask, and read the server's load meanwhile."""
        first = asyncio.get_running_loop().create_task(self._read_load(flight.job, read, trace_id))
        try:
            if flight.job.accounts:
                await asyncio.wait([first], timeout=BEFORE)
            result = await self._ask(flight, trace_id)
            return await self._loaded(flight, result, read, first)
        finally:
            if not first.done():
                first.cancel()
                await asyncio.wait([first])

    async def _ask(self, flight: Flight, trace_id: str) -> Result:
        """Ask until it is answered, or no further attempt is worth it or fits."""
        job, schedule, started = flight.job, flight.job.schedule, flight.started
        end = started + schedule.deadline
        failures: list[Reason] = []
        while True:
            made = await self._attempt(flight, trace_id)
            observation = _NOTHING if made.found is None else _kept(made.found, made.redact)
            failure = made.failure or observation.failure
            if job.within is not None and made.asleep is None:
                failure = in_time(failure, job.within, made.measurement, observation.stream)
            if failure is None:
                break
            failures.append(failure.reason)
            left = end - self._clock()
            wait = wait_before_next(failure, job.retry, len(failures), left, schedule.timeout, self._random)
            if wait is None or not await self._pause(flight, wait, end - schedule.timeout):
                break
        row = failure.row if failure else None
        asleep = made.asleep is not None
        return Result(
            job=job,
            generation=flight.generation,
            planned=started if flight.planned is None else flight.planned,
            started=started,
            ended=self._clock(),
            at=self._wall(),
            status=row.status if row else Status.HEALTHY,
            evidence=row.evidence if row else Evidence.NONE if asleep else Evidence.OK,
            reason=failure.reason if failure else None,
            detail=failure.detail if failure else made.asleep or "",
            attempts=len(failures) + (failure is None),
            failures=tuple(failures),
            measurement=made.measurement,
            observation=observation,
            trace_id=trace_id,
            retry_after=failure.retry_after if failure else None,
            suspect=self._lag.lagged_since(started),
            skipped="asleep" if asleep else "",
            sample=_sampled(made.found) if job.drift and made.found is not None else None,
        )

    async def _ask_many(self, flight: Flight, trace_id: str) -> Result:
        """A run of many questions, each of which is a run of its own."""
        job, started = flight.job, flight.started
        observation, failure, asleep = _NOTHING, None, None
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
            trace_id=trace_id,
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

    def _attempt(self, flight: Flight, trace_id: str) -> Awaitable[Attempt[Observation]]:
        job = flight.job
        return attempt(
            lambda deadline: self._open(job, deadline, trace_id),
            job.ask,
            timeout=job.schedule.timeout,
            clock=self._clock,
            bug=lambda: self.bug("runner", job),
        )

    async def _read_load(self, job: Job, read: ReadLoad, trace_id: str, within: float = READING) -> Load | None:
        """One reading, on an exchange of its own that is no part of what is measured."""
        reading = await attempt(
            lambda deadline: self._open(job, deadline, trace_id, aside=True),
            read,
            timeout=min(READING, job.schedule.timeout, within),
            clock=self._clock,
            bug=lambda: self.bug("load", job),
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
            after = await self._read_load(flight.job, read, result.trace_id)
        return replace(result, load=load, load_after=after)

    async def _accounted(self, flight: Flight, result: Result, read: ReadLoad) -> Result:
        """The result with where its time went, by what the server's account has grown. A run on demand has no more
        time than its own timeout.
        """
        left = READING if flight.planned is not None else flight.started + flight.job.schedule.timeout - self._clock()
        if left <= 0:
            return result
        after = await self._read_load(flight.job, read, result.trace_id, left)
        told = of_one(result.load, after)
        return replace(result, observation=replace(result.observation, server_seconds=told)) if told else result

    def bug(self, component: str, job: Job) -> None:
        """Note an exception that nobody foresaw, with its traceback; call it while handling one."""
        self._own.internal_errors[component] += 1
        logger.exception("internal error", extra={"fields": {"target": job.target.name, "probe": job.probe}})


def _sampled(seen: Observation) -> Sample | None:
    """What later answers are held against. None where the answer is not whole: it broke off, or we cut it."""
    if seen.output is None or (seen.failure is not None and seen.failure.reason is not Reason.EXPECTATION):
        return None
    cut = seen.stream is not None and seen.stream.outcome is Outcome.STOPPED
    return None if cut else sample.take(seen.output)


def _kept(seen: Observation, redact: Callable[[str], str]) -> Observation:
    """What is kept of it: not the whole answer, and no credential that a server echoed where labels come from."""
    if seen.failure is not None:
        settled(seen.failure, redact)
    found = seen.detected
    if not (seen.answer or seen.info or found or seen.models or seen.output):
        return seen
    return replace(
        seen,
        answer=redact(seen.answer),
        info={key: redact(value) for key, value in seen.info.items()},
        detected=found and replace(found, server=redact(found.server), why=redact(found.why)),
        models=seen.models and tuple(map(redact, seen.models)),
        output=None,
    )
