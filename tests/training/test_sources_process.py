"""What a program prints, and how it ends."""

import asyncio
import os
import sys
import time
from pathlib import Path

import pytest

from exporter.model.training import Outcome
from exporter.training.sources import Ended, Text
from exporter.training.sources.process import Command, Pipe
from tests.training.reading import reading


def python(code: str) -> Command:
    return Command((sys.executable, "-c", code))


@pytest.mark.parametrize(
    ("end", "outcome"),
    [
        ("sys.exit(0)", Outcome.FINISHED),
        ("sys.exit(3)", Outcome.FAILED),
        ("os.kill(os.getpid(), 9)", Outcome.KILLED),
    ],
)
async def test_the_exit_status_is_the_outcome(end: str, outcome: Outcome) -> None:
    source = python(f"import os, sys; print('out', flush=True); print('err', file=sys.stderr, flush=True); {end}")
    async with reading(source) as told:
        await told.until(lambda told: told.ended)
        assert told.lines == ["out", "err"]
        assert told.events[-1] == Ended(outcome)
    assert source.shown == sys.executable


async def test_a_program_is_not_buffered() -> None:
    async with reading(python("import time; print('one'); time.sleep(60)")) as told:
        await told.until(lambda told: told.lines == ["one"])


async def test_a_program_nobody_listens_to_is_ended(tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    code = f"import os, time; open({str(pid)!r}, 'w').write(str(os.getpid())); print('x', flush=True); time.sleep(60)"
    async with reading(python(code)) as told:
        await told.until(lambda told: told.lines)
    with pytest.raises(ProcessLookupError):
        os.kill(int(pid.read_text()), 0)


async def test_a_program_that_does_not_exist() -> None:
    with pytest.raises(FileNotFoundError):
        await anext(Command(("/nope/nowhere",)).events(None))  # type: ignore[arg-type] - it needs none


async def test_a_pipe(tmp_path: Path) -> None:
    read, write = os.pipe()
    async with reading(Pipe(read)) as told:
        os.write(write, b"one\n")
        await told.until(lambda told: told.lines == ["one"])
        os.write(write, b"tw")
        os.close(write)
        await told.until(lambda told: told.ended)
        assert told.text == "one\ntw"
        assert not told.of(Ended)
    os.close(read)
    assert Pipe().shown == "standard input"


async def test_a_pipe_holds_little_of_what_nobody_takes(tmp_path: Path) -> None:
    path = tmp_path / "large"
    path.write_bytes(b"x" * 8_000_000)
    descriptor = os.open(path, os.O_RDONLY)
    events = Pipe(descriptor).events(None)  # type: ignore[arg-type] - it needs none
    await anext(events)
    first = await anext(events)
    assert isinstance(first, Text)
    await asyncio.sleep(0.1)
    assert os.lseek(descriptor, 0, os.SEEK_CUR) <= 1_000_000
    size = len(first.data)
    async for event in events:
        assert isinstance(event, Text)
        size += len(event.data)
    assert size == 8_000_000
    os.close(descriptor)


async def test_a_program_that_will_not_end_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("exporter.training.sources.process._GRACE", 0.2)
    code = "import signal, time; signal.signal(15, signal.SIG_IGN); print('x', flush=True); time.sleep(60)"
    began = time.monotonic()
    async with reading(python(code)) as told:
        await told.until(lambda told: told.lines)
    assert time.monotonic() - began < 30
