"""The rounds every row goes through: alone, twenty copies at once, and all rows at once on the schedule."""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

import aiohttp

from tests.hostile.rows import SLOW, Row, late
from tests.hostile.subjects import Blackbox, Exporter, ask, planted
from tests.support.proc import Proc

COPIES = 20
#: Rows whose time is all spent waiting go through a round this many at a time: alone, and in twenty copies. Floods do
#: not: who waits beside them is as late as they make the loop.
WAITING = {1: 8, COPIES: 3}
#: Times that a row may show how fast and how small it can be: what the machine does beside makes a run longer, and what
#: the allocator gave back just before makes it larger, never the other way round.
TRIES = 3
#: Seconds above the deadline in which a run must have ended, and the part of it that a fault seen at once may take.
SLACK, PART = 0.05, 0.8
#: What a run is told to be when nobody came to it in time.
BUSY = {"timeout", "timeout_first_token", "connect_timeout", "stalled"}
#: MB beside the largest body, for each run that meets a hostile server.
MEMORY = 24.0


@dataclass
class Line:
    """What was seen of a row: verdicts of all runs, seconds and MB by round, what stayed open, what is wrong, and what
    was only so once.
    """

    row: Row
    verdicts: set[str] = field(default_factory=set)
    seconds: dict[str, float] = field(default_factory=dict)
    memory: dict[str, float] = field(default_factory=dict)
    left: int = 0
    wrong: list[str] = field(default_factory=list)
    unsteady: list[str] = field(default_factory=list)

    def odd(self, verdicts: set[str]) -> set[str]:
        """Verdicts that a machine makes which is too busy for anything to be in time."""
        return (verdicts & BUSY) - self.row.expected


class Rounds:
    """Asks one subject, over one client session, and fills a line for each row."""

    def __init__(self, subject: Exporter | Blackbox, control: Row, rows: Sequence[Row], session: aiohttp.ClientSession):
        self._subject = subject
        self._control = control
        self._session = session
        self._proc = Proc(subject.pid)
        self._late: dict[int, float] = {}
        self.lines = {row.key: Line(row) for row in rows}

    async def warm(self) -> None:
        """One run by each protocol: what is imported and set up once is no row's."""
        first = {line.row.protocol: line.row for line in reversed(self.lines.values())}
        for row in (self._control, *first.values()):
            for _ in range(10):
                verdict, _ = await ask(self._session, self._subject, row, 30.0)
                if verdict != "internal":  # a library was still being imported
                    break

    async def alone(self) -> None:
        """One copy of each row."""
        await self._rows("alone", 1)

    async def twenty(self) -> None:
        """Twenty copies of each row at once."""
        await self._rows("twenty", COPIES)

    async def _rows(self, name: str, copies: int) -> None:
        together = [line for line in self.lines.values() if line.row.waits]
        for line in self.lines.values():
            if not line.row.waits:
                await self._round(name, [line], copies)
        for first in range(0, len(together), WAITING[copies]):
            await self._round(name, together[first : first + WAITING[copies]], copies)
        for line in self.lines.values():
            await self._again(name, line, copies)

    async def _again(self, name: str, line: Line, copies: int) -> None:
        """What was late or large gets a second look once the others are through: a machine that is busy for seconds is
        so in all tries, and is told; what the exporter does wrong it does again.
        """
        measured = _measured(name)
        seen = [wrong for wrong in line.wrong if wrong in measured]
        if seen and isinstance(self._subject, Exporter):
            line.wrong = [wrong for wrong in line.wrong if wrong not in seen]
            await self._round(name, [line], copies)
            if not set(line.wrong) & set(measured):
                line.unsteady += seen

    async def busy(self, seconds: float) -> None:
        """As many healthy runs at once as a round has of hostile ones, over and over."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            await self.overhead(WAITING[COPIES] * COPIES)
            await asyncio.sleep(0.2)

    async def _round(self, name: str, lines: Sequence[Line], copies: int) -> None:
        """Best of some tries, as the machine may be busy; what is no matter of time is taken down of every one."""
        for _ in range(TRIES if isinstance(self._subject, Exporter) else 1):
            open_before, before = self._proc.descriptors(), self._proc.rss()
            self._proc.forget_peak()
            runs = [(line, self._run(line)) for line in lines for _ in range(copies)]
            took = await asyncio.gather(*(run for _, run in runs))
            grown = max(0.0, self._proc.peak() - before)
            slow: list[Line] = []
            for line in lines:
                mine = [run for (other, _), run in zip(runs, took, strict=True) if other is line]
                longest = max(seconds for seconds, _ in mine)
                said = {verdict for _, verdict in mine}
                line.verdicts |= said - line.odd(said)
                if line.odd(said) or not await self._in_time(line.row, longest, len(runs)):
                    slow.append(line)
                line.seconds[name] = min(longest, line.seconds.get(name, 1e9))
                line.memory[name] = min(grown, line.memory.get(name, 1e9))
            large = [line for line in lines if line.memory[name] > (MEMORY + line.row.max_body) * len(runs)]
            if not slow and not large:
                break
        for what, wrong in zip(_measured(name), (slow, large), strict=True):
            for line in wrong:
                line.wrong.append(what)
        stayed = await asyncio.to_thread(self._proc.settled, open_before + 2)
        for line in lines:
            line.left = max(line.left, stayed)

    async def _run(self, line: Line) -> tuple[float, str]:
        began = time.perf_counter()
        verdict, text = await ask(self._session, self._subject, line.row, line.row.timeout + 6.0)
        if planted(text):
            line.wrong.append("the secret")
        return time.perf_counter() - began, verdict

    async def _in_time(self, row: Row, seconds: float, copies: int) -> bool:
        """Whether a run took no longer than it may, as its client sees it."""
        if row.fast:
            return seconds <= PART * row.timeout
        over = seconds - row.timeout - SLACK
        if over > 2 * self._late.get(copies, 0.0):
            self._late[copies] = await self.way(copies)
        return over <= 2 * self._late.get(copies, 0.0)

    async def way(self, copies: int) -> float:
        """Seconds after its answer in which a client has the last of so many runs that a healthy server answers all at
        once, and as late as other rows have their deadlines: what the way to the client takes.
        """
        return await self._slowest(late(self._control), copies) - SLOW

    async def overhead(self, copies: int) -> float:
        """Seconds that the slowest of so many healthy runs at once takes."""
        return await self._slowest(self._control, copies)

    async def _slowest(self, control: Row, copies: int) -> float:
        async def one() -> float:
            began = time.perf_counter()
            verdict, _ = await ask(self._session, self._subject, control, 30.0)
            assert verdict == "healthy", f"a healthy server is told to be {verdict}"
            return time.perf_counter() - began

        return max(await asyncio.gather(*(one() for _ in range(copies))))


def _measured(name: str) -> tuple[str, str]:
    """What is said of a row in this round whose time, whose memory does not hold."""
    return f"{name}: late", f"{name}: memory"
