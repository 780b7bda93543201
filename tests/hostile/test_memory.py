"""What a running exporter keeps of large answers: nothing."""

import asyncio
import os
from collections.abc import Iterable, Iterator
from itertools import cycle, islice
from pathlib import Path

import aiohttp
import pytest

from exporter import garbage
from tests.hostile.process import Hostile
from tests.hostile.rows import Row, rows
from tests.hostile.subjects import Exporter, ask
from tests.support.proc import Proc
from tests.support.web import until

pytestmark = pytest.mark.slow

#: Answers one after the other, of 10 MB each as a rule; and how many at once.
ANSWERS, AT_ONCE = int(os.environ.get("ANSWERS", "60")), 20


@pytest.fixture(scope="module")
def large(hostile: Hostile) -> list[Row]:
    """Rows whose answers are as large as they may be by default."""
    return [row for row in rows(hostile) if row.behaviour is not None and row.behaviour.large]


@pytest.fixture
def exporter(tmp_path: Path, hostile: Hostile, large: list[Row]) -> Iterator[Exporter]:
    running = Exporter(tmp_path, hostile, large, ())
    yield running
    running.stop()


def test_memory_goes_back_after_large_answers(exporter: Exporter, large: list[Row]) -> None:
    proc = Proc(exporter.pid)

    async def one_at_a_time(chosen: Iterable[Row]) -> None:
        async with aiohttp.ClientSession() as session:
            for row in chosen:
                await ask(session, exporter, row, 60.0)

    async def at_once(row: Row) -> None:
        async with aiohttp.ClientSession() as session:
            await asyncio.gather(*(ask(session, exporter, row, 60.0) for _ in range(AT_ONCE)))

    asyncio.run(one_at_a_time(map(exporter.calm, large)))  # jobs are made once, and stay
    before = proc.rss()

    def back() -> bool:
        return proc.rss() <= 1.1 * before

    asyncio.run(one_at_a_time(islice(cycle(large), ANSWERS)))
    until("memory after one at a time", back, within=3 * garbage.LOOK)
    for row in large:
        if row.protocol == "open_inference":  # which reads all of it
            asyncio.run(at_once(row))
    until("memory after many at once", back, within=3 * garbage.LOOK)
