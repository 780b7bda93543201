"""What the runs of one probe amount to: streaks, thresholds, effective evidence, and how long it holds. Pure."""

from exporter.engine.load import signs
from exporter.engine.table import UNKNOWN_LOAD
from exporter.model.failure import Evidence, Reason
from exporter.model.job import Job
from exporter.model.load import Load
from exporter.model.result import Result

_BEFORE_ALL = float("-inf")
#: Load and loading are what the server says of itself: one answer is enough.
_UNCONFIRMED = frozenset({Evidence.BUSY, Evidence.LOADING})
# Before 3.12 a member of an enum is looked up by way of its class at each use.
_NONE, _OK = Evidence.NONE, Evidence.OK


class Track:
    """The effective evidence of one probe. All times are of the engine's clock, in seconds.

    `since`: start of the first run of the streak that made the evidence what it is; before all time where a first
    answer was ok, which contradicts nothing known. `at`, `ended`: start and end of the latest run that supports it.
    `ok_at`: start of the latest run that was ok, confirmed or not. `load` and its `signs` were read beside the run
    that `at` is of. `skipped_at`: start of the latest run that was passed over; whatever came before does not speak
    while that holds, unless it `insists`; None once the probe has run again.
    """

    __slots__ = (
        "at", "detail", "ended", "evidence", "expired", "expires", "insists", "job", "load", "ok_at", "reason", "signs",
        "since", "skipped_at", "_not_ok", "_ok", "_raw", "_raw_since",
    )  # fmt: skip

    def __init__(self, job: Job, now: float) -> None:
        self.job = job
        self.evidence = Evidence.NONE
        self.reason: Reason | None = None
        self.detail = ""
        self.since = self.at = self.ended = self.ok_at = _BEFORE_ALL
        self.load: Load | None = None
        self.signs = UNKNOWN_LOAD
        self.skipped_at: float | None = None
        self.insists = False
        #: A probe that never brings evidence is waited for as long as evidence would hold.
        self.expires = now + 2 * job.schedule.interval + job.schedule.timeout
        self.expired = False
        self._raw = Evidence.NONE
        self._raw_since = _BEFORE_ALL
        self._ok = self._not_ok = 0

    def update(self, result: Result, interval: float) -> bool:
        """Take one finished run; `interval` is the one in force after it. True when what it holds became another."""
        self.skipped_at = None
        seen = result.evidence
        if seen is _NONE:
            if result.reason is Reason.INCONCLUSIVE and self.evidence is not _NONE:
                # Too few answers to say anything: the newest complete run goes on speaking.
                self.expires = result.ended + 2 * interval + self.job.schedule.timeout
            return False
        self.expires = result.ended + 2 * interval + self.job.schedule.timeout
        self.expired = False
        if seen is not self._raw:
            self._raw, self._raw_since = seen, result.started
        if seen is _OK:
            self._ok += 1
            self._not_ok = 0
            self.ok_at = result.started
        else:
            self._ok = 0
            self._not_ok += 1
        before = self.evidence
        if seen is not before and not self._counts(seen, before):
            return False
        self.at, self.ended = result.started, result.ended
        self.reason, self.detail = result.reason, result.detail
        told = self.load is not None or result.load is not None or result.load_after is not None
        loaded = told and self._read(result)
        if seen is before:
            return loaded
        self.evidence = seen
        first_ok = before is _NONE and seen is _OK
        self.since = _BEFORE_ALL if first_ok else self._raw_since
        return True

    def _read(self, result: Result) -> bool:
        """Take what was read beside a run that counts. True when it shows something else than before."""
        self.load = result.load_after or result.load
        before = self.signs
        if self.load is None:
            self.signs = UNKNOWN_LOAD
        else:
            self.signs = signs(result.load, result.load_after, self.job.target.saturated_at)
        return self.signs != before

    def _counts(self, seen: Evidence, before: Evidence) -> bool:
        if before is _NONE:
            return True
        if seen is _OK:
            return self._ok >= self.job.thresholds.success
        return before is not _OK or seen in _UNCONFIRMED or self._not_ok >= self.job.thresholds.failure

    def pass_over(self, at: float, *, mute: bool) -> None:
        """A run was passed over at that moment. Unless `mute`, a failure that was seen before goes on speaking."""
        self.skipped_at = at
        self.insists = not mute and self.evidence not in (Evidence.OK, Evidence.NONE)

    def renew(self, now: float) -> None:
        """Nobody could be asked for a while: what is held is good for as long as if it were new."""
        if not self.expired:
            self.expires = now + 2 * self.job.schedule.interval + self.job.schedule.timeout

    def expire(self) -> None:
        """Let evidence go that is too old, or stop waiting for the first."""
        self.expired = True
        self.evidence = self._raw = Evidence.NONE
        self.reason, self.detail = None, ""
