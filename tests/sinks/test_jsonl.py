"""Lines in a file: whole ones only, whatever the disk does."""

import errno
import fcntl
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from exporter.contracts import Record
from exporter.sinks import jsonl, records
from exporter.sinks.jsonl import JsonlSink
from exporter.sinks.spec import Jsonl
from tests.sinks.making import record
from tests.support.disk import small_disk


def numbers(path: Path) -> list[int]:
    """What is in a file; every line of it is whole."""
    data = path.read_bytes()
    assert not data or data.endswith(b"\n")
    return [json.loads(line)["number"] for line in data.splitlines()]


def batch(*numbers: int) -> list[Record]:
    return [record(number) for number in numbers]


async def write(sink: JsonlSink, *numbers: int) -> None:
    await sink.send(sink.encode(batch(*numbers)), "key")


SIZE = len(records.line(record(1)))


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Path]:
    with small_disk(tmp_path) as folder:
        yield folder


async def test_lines_are_appended(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    for first in (1, 3):
        sink = JsonlSink(Jsonl(str(path)))
        await write(sink, first, first + 1)
        await sink.close()
    assert numbers(path) == [1, 2, 3, 4]


async def test_a_file_begins_anew_before_it_grows_too_long(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    sink = JsonlSink(Jsonl(str(path), rotate=3 * SIZE, keep=3))
    for first in range(1, 12, 2):
        await write(sink, first, first + 1)
    await sink.close()
    files = {each.name: numbers(each) for each in tmp_path.iterdir()}
    assert files == {"a.jsonl": [11, 12], "a.jsonl.1": [9, 10], "a.jsonl.2": [7, 8], "a.jsonl.3": [5, 6]}


async def test_a_batch_longer_than_that_has_a_file_of_its_own(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    sink = JsonlSink(Jsonl(str(path), rotate=2 * SIZE))
    await write(sink, 1, 2, 3)
    await write(sink, 4)
    await sink.close()
    assert numbers(path) == [4]
    assert numbers(tmp_path / "a.jsonl.1") == [1, 2, 3]
    assert sorted(each.name for each in tmp_path.iterdir()) == ["a.jsonl", "a.jsonl.1"]  # and none that is empty


async def test_somebody_else_may_move_the_file_away(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    sink = JsonlSink(Jsonl(str(path)))
    await write(sink, 1)
    path.rename(tmp_path / "moved")
    await write(sink, 2)
    path.unlink()
    await write(sink, 3)
    os.truncate(path, 0)
    await write(sink, 4)
    await sink.close()
    assert numbers(tmp_path / "moved") == [1]
    assert numbers(path) == [4]


async def test_half_a_line_of_a_killed_process_is_cut_off(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    for cut in (1, 5, SIZE - 1):
        path.write_bytes(records.line(record(1)) + records.line(record(2))[:cut])
        sink = JsonlSink(Jsonl(str(path)))
        await write(sink, 3)
        await sink.close()
        assert numbers(path) == [1, 3]


async def test_a_line_that_is_not_ours_is_left_and_ended(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text('{"number": 9}')
    sink = JsonlSink(Jsonl(str(path)))
    await write(sink, 1)
    await sink.close()
    assert numbers(path) == [9, 1]


async def test_a_full_disk_leaves_no_half_line(small: Path) -> None:
    path = small / "a.jsonl"
    sink = JsonlSink(Jsonl(str(path)))
    written = 0
    found = 0
    while not found and written < 10_000:
        try:
            await write(sink, *range(written, written + 7))
            written += 7
        except OSError as error:
            found = error.errno or 0
    assert found in (errno.ENOSPC, errno.EFBIG)
    assert written > 200
    assert numbers(path) == list(range(written))
    with pytest.raises(OSError, match=r"No space left|File too large"):
        await write(sink, *range(written, written + 7))
    assert numbers(path) == list(range(written))
    os.truncate(path, 0)  # somebody makes room
    await write(sink, 1, 2, 3)
    assert numbers(path) == [1, 2, 3]
    await sink.close()


async def test_a_cut_that_could_not_be_made_is_made_up_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The disk took half of a batch and then refused to be cut, too."""
    path = tmp_path / "a.jsonl"
    sink = JsonlSink(Jsonl(str(path)))
    await write(sink, 1)
    real = os.ftruncate

    def half(fd: int, data: bytes) -> None:
        os.write(fd, bytes(data)[: SIZE + SIZE // 2])
        raise OSError(errno.EIO, "broken")

    def refuse(fd: int, size: int) -> None:
        raise OSError(errno.EIO, "broken")

    with monkeypatch.context() as broken:
        broken.setattr(jsonl, "_write", half)
        broken.setattr(os, "ftruncate", refuse)
        for _ in range(2):
            with pytest.raises(OSError, match="broken"):
                await write(sink, 2, 3)
    assert os.ftruncate is real
    await write(sink, 2, 3)
    assert numbers(path) == [1, 2, 3]
    await sink.close()


async def test_a_folder_that_is_not_there_may_come(tmp_path: Path) -> None:
    sink = JsonlSink(Jsonl(str(tmp_path / "later" / "a.jsonl")))
    with pytest.raises(FileNotFoundError):
        await write(sink, 1)
    (tmp_path / "later").mkdir()
    await write(sink, 1)
    assert numbers(tmp_path / "later" / "a.jsonl") == [1]
    await sink.close()


async def test_standard_output_that_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", None)
    sink = JsonlSink(Jsonl("-"))
    with pytest.raises(OSError, match="standard output is closed"):
        await write(sink, 1)
    await sink.close()


async def test_a_device_is_written_and_never_rotated(tmp_path: Path) -> None:
    sink = JsonlSink(Jsonl("/dev/full", rotate=1))
    with pytest.raises(OSError, match="No space left"):
        await write(sink, 1)
    await sink.close()
    assert not Path("/dev/full.1").exists()


def program(path: str) -> str:
    return f"""
import asyncio
from exporter.sinks.jsonl import JsonlSink
from exporter.sinks.spec import Jsonl
from tests.sinks.making import record
from tests.support.disk import small_disk
async def main():
    sink = JsonlSink(Jsonl("-"))
    for number in range({path}):
        await sink.send(sink.encode([record(number)]), "key")
    await sink.close()
asyncio.run(main())
"""


@pytest.mark.slow
def test_standard_output_to_a_slow_reader_that_made_it_not_block() -> None:
    ours, theirs = os.pipe()
    fcntl.fcntl(theirs, fcntl.F_SETFL, fcntl.fcntl(theirs, fcntl.F_GETFL) | os.O_NONBLOCK)
    root = Path(__file__).parents[2]
    with subprocess.Popen([sys.executable, "-c", program("2000")], stdout=theirs, cwd=root) as writer:
        os.close(theirs)
        with open(ours, "rb") as reader:
            lines = reader.read().splitlines()
        assert writer.wait() == 0
    assert [json.loads(line)["number"] for line in lines] == list(range(2000))


@pytest.mark.slow
def test_standard_output_in_a_file_goes_on_where_others_write(tmp_path: Path) -> None:
    root = Path(__file__).parents[2]
    with (tmp_path / "out").open("wb") as out:
        out.write(b'{"number": -1}\n')
        out.flush()
        subprocess.run([sys.executable, "-c", program("3")], stdout=out, cwd=root, check=True)
    assert numbers(tmp_path / "out") == [-1, 0, 1, 2]
