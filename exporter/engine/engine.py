"""The engine: joins the wheel, the runner, the verdict and the ledger."""

import asyncio
import logging
import random as _random
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from math import inf

from exporter.contracts import AskMany
from exporter.engine import plan
from exporter.engine.behind import Behind
from exporter.engine.lag import STALL, LagSampler
from exporter.engine.pauses import Pauses
from exporter.engine.plan import Changes
from exporter.engine.runner import OpenExchange, Runner
from exporter.engine.slots import Limits, Slots
from exporter.engine.verdict import disagreement, worst
from exporter.engine.verdicts import Verdicts
from exporter.engine.watch import Probe, Watch
from exporter.engine.watched import Watched
from exporter.engine.wheel import Wheel
from exporter.ledger import Ledger
from exporter.model.failure import Evidence
from exporter.model.job import Job
from exporter.model.observation import Observation
from exporter.model.result import Result
from exporter.model.state import State, StateChange

logger = logging.getLogger(__name__)

#: Seconds a cancelled run has to close its connection while draining.
_CLOSING = 1.0
_OK = Evidence.OK  # before 3.12 a member of an enum is looked up by way of its class at each use
#: States in which a target is spared questions that are none of its probes'.
_SPARED = frozenset({State.SATURATED, State.LOADING, State.ERROR, State.ZOMBIE})
#: Seconds by which the schedule, or the booking of what was started, may be late before the engine calls itself sick.
_SICK = 30.0


class Engine:
    """Runs jobs on schedule, keeps the ledger, and says what state each target is in.

    `on_change` hears every change of state, `on_result` every booked run after what it changed; both are called on the
    loop and must not block. `clock` is monotonic, `wall` is Unix time, both in seconds. `windows`: whether targets are
    left alone in the maintenance windows that they have. `ask_many` does the runs of many questions.
    """

    def __init__(
        self,
        *,
        ledger: Ledger,
        open_exchange: OpenExchange,
        limits: Limits = Limits(),  # noqa: B008 - frozen
        on_change: Callable[[StateChange], None],
        on_result: Callable[[Result], None],
        clock: Callable[[], float] = time.perf_counter,
        wall: Callable[[], float] = time.time,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        random: Callable[[], float] = _random.random,
        windows: bool = True,
        ask_many: AskMany | None = None,
    ) -> None:
        self._ledger = ledger
        self._on_change = on_change
        self._on_result = on_result
        self._clock = clock
        self._wall = wall
        self._slots = Slots(limits, ledger.own)
        self._lag = LagSampler(clock, ledger.own.loop_lag, self._stalled)
        self._wheel = Wheel(clock, self._wheel_failed)
        self._runner = Runner(
            open_exchange=open_exchange,
            slots=self._slots,
            lag=self._lag,
            own=ledger.own,
            clock=clock,
            wall=wall,
            sleep=sleep,
            random=random,
            many=self._many,
        )
        self._sleep = sleep
        self._ask_many = ask_many
        self._watched = Watched(self, ledger=ledger, wheel=self._wheel, clock=clock)
        self._watches = self._watched.watches
        self._verdicts = Verdicts(self._watches, ledger=ledger, wheel=self._wheel, changed=self._changed)
        self._window = 0.0
        self._started = False
        self._book_by = inf  #: when the first run that was started since the last booking is booked at last
        #: What keeps probes from running.
        self.pauses = Pauses(
            self._watches, ledger=ledger, wheel=self._wheel, clock=clock, wall=wall, resumed=self._resumed,
            windows=windows,
        )  # fmt: skip
        self.pauses.take(limits.budget)

    # --- what others call -----------------------------------------------------------------------------------------

    @property
    def limits(self) -> Limits:
        """The limits in force; they may be replaced at any time."""
        return self._slots.limits

    @limits.setter
    def limits(self, limits: Limits) -> None:
        self._slots.limits = limits
        self.pauses.take(limits.budget)

    @property
    def turning(self) -> bool:
        """Whether runs are being started."""
        return self._wheel.turning

    def ailments(self) -> list[str]:
        """What is wrong with the engine itself, in words; nothing while it is well."""
        if not self._started:
            return []
        if not self.turning:
            return ["no probe is being started"]
        told = []
        if (late := self._wheel.behind) > _SICK:
            told.append(f"the schedule stands still: the next probe is {late:.0f} s late")
        if (late := self._clock() - self._book_by) > 0:
            told.append(f"probes are started and nothing is booked: the first is {late + _SICK:.0f} s late")
        return told

    async def run(self) -> None:
        """Turn the wheel until cancelled. Runs in flight go on: `drain` ends them."""
        self._started = True
        self._wheel.start()
        self._lag.start()
        try:
            self._plan([probe for watch in self._watches.values() for probe in watch.probes.values()])
            for watch in self._watches.values():
                self._verdicts.look_again(watch, self._clock())
            await asyncio.get_running_loop().create_future()
        finally:
            self._wheel.stop()
            self._lag.stop()

    async def once(self, job: Job) -> Result:
        """Run a job now, within slots and deadline but outside schedule and ledger."""
        return await self._runner.once(job)

    def pull(self, target: str) -> bool:
        """Run the cheap probes of a target now. False when there is no such target, or nothing is being started."""
        watch = self._watches.get(target)
        if watch is None or not self.turning:
            return False
        for probe in watch.probes.values():
            if probe.cheap:
                self._pull(probe, self._clock())
        return True

    def ask(self, target: str, probe: str) -> bool:
        """Run one probe now, unless a run of it is under way. False when there is none, or nothing is being started."""
        watch = self._watches.get(target)
        asked = watch.probes.get(probe) if watch is not None else None
        if asked is None or not self.turning:
            return False
        if asked.flight is None:
            self._pull(asked, self._clock())
        return True

    async def drain(self, grace: float) -> None:
        """Start nothing more, wait up to `grace` seconds for what is in flight, then cancel it."""
        self._wheel.stop()
        tasks = []
        for flight in list(self._runner.flights):
            if flight.task is not None:
                tasks.append(flight.task)
            if flight.task is None or flight.job.evaluation is not None:
                flight.cancel()  # a run of many questions will not end within any grace
        if not tasks:
            return
        _, late = await asyncio.wait(tasks, timeout=grace)
        for task in late:
            task.cancel()
        if late:
            await asyncio.wait(late, timeout=_CLOSING)

    def reconcile(self, jobs: Sequence[Job]) -> Changes:
        """Make these the jobs that run. Unchanged ones keep counters, evidence and phase. Start is the same."""
        changes, fresh, watches = self._watched.reconcile(jobs)
        self._window = plan.start_window(Counter(job.schedule.interval for job in jobs))
        self.pauses.take(self.limits.budget)
        if self.turning:
            self._plan(fresh)
            for watch in watches:
                # Not judged anew: until the added probes have spoken, the state stays.
                self._verdicts.look_again(watch, self._clock(), judge=False)
        return changes

    # --- plans ----------------------------------------------------------------------------------------------------

    def _plan(self, probes: Sequence[Probe]) -> None:
        window = plan.start_window(Counter(probe.job.schedule.interval for probe in probes))
        now = self._clock()
        for probe in probes:
            self._plan_first(probe, now, window)

    def _plan_first(self, probe: Probe, now: float, window: float) -> None:
        probe.on_grid = False
        self._put(probe, plan.first_due(probe.offset, probe.job.schedule.interval, now, window), now)

    def _put(self, probe: Probe, due: float, now: float) -> None:
        self._wheel.put(probe, due)
        self._ledger.planned(probe.job, probe.interval, self._wall() + due - now)

    # --- runs -----------------------------------------------------------------------------------------------------

    def probe_due(self, probe: Probe, planned: float, now: float) -> None:
        """The wheel reached a probe."""
        job, interval = probe.job, probe.job.schedule.interval
        if now - planned > STALL:
            # Given up, and spread over the interval like at start: not all of it is made up for at once.
            self._ledger.skip(job, "missed", plan.lost_slots(planned, interval, now))
            self._plan_first(probe, now, self._window)
            return
        if now - planned >= interval:
            self._ledger.skip(job, "missed", plan.lost_slots(planned, interval, now) - 1)
        probe.on_grid = True
        self._put(probe, plan.next_due(probe.offset, interval, now if now > planned else planned), now)
        if probe.fresh and probe.watch.holds_back(probe):
            return
        if probe.flight is not None:
            self._ledger.skip(job, "missed" if probe.flight.task is None else "overlap")
            return
        self._launch(probe, planned)

    def _launch(self, probe: Probe, planned: float) -> None:
        if reason := self.pauses.bar(probe):
            self._passed_over(probe, reason, planned, self._clock())
            return
        slow = probe.timed_out or probe.watch.timed_out or (probe.fresh and probe.costs)
        probe.fresh = False
        if (by := planned + probe.deadline + _SICK) < self._book_by:
            self._book_by = by
        probe.flight = self._runner.launch(probe.job, planned, probe.watch.generation, probe.landed, slow)

    def _pull(self, probe: Probe, now: float) -> None:
        """Run a probe now instead of at its planned moment, never twice at once."""
        if probe.flight is not None:
            # One that still waits for its slot is soon enough.
            probe.again = probe.flight.task is not None
            return
        if not probe.live:
            return
        start = probe.pulled_at(now)
        if start <= now:
            if probe.fresh:  # else its first moment, which is soon, would find this run under way
                probe.on_grid = True
                self._put(probe, plan.next_due(probe.offset, probe.job.schedule.interval, now), now)
            self._launch(probe, now)
        else:
            probe.on_grid = False
            self._wheel.put(probe, start, sooner=True)

    def probe_landed(self, probe: Probe, result: Result | None) -> None:
        """A run ended: book it and what it used, plan the next one, and judge."""
        flight, probe.flight = probe.flight, None
        if probe.hold is not None:
            self.pauses.settle(probe, result, begun=flight is not None and flight.begun)
        if result is None or not probe.live:
            self._book_by = inf
            return
        if result.skipped:
            self._passed_over(probe, result.skipped, result.planned, result.started)
            self._book_by = inf
            return
        if probe.canary:
            result = probe.told(result)
        recorded = self._ledger.record(result)
        self._book_by = inf
        if not recorded:
            return
        now, watch = self._clock(), probe.watch
        due = probe.after(result, now)
        if due is not None:
            self._put(probe, due, now)
        if watch.rests_until is not None:
            # It began before the maintenance: booked, and no evidence of anything.
            self._ledger.rest(watch.name, watch.rests_until)
            probe.again = False
        else:
            self._weigh(probe, result, now)
        try:
            self._on_result(result)
        except Exception:
            self._runner.bug("engine", probe.job)

    def _weigh(self, probe: Probe, result: Result, now: float) -> None:
        """Take a run as evidence, and start what it pulls forward."""
        watch, track = probe.watch, probe.track
        before = track.evidence
        changed = track.update(result, probe.interval)
        probe.note_time(result)
        if watch.timed_out:
            for other in watch.probes.values():
                if other.flight is not None:  # it has waited since before that was known
                    self._slots.step_aside(other.flight)
        if probe.canary and (sides := disagreement(worst(watch.cheap), result.evidence)) is not None:
            self._ledger.disagree(watch.name, *sides)
        if changed or not (watch.settled and result.evidence is _OK):
            self._verdicts.judge(watch, now)
        if track.expires < watch.look_at:
            watch.look_at = track.expires
            self._wheel.put(watch, track.expires)
        if self._wheel.turning:
            for other in watch.pulled_by(probe, result.evidence, before):
                self._pull(other, now)
            if probe.again:
                self._pull_again(probe, now)

    def _passed_over(self, probe: Probe, reason: str, planned: float, at: float) -> None:
        """A slot that was not used, and no run: the model sleeps, a budget has no room, or there is maintenance."""
        now = self._clock()
        self._ledger.skip(probe.job, reason, paused=True)
        due = probe.after_skip(planned, now)
        if due is not None:
            self._put(probe, due, now)
        if probe.watch.resting:
            return
        probe.track.pass_over(at, mute=reason == "asleep")
        self._verdicts.judge(probe.watch, now)
        if self.turning:
            self._pull_again(probe, now)

    def _resumed(self, watches: Sequence[Watch]) -> None:
        """Maintenance is over: all is asked anew, spread like at start, and the state stays until it has answered."""
        now = self._clock()
        for watch in watches:
            watch.wake(now)
        if self.turning:
            self._plan([probe for watch in watches for probe in watch.probes.values()])
            for watch in watches:
                self._verdicts.look_again(watch, now, judge=False)

    def _pull_again(self, probe: Probe, now: float) -> None:
        """Make up for a pull that came while the probe's run was under way."""
        if probe.again:
            probe.again = False
            self._pull(probe, now)

    async def _many(self, job: Job, until: float) -> Observation:
        """A run of many questions."""
        if self._ask_many is None:
            raise RuntimeError("there is nobody to ask many questions")
        name = job.target.name
        questions = Behind(
            self._runner, until=until, clock=self._clock, sleep=self._sleep, spared=lambda: self._spared(name),
            reserve=self.pauses.reserve, charge=self.pauses.charge,
        )  # fmt: skip
        return await self._ask_many(job, questions)

    def _spared(self, name: str) -> bool:
        """Whether a target is asked nothing but its probes for now: it could not answer, or has no time to."""
        watch, record = self._watches.get(name), self._ledger.targets.get(name)
        return (record is not None and record.state in _SPARED) or (watch is not None and watch.resting)

    # --- verdicts -------------------------------------------------------------------------------------------------

    def watch_due(self, watch: Watch, planned: float, now: float) -> None:
        """Some evidence may have expired, or the time to start up is over."""
        if now - planned > STALL:
            self._wheel.put(watch, now + STALL)  # by then `_stalled` has been told what really expired
        else:
            self._verdicts.look_again(watch, now)

    def _stalled(self, seconds: float) -> None:
        """The process stood still and nobody could be asked: that time makes no evidence old."""
        self._book_by += seconds
        self._verdicts.stalled(seconds)

    def _changed(self, change: StateChange, job: Job) -> None:
        try:
            self._on_change(change)
        except Exception:
            self._runner.bug("engine", job)

    def _wheel_failed(self, error: Exception) -> None:
        self._ledger.own.internal_errors["wheel"] += 1
        logger.error("internal error", exc_info=error)
