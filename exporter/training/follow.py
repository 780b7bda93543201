"""Following one job: what its source tells becomes numbers, a little at a time."""

import asyncio
import logging
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field

from exporter import log
from exporter.ledger.training import TrainingRecord
from exporter.model.training import Outcome, Reading, Rules
from exporter.training.lines import Lines
from exporter.training.parsers import Parser, parser
from exporter.training.sources import Anew, Ended, Event, Gap, Open, Pause, Source, Text, Values
from exporter.training.sources.backlog import Backlog
from exporter.transport import Transport

logger = logging.getLogger(__name__)

#: Seconds of work in one go: measurements are taken on the same loop.
SLICE = 0.001
#: The share of the loop's time that all jobs together may take in the long run.
SHARE = 0.25
#: Bytes cut into lines in one go.
_BYTES = 4096


class Pace:
    """Lets jobs work in turn, for a slice each, and leaves the loop to others in between."""

    def __init__(self, share: float = SHARE, slice_: float = SLICE) -> None:
        self._rest = 1.0 / share - 1.0
        self._slice = slice_
        self._turn = asyncio.Lock()
        #: Seconds that are still to be left to others, and the stamp at which that was so.
        self._owed = self._ended = 0.0

    async def work(self, steps: Iterator[None]) -> None:
        """Take all steps of a piece of work, each of them short."""
        more = True
        while more:
            async with self._turn:
                began = time.perf_counter()
                until = began + self._slice
                more = False
                for _ in steps:
                    if time.perf_counter() >= until:
                        more = True
                        break
                await self._leave(began)

    async def _leave(self, began: float) -> None:
        """Leave the loop to others. Small pieces are settled together: a timer is no finer than a millisecond."""
        now = time.perf_counter()
        self._owed = max(0.0, self._owed - (began - self._ended)) + self._rest * (now - began)
        self._ended = now
        if self._owed >= self._rest * self._slice:
            await asyncio.sleep(self._owed)
            self._owed, self._ended = 0.0, time.perf_counter()


@dataclass(frozen=True, slots=True)
class Job:
    """What is followed, how its lines are read (`preset` or `regex`, and patterns of lines that tell its end), and how
    it is judged.
    """

    name: str
    source: Source
    preset: str | None = None
    regex: str | None = None
    ends: Mapping[Outcome, str] = field(default_factory=dict)
    rules: Rules = field(default_factory=Rules)

    def parser(self) -> Parser:
        """A new one: it may remember lines."""
        return parser(self.preset, self.regex, self.ends)

    def same_log(self, other: "Job") -> bool:
        """Whether another job of this name reads the same in the same way."""
        return (self.source, self.preset, self.regex, self.ends) == (
            other.source, other.preset, other.regex, other.ends,
        )  # fmt: skip


class Follower:
    """Feeds a record from a job's source. `told` hears every reading that told something, with its time."""

    def __init__(
        self,
        job: Job,
        record: TrainingRecord,
        transport: Transport,
        pace: Pace,
        *,
        told: Callable[[Reading, float], None] | None = None,
    ) -> None:
        self.job = job
        self._record = record
        self._transport = transport
        self._pace = pace
        self._told = told
        self._lines = Lines()
        self._parse = job.parser()
        #: Why there is nothing to read now, `""` while there is.
        self.trouble = ""
        #: The log began anew; whether the job did will be seen by where it is.
        self._anew = False
        #: Unix time at which bytes came last.
        self.heard_at: float | None = None

    async def run(self) -> None:
        """Until the source says that nothing more comes."""
        events = self.job.source.events(self._transport)
        if self.job.source.pressing:
            events = Backlog().through(events)
        async with aclosing(events):
            async for event in events:
                await self._take(event)
        self._end_line()

    async def _take(self, event: Event) -> None:
        match event:
            case Text():
                self.heard_at = event.at
                await self._pace.work(self._read(event))
            case Values():
                self.heard_at = event.at
                self._book(event.reading, event.at)
            case Gap():
                self._forget_line()
                self._record.lines(event.lines)
                self._record.skipped(event.lines)
            case Anew():
                self._parse = self.job.parser()
                self._anew = not event.sure
                if event.sure:
                    self._record.restarted(time.time())
            case Pause():
                self._pause(event)
            case Open():
                self._open()
            case Ended():
                self._end_line()
                self._ended(event.outcome)

    def _read(self, text: Text) -> Iterator[None]:
        data = text.data
        for start in range(0, len(data), _BYTES):
            before = self._lines.skipped
            lines = self._lines.feed(data[start : start + _BYTES])
            too_long = self._lines.skipped - before
            self._record.lines(len(lines) + too_long)
            self._record.skipped(too_long)
            for line in lines:
                self._parse_line(line, text.at)
                yield

    def _end_line(self) -> None:
        """The last line is one, whether or not anything ended it."""
        for line in self._lines.end():
            self._record.lines(1)
            self._parse_line(line, time.time() if self.heard_at is None else self.heard_at)

    def _parse_line(self, line: str, at: float) -> None:
        try:
            reading = self._parse(line)
        except TimeoutError:
            self._record.skipped(1)
            return
        if reading is not None:
            self._book(reading, at)

    def _book(self, reading: Reading, at: float) -> None:
        record = self._record
        before = record.outcome
        if self._anew and (behind := _behind(reading, record)) is not None:
            self._anew = False
            if behind:
                record.restarted(at)
        record.take(reading, at)
        if self._told is not None:
            self._told(reading, at)
        if record.outcome is not before and record.outcome is not None:
            self._tell_end(record.outcome)

    def _ended(self, outcome: Outcome) -> None:
        if self._record.outcome is not outcome:
            self._record.finished(outcome)
            self._tell_end(outcome)

    def _tell_end(self, outcome: Outcome) -> None:
        level = logging.INFO if outcome is Outcome.FINISHED else logging.WARNING
        log.event(logger, level, "training ended", training=self.job.name, outcome=outcome)

    def _forget_line(self) -> None:
        """The rest of an unfinished line will not come."""
        self._lines = Lines()

    def _pause(self, pause: Pause) -> None:
        if pause.reconnects:
            self._record.reconnected()
        if pause.why != self.trouble:
            # Once for each reason: a server that is down for a night is one line.
            self.trouble = pause.why
            log.event(
                logger, logging.WARNING if pause.reconnects else logging.INFO, "training log cannot be read, waiting",
                training=self.job.name, source=self.job.source.shown, why=pause.why,
            )  # fmt: skip

    def _open(self) -> None:
        if self.trouble:
            log.event(
                logger, logging.INFO, "training log can be read", training=self.job.name, source=self.job.source.shown
            )
            self.trouble = ""


def _behind(reading: Reading, record: TrainingRecord) -> bool | None:
    """Whether a reading is from before where the job was; None where it tells no place that can be compared."""
    for now, then in ((reading.step, record.step), (reading.epoch, record.epoch), (reading.progress, record.progress)):
        if now is not None and then is not None:
            return now < then
    return None
