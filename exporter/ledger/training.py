"""What is remembered of one training job."""

import math

from exporter.model.text import label
from exporter.model.training import MAX_NAMES, Divergence, Outcome, Reading, Rules


class TrainingRecord:
    """One job: its last numbers, how its log fares, and how it ended. Times are Unix times.

    What was told stays until something newer is told: a job prints its loss now and then and its step every second.
    """

    __slots__ = (
        "dropped_names", "epoch", "last_value_at", "line_count", "name", "nonfinite", "outcome", "progress",
        "reconnects", "rules", "since", "skipped_lines", "step", "values", "_descent",
    )  # fmt: skip

    def __init__(self, name: str, rules: Rules, at: float) -> None:
        self.name = name
        self.rules = rules
        #: Since when it is followed, or its log started anew.
        self.since = at
        self.values: dict[str, float] = {}  #: by name, in the order they came; NaN and infinite ones too
        self.step: int | None = None
        self.epoch: float | None = None
        self.progress: float | None = None
        #: When the newest value was told; None before the first.
        self.last_value_at: float | None = None
        self.outcome: Outcome | None = None
        self.line_count = self.skipped_lines = self.dropped_names = self.nonfinite = self.reconnects = 0
        self._descent = Descent(rules.divergence) if rules.divergence else None

    def take(self, reading: Reading, at: float) -> None:
        """Book what a line told. `at` is when it was written where that is known, else when it was read."""
        moved = self._move(reading)
        news = self._keep(reading)
        if news is not None:
            self.last_value_at = at if self.last_value_at is None else max(self.last_value_at, at)
        # After a good end come numbers of the same place: a last evaluation. After a bad one the bar may be drawn once
        # more, with a place that was not drawn before and no other numbers. Anything else says that it goes on.
        goes_on = moved if self.outcome is Outcome.FINISHED else news
        if reading.outcome is not None or goes_on:
            self.outcome = reading.outcome

    def lines(self, count: int) -> None:
        """Count lines that were read, those left out included."""
        self.line_count += count

    def skipped(self, count: int) -> None:
        """Count lines that nobody looked at: too long, or more than could be kept up with."""
        self.skipped_lines += count

    def reconnected(self) -> None:
        """Count one time that the log had to be opened again."""
        self.reconnects += 1

    def finished(self, outcome: Outcome) -> None:
        """It ended: the exit status or the tracking server says so."""
        self.outcome = outcome

    def restarted(self, at: float) -> None:
        """The job runs anew: what its last run told is no news of this one. Counters go on."""
        self.since = at
        self.values = {}
        self.step = self.epoch = self.progress = self.last_value_at = self.outcome = None
        self._descent = Descent(self.rules.divergence) if self.rules.divergence else None

    def judge_by(self, rules: Rules) -> None:
        """Other rules from now on; the numbers go on."""
        if rules.divergence != self.rules.divergence:
            self._descent = Descent(rules.divergence) if rules.divergence else None
        self.rules = rules
        if rules.names is not None:
            self.values = {name: number for name, number in self.values.items() if name in rules.names}

    def stalled(self, now: float) -> bool:
        """Whether no value came for longer than `stall_after`, and the job has not ended."""
        since = self.since if self.last_value_at is None else max(self.since, self.last_value_at)
        return self.outcome is None and now - since > self.rules.stall_after

    @property
    def diverged(self) -> bool | None:
        """Whether the value that is watched left its minimum for good; None where none is watched."""
        return None if self._descent is None else self._descent.diverged

    def _move(self, reading: Reading) -> bool:
        """Note where it is; whether that is another place than was known."""
        before = (self.step, self.epoch, self.progress)
        if reading.step is not None:
            self.step = reading.step
        if reading.epoch is not None and math.isfinite(reading.epoch):
            self.epoch = reading.epoch
        if reading.progress is not None and math.isfinite(reading.progress):
            self.progress = reading.progress
        now = (self.step, self.epoch, self.progress)
        return any(then is not None and then != here for then, here in zip(before, now, strict=True))

    def _keep(self, reading: Reading) -> bool | None:
        """Note its values; whether one of them is another than it was, None where there is none to be kept."""
        news = None
        for told, number in reading.values:
            name = told if told in self.values else self._admit(told)
            if not name:
                self.dropped_names += 1
                continue
            before = self.values.get(name)
            # As text, because NaN is not equal to itself.
            news = news or before is None or (before != number and repr(before) != repr(number))
            self.values[name] = number
            self.nonfinite += not math.isfinite(number)
            if self._descent is not None and name == self._descent.rule.name:
                self._descent.note(number)
        return news

    def _admit(self, told: str) -> str:
        """The name under which a value is kept, `""` where there is no room for it."""
        name = label(told)
        names = self.rules.names
        if names is not None:
            return name if name in names else ""
        return name if name in self.values or len(self.values) < MAX_NAMES else ""


class Descent:
    """Whether one value went down and away again. Of the smallest, 0 is left out: a multiple of it means nothing."""

    __slots__ = ("rule", "_least", "_over")

    def __init__(self, rule: Divergence) -> None:
        self.rule = rule
        self._least: float | None = None
        self._over = 0  #: how many in a row, up to now

    def note(self, number: float) -> None:
        """Take the next value."""
        least = self._least
        finite = math.isfinite(number)
        # Written so that a factor of 2 is "twice as large" above zero, and as far away below it.
        over = not finite or (least is not None and number > least + (self.rule.factor - 1) * abs(least))
        self._over = self._over + 1 if over else 0
        if finite and number != 0 and (least is None or number < least):
            self._least = number

    @property
    def diverged(self) -> bool:
        """Whether each of the last values was too large."""
        return self._over >= self.rule.values
