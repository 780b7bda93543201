"""What `follow` shows of a training job: while it goes on, and at its end."""

import math
import time
from collections import deque
from typing import Any

from exporter.cli.sheet import Live, Sheet, Table
from exporter.cli.words import bar, clean, count, number, seconds
from exporter.ledger.training import TrainingRecord
from exporter.model.training import Outcome, Reading

#: Values of a name that its curve shows, and the characters it is drawn with.
_RECENT, _LEVELS = 32, "▁▂▃▄▅▆▇█"
#: Seconds over which a rate is taken.
_WINDOW = 10.0
#: Names that are shown at most.
_SHOWN = 24


class View:
    """Hears every reading, and draws the job: live on a terminal, else a line now and then."""

    def __init__(self, record: TrainingRecord, source: str, sheet: Sheet, live: Live | None, *, every: float) -> None:
        self._record = record
        self._source = source
        self._sheet = sheet
        self._live = live
        self._every = every
        self._began = time.monotonic()
        self._values: dict[str, _Value] = {}
        self._rate = _Rate()
        self._line = ""
        self._line_at = -math.inf
        self._trouble = ""

    def note(self, reading: Reading, at: float) -> None:
        """One reading."""
        for name, value in reading.values:
            if name in self._values or len(self._values) < _SHOWN:
                self._values.setdefault(name, _Value()).note(value)

    def draw(self, trouble: str) -> None:
        """Show how it is now; `trouble` says why there is nothing to read."""
        now = time.monotonic()
        self._rate.note(now, self._record.line_count)
        if self._live is not None:
            self._live.update(self._title(now, trouble), self._table())
            return
        if trouble != self._trouble:
            self._trouble = trouble
            if trouble:
                self._sheet.line(f"waiting: {clean(trouble, 80)}")
        line = self.line()
        if line and line != self._line and now - self._line_at >= self._every:
            self._sheet.line(line)
            self._line, self._line_at = line, now

    def end(self, *, good: bool) -> None:
        """Show how it ended."""
        line = self.line()
        if self._live is None and line and line != self._line:
            self._sheet.line(line)
        record = self._record
        parts = [str(record.outcome or "no end was told")]
        if record.diverged:
            parts.append("diverged")
        if names := [name for name, value in record.values.items() if not math.isfinite(value)]:
            parts.append(f"not finite: {', '.join(names[:5])}")
        parts.append(f"{count(record.line_count, 'line')} in {seconds(time.monotonic() - self._began)}")
        if record.skipped_lines:
            parts.append(f"{record.skipped_lines} skipped")
        self._sheet.line(f"{'good' if good else 'not good'}: {'; '.join(parts)}", strong=True)

    def line(self) -> str:
        """Where the job is, on one line."""
        values = [f"{name} {_shown(value)}" for name, value in list(self._record.values.items())[:_SHOWN]]
        return "  ".join((*self._places(), *values))

    def _places(self) -> list[str]:
        record = self._record
        parts = []
        if record.progress is not None:
            parts.append(f"{record.progress:.0%}")
        if record.epoch is not None:
            parts.append(f"epoch {number(record.epoch)}")
        if record.step is not None:
            parts.append(f"step {record.step}")
        return parts

    def _title(self, now: float, trouble: str) -> str:
        record = self._record
        first = clean(self._source, 60)
        if record.progress is not None:
            first += f"  {bar(record.progress)}"
        lines = ["  ".join((first, *self._places()))]
        about = [seconds(now - self._began) or "0 s", f"{self._rate.value:.3g} lines/s"]
        if record.skipped_lines:
            about.append(f"{record.skipped_lines} lines skipped")
        if record.nonfinite:
            about.append(f"{record.nonfinite} not finite")
        if record.stalled(time.time()):
            about.append("stalled")
        if record.diverged:
            about.append("diverged")
        if record.outcome is not None:
            about.append(str(record.outcome))
        if trouble:
            about.append(f"waiting: {clean(trouble, 80)}")
        lines.append(", ".join(about))
        return "\n".join(lines)

    def _table(self) -> Table:
        rows = [
            (clean(name, 40), _shown(value.last), _shown(value.least), _shown(value.most), value.curve())
            for name, value in self._values.items()
        ]
        return Table(
            ("value", "last", "smallest", "largest", "recent"), rows, frozenset({"last", "smallest", "largest"})
        )


class _Value:
    """One name's values so far."""

    __slots__ = ("last", "least", "most", "_recent")

    def __init__(self) -> None:
        self.last = self.least = self.most = math.nan
        self._recent: deque[float] = deque(maxlen=_RECENT)

    def note(self, value: float) -> None:
        self.last = value
        self._recent.append(value)
        if math.isfinite(value):
            self.least = value if math.isnan(self.least) else min(self.least, value)
            self.most = value if math.isnan(self.most) else max(self.most, value)

    def curve(self) -> str:
        """The newest values as a row of bars; `!` is one that is not finite."""
        finite = [value for value in self._recent if math.isfinite(value)]
        if not finite:
            return "!" * len(self._recent)
        low, span = min(finite), max(finite) - min(finite)
        top = len(_LEVELS) - 1
        return "".join(
            _LEVELS[round((value - low) / span * top) if span else 0] if math.isfinite(value) else "!"
            for value in self._recent
        )


class _Rate:
    """Lines a second, over the last while."""

    def __init__(self) -> None:
        self._seen: deque[tuple[float, int]] = deque()

    def note(self, now: float, lines: int) -> None:
        self._seen.append((now, lines))
        while len(self._seen) > 2 and now - self._seen[1][0] > _WINDOW:
            self._seen.popleft()

    @property
    def value(self) -> float:
        (began, before), (now, lines) = self._seen[0], self._seen[-1]
        return (lines - before) / (now - began) if now > began else 0.0


def good(record: TrainingRecord) -> bool:
    """Whether a job that is over ended well: it did not fail, and its last values are numbers that did not run away."""
    well = record.outcome in (None, Outcome.FINISHED) and not record.diverged
    return well and all(map(math.isfinite, record.values.values()))


def document(record: TrainingRecord, source: str) -> dict[str, Any]:
    """What `--json` prints. Numbers that are not finite are text, for JSON has none: NaN, Infinity, -Infinity."""
    return {
        "source": source,
        "good": good(record),
        "outcome": record.outcome,
        "progress": record.progress,
        "epoch": record.epoch,
        "step": record.step,
        "values": {name: _json(value) for name, value in record.values.items()},
        "diverged": record.diverged,
        "nonfinite": record.nonfinite,
        "lines": record.line_count,
        "skipped_lines": record.skipped_lines,
        "reconnects": record.reconnects,
    }


def _json(value: float) -> float | str:
    if math.isfinite(value):
        return value
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"


def _shown(value: float) -> str:
    return f"{value:.6g}"
