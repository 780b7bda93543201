"""Who is watched: the jobs in force, their targets and probes, and what a new list of jobs makes of them."""

from collections.abc import Callable, Sequence

from exporter.engine import plan
from exporter.engine.plan import Changes
from exporter.engine.watch import Owner, Probe, Watch, address
from exporter.engine.wheel import Wheel
from exporter.ledger import Ledger
from exporter.model.job import Job


class Watched:
    """All targets under watch, and the ledger in step with them. `owner` hears when their moments have come."""

    def __init__(self, owner: Owner, *, ledger: Ledger, wheel: Wheel, clock: Callable[[], float]) -> None:
        self.watches: dict[str, Watch] = {}  #: by name; the same object for ever
        self._owner = owner
        self._ledger = ledger
        self._wheel = wheel
        self._clock = clock
        self._jobs: Sequence[Job] = ()

    @property
    def jobs(self) -> dict[tuple[str, str], Job]:
        """Those in force, by key; put together when they are asked for, once in a reload."""
        return {job.key: job for job in self._jobs}

    def reconcile(self, jobs: Sequence[Job]) -> tuple[Changes, list[Probe], list[Watch]]:
        """Make these the jobs in force. Returns what changed, the new probes, and the targets touched by it."""
        changes = plan.reconcile(self.jobs, jobs)
        self._jobs = tuple(jobs)
        self._remove(changes)
        fresh = [self._add(job) for job in changes.added]
        wanted = {job.key for job in jobs} if changes.removed else ()
        for job in changes.removed:
            # After the additions: a target that changes its only probe is still the same target.
            if job.key not in wanted:
                self._ledger.remove(*job.key)
        for job in changes.kept:
            self._relabel(job)
        touched = {job.target.name for job in changes.added + changes.removed}
        watches = [watch for name in touched if (watch := self.watches.get(name)) is not None]
        for watch in watches:
            watch.sort()
            if not watch.probes:
                self._wheel.drop(self.watches.pop(watch.name))
        return changes, fresh, watches

    def _remove(self, changes: Changes) -> None:
        """Stop what is gone or was replaced, and forget targets that keep their name and nothing else."""
        kept = {job.target.name for job in changes.kept}
        moved = {
            job.target.name
            for job in changes.added
            if (watch := self.watches.get(job.target.name)) is not None
            and watch.address != address(job.target)
            and job.target.name not in kept
        }
        for job in changes.removed:
            probe = self.watches[job.target.name].probes.pop(job.probe)
            probe.live = False
            self._wheel.drop(probe)
            if probe.flight is not None:
                probe.flight.cancel()
            if job.target.name in moved:
                self._ledger.remove(*job.key)
        for name in moved:
            self._wheel.drop(self.watches.pop(name))

    def _add(self, job: Job) -> Probe:
        now, name = self._clock(), job.target.name
        self._ledger.add(job)
        if self._ledger.targets[name].target != job.target:
            self._ledger.replace(job)  # a known target with other labels
        watch = self.watches.get(name)
        if watch is None:
            watch = self.watches[name] = Watch(self._owner, job.target, self._ledger.targets[name].generation, now)
        probe = watch.probes[job.probe] = Probe(self._owner, watch, job, now)
        return probe

    def _relabel(self, job: Job) -> None:
        probe = self.watches[job.target.name].probes[job.probe]
        before = probe.job.target
        # Alike or not: else the jobs of the old config would be kept beside those of the new one.
        probe.job = probe.track.job = job
        if before != job.target:
            self._ledger.replace(job)
        else:
            self._ledger.renew(job, before)
