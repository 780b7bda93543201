"""One target under watch: its probes, what they hold, and which of them a finished run pulls forward."""

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import replace
from math import inf
from typing import Protocol

from exporter.engine import plan
from exporter.engine.budget import Hold
from exporter.engine.flight import Flight
from exporter.engine.track import Track
from exporter.engine.wheel import Planned
from exporter.ledger import CONCLUSIVE
from exporter.model.cost import NOTHING
from exporter.model.failure import MAX_DETAIL, Evidence, Status
from exporter.model.job import Job, Kind
from exporter.model.result import Result
from exporter.model.state import State, Verdict
from exporter.model.target import Target

#: Pulled-forward runs a probe may have in a row. Further ones come one per `recheck`, so that probes that keep
#: contradicting each other (two replicas behind one address) cannot drive each other in a circle.
PULLS_AT_ONCE = 3
#: What a server may say to a request that is not right. All other failures come whatever is asked.
_ANSWERED = frozenset({Evidence.REFUSED, Evidence.WRONG, Evidence.BROKEN, Evidence.SLOW})
# Before 3.12 a member of an enum is looked up by way of its class at each use.
_HEALTHY, _ERROR, _NONE, _OK, _SLOW = Status.HEALTHY, Status.ERROR, Evidence.NONE, Evidence.OK, Evidence.SLOW
_BAD = frozenset({Evidence.DEAD, Evidence.SLOW, Evidence.BROKEN, Evidence.REFUSED, Evidence.WRONG})
#: A failed run that used this share of its timeout held its slot as long as one that timed out.
_LONG = 0.8


class Owner(Protocol):
    """What a probe and a watch tell when their moment has come."""

    @abstractmethod
    def probe_due(self, probe: "Probe", planned: float, now: float) -> None:
        """A probe's planned moment."""

    @abstractmethod
    def probe_landed(self, probe: "Probe", result: Result | None) -> None:
        """A probe's run ended; None when it was cancelled."""

    @abstractmethod
    def watch_due(self, watch: "Watch", planned: float, now: float) -> None:
        """Some evidence of a target may have expired."""


class Probe(Planned):
    """A job on the schedule, with what its runs left behind."""

    __slots__ = (
        "again", "canary", "cheap", "costs", "deadline", "failures", "flight", "follows", "fresh", "hold", "interval",
        "job", "live", "offset", "on_grid", "owner", "passed", "relief", "timed_out", "track", "watch", "worst",
    )  # fmt: skip

    def __init__(self, owner: Owner, watch: "Watch", job: Job, now: float) -> None:
        super().__init__()
        self.owner = owner
        self.watch = watch
        self.job = job
        self.cheap = job.kind.cheap
        self.canary = job.canary
        self.costs = job.kind.canary  #: makes the model work, be it to speak for the target or not
        self.follows = self.costs or job.kind is Kind.EVALUATE  #: waits for a first cheap run
        self.passed = False  #: a run was healthy
        self.offset = plan.phase(job.key, job.schedule.interval)
        self.track = Track(job, now)
        self.interval = job.schedule.interval  #: in force: re-check and Retry-After included
        self.flight: Flight | None = None
        self.hold: Hold | None = None  #: what is reserved for that flight
        self.worst = job.worst if self.costs else NOTHING  #: the most that one run uses, as far as is known
        self.live = True  #: False once it was removed or replaced, maybe by one just like it
        self.on_grid = False  #: its plan is the next moment of its grid
        self.fresh = True  #: no run was started yet
        self.again = False  #: pulled forward while its run was under way
        self.deadline = job.schedule.deadline
        self.timed_out = False  #: its last run held its slot for long
        self.failures = 0  #: runs in a row that were not healthy
        self.relief = -inf

    def due(self, planned: float, now: float) -> None:
        """The planned moment of the next run."""
        self.owner.probe_due(self, planned, now)

    def landed(self, result: Result | None) -> None:
        """The run ended."""
        self.owner.probe_landed(self, result)

    def after(self, result: Result, now: float) -> float | None:
        """The next run's moment, and with it the interval in force, after a finished run; None: as planned."""
        if self.on_grid and result.status is _HEALTHY and not self.failures:
            return None
        self.on_grid = True
        schedule = self.job.schedule
        # A timer may fire a moment early, and a fast failure end before its own moment: that one is used up.
        due = plan.next_due(self.offset, schedule.interval, max(now, result.planned))
        self.interval = schedule.interval
        if result.status is Status.HEALTHY:
            self.failures = 0
            return due
        self.failures += 1
        if self.canary or (self.costs and result.evidence not in CONCLUSIVE):
            delay = plan.recheck_delay(schedule.recheck, schedule.interval, self.failures)
            if delay < schedule.interval:
                self.interval, due = delay, result.ended + delay
        if result.retry_after is not None:
            wait = plan.stretched(schedule.interval, result.retry_after)
            self.interval, due = max(self.interval, wait), max(due, result.ended + wait)
        return due

    def after_skip(self, planned: float, now: float) -> float | None:
        """The next run's moment after a slot that was not used: that of its grid; None where that is planned."""
        interval = self.job.schedule.interval
        if self.on_grid and self.interval == interval:
            return None
        self.on_grid, self.interval = True, interval
        return plan.next_due(self.offset, interval, max(now, planned))

    def pulled_at(self, now: float) -> float:
        """When a pull of now may start; counts it."""
        gap = self.job.schedule.recheck
        start = max(now, self.relief - (PULLS_AT_ONCE - 1) * gap)
        self.relief = max(self.relief, start) + gap
        return start

    def told(self, result: Result) -> Result:
        """A canary's finished run, and whether it ever passed: of one that never did, the question may be wrong."""
        if result.status is Status.HEALTHY:
            self.passed = True
        if self.passed or result.evidence not in _ANSWERED:
            return result
        ours = result.evidence in (Evidence.REFUSED, Evidence.WRONG)
        said = "never passed since it was configured" + (", probably our request" if ours else "")
        return replace(result, detail=f"{said}: {result.detail}"[:MAX_DETAIL] if result.detail else said)

    def note_time(self, result: Result) -> None:
        """Remember whether the run, or the last of the whole target, held its slot until its timeout."""
        if self.job.evaluation is not None:
            return  # it held none
        late = result.evidence is _SLOW
        if not late and result.status is _ERROR:
            late = result.ended - result.started >= _LONG * self.job.schedule.timeout
        self.timed_out = self.watch.timed_out = late


class Watch(Planned):
    """A target's probes by what they speak of. `address` decides whether it is still the same target."""

    __slots__ = (
        "asked", "canaries", "cheap", "generation", "healthy_once", "look_at", "name", "others", "owner",
        "probes", "rests_until", "settled", "startup_until", "timed_out",
    )  # fmt: skip

    def __init__(self, owner: Owner, target: Target, generation: int, now: float) -> None:
        super().__init__()
        self.owner = owner
        self.name = target.name
        self.generation = generation
        self.startup_until = now + target.startup
        self.healthy_once = False
        self.asked = False  #: a cheap run has finished
        self.timed_out = False
        self.look_at = inf  #: when something may have expired
        self.settled = False  #: healthy, and every probe that can say so says ok: one more ok changes nothing
        self.rests_until: float | None = None  #: Unix time at which its maintenance ends; None: there is none
        self.probes: dict[str, Probe] = {}
        self.cheap: tuple[Track, ...] = ()
        self.canaries: tuple[Track, ...] = ()
        self.others: tuple[Track, ...] = ()

    @property
    def address(self) -> tuple[object, ...]:
        """What makes it another target when it changes."""
        return address(self.target)

    @property
    def target(self) -> Target:
        """The target as its jobs have it now."""
        return next(iter(self.probes.values())).job.target

    @property
    def resting(self) -> bool:
        """Whether it is in maintenance."""
        return self.rests_until is not None

    def call_off(self) -> None:
        """Cancel the runs that still wait for their slot."""
        for probe in self.probes.values():
            if probe.flight is not None and probe.flight.task is None:
                probe.flight.cancel()

    def wake(self, now: float) -> None:
        """Its maintenance is over. That time makes no evidence old, and who failed before it has failed long ago."""
        for probe in self.probes.values():
            probe.failures = 0
            probe.track.renew(now)

    def due(self, planned: float, now: float) -> None:
        """Something may have expired."""
        self.owner.watch_due(self, planned, now)

    def sort(self) -> None:
        """Bring the lists of tracks in line with `probes`."""
        self.settled = False
        tracks = [probe.track for probe in self.probes.values()]
        self.cheap = tuple([track for track in tracks if track.job.kind.cheap])
        self.canaries = tuple([track for track in tracks if track.job.canary])
        self.others = tuple([track for track in tracks if not (track.job.kind.cheap or track.job.kind.canary)])

    def starting(self, now: float) -> bool:
        """Within the time the target may take until it is first healthy."""
        return not self.healthy_once and now < self.startup_until

    def settle(self, verdict: Verdict) -> None:
        """Note what a new verdict means for the next ones."""
        healthy = verdict.state is State.HEALTHY
        self.healthy_once = self.healthy_once or healthy
        self.settled = (
            healthy
            and verdict.verified == bool(self.canaries)
            and all(track.evidence is Evidence.OK for track in (*self.cheap, *self.canaries, *self.others))
        )

    def holds_back(self, probe: Probe) -> bool:
        """Whether a probe has to wait for the target's first finished cheap run."""
        return probe.fresh and probe.follows and not self.asked and bool(self.cheap) and self.rests_until is None

    def pulled_by(self, probe: Probe, seen: Evidence, before: Evidence) -> Sequence[Probe]:
        """Whom a finished run of `probe` pulls forward; `before` was its effective evidence until then."""
        if probe.cheap:
            held = probe.track.evidence
            if self.asked and held is before:
                return _NOBODY
            self.asked = True
            pulled = [
                other
                for other in self.probes.values()
                if other.follows and (other.fresh or (other.canary and _news(before, held, other.track.evidence)))
            ]
            for other in pulled:
                other.failures = 0  # what it said of the server as it was no longer counts
            return pulled
        if not probe.canary or seen is _NONE:
            return _NOBODY
        cheap = [other for other in self.probes.values() if other.cheap]
        if seen is Evidence.OK:
            return [
                other for other in cheap if other.job.kind is Kind.READY and other.track.evidence is Evidence.LOADING
            ]
        # One that says so itself has nothing to add; asking it with every re-check would only be traffic.
        return [other for other in cheap if other.track.evidence not in _BAD]

    def expire(self, now: float) -> bool:
        """Let go what is too old, and note when to look again. True when the verdict may be another."""
        lost = not self.healthy_once and self.startup_until <= now
        look = self.startup_until if self.starting(now) else float("inf")
        for probe in self.probes.values():
            track = probe.track
            if track.expired:
                continue
            if now < track.expires:
                look = min(look, track.expires)
            elif probe.flight is not None and probe.flight.task is not None:
                # It speaks again within its deadline; until then the old word stands.
                look = min(look, now + probe.job.schedule.timeout)
            else:
                track.expire()
                lost = True
        self.look_at = look
        return lost


_NOBODY: Sequence[Probe] = ()


def _news(before: Evidence, now_held: Evidence, canary: Evidence) -> bool:
    """Whether a cheap probe's evidence changed so that a canary has to speak anew.

    A first answer contradicts no earlier one; it is news only where the canary said ok and this is not.
    """
    if before is Evidence.NONE:
        return canary is Evidence.OK and now_held not in (Evidence.OK, Evidence.NONE)
    return now_held is not before


def address(target: Target) -> tuple[object, ...]:
    """What makes a target another one when it changes."""
    endpoint = target.endpoint
    return (endpoint.scheme, endpoint.host, endpoint.port, endpoint.path, endpoint.query, target.model)
