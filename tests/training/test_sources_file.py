"""A log file that grows, is rotated, cut, deleted and comes late: every line is read once."""

import os
import shutil
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from exporter.training.sources import Gap, Open, Text, tail
from exporter.training.sources.file import File
from exporter.training.sources.tail import Tail
from tests.support.descriptors import descriptors
from tests.training.reading import reading


def append(path: Path, text: str) -> None:
    with path.open("a") as file:
        file.write(text)


def data(looker: Tail) -> bytes:
    """All there is to read now."""
    found = b""
    while piece := looker.look().data:
        found += piece
    return found


async def test_lines_are_read_as_they_come(tmp_path: Path) -> None:
    log = tmp_path / "train.log"
    log.write_text("one\n")
    async with reading(File(str(log))) as told:
        await told.until(lambda told: told.lines == ["one"])
        append(log, "two\nthr")
        append(log, "ee\n")
        await told.until(lambda told: told.lines == ["one", "two", "three"])
        assert told.events[0] == Open()
        assert not told.of(Gap)
        last = told.of(Text)[-1]
        assert isinstance(last, Text)
        assert last.at <= time.time()


async def test_a_file_that_is_not_there_yet(tmp_path: Path) -> None:
    log = tmp_path / "later" / "train.log"
    async with reading(File(str(log), start="end")) as told:
        await told.until(lambda told: told.pauses == ["No such file or directory"])
        log.parent.mkdir()
        log.write_text("one\n")
        await told.until(lambda told: told.lines == ["one"])  # it was not there at first: all of it is new
        assert told.events[1:2] == [Open()]


async def test_old_text_has_the_time_it_was_written(tmp_path: Path) -> None:
    log = tmp_path / "train.log"
    log.write_text("one\n")
    os.utime(log, (1_700_000_000, 1_700_000_000))
    async with reading(File(str(log))) as told:
        await told.until(lambda told: told.of(Text))
        assert told.of(Text) == [Text(b"one\n", 1_700_000_000.0)]


def test_from_the_end(tmp_path: Path) -> None:
    log = tmp_path / "train.log"
    log.write_text("old\nhalf a li")
    looker = Tail(str(log), start="end")
    assert data(looker) == b""
    append(log, "ne\nnew\n")
    assert data(looker) == b"new\n"  # what began before is no line
    log.write_text("")
    append(log, "again\n")
    assert data(looker) == b"again\n"


def test_from_the_end_of_whole_lines(tmp_path: Path) -> None:
    log = tmp_path / "train.log"
    log.write_text("old\n")
    looker = Tail(str(log), start="end")
    assert data(looker) == b""
    append(log, "new\n")
    assert data(looker) == b"new\n"


def test_rotation_by_rename_loses_nothing(tmp_path: Path) -> None:
    log = tmp_path / "train.log"
    log.write_text("one\n")
    looker = Tail(str(log))
    assert data(looker) == b"one\n"
    with log.open("a") as writer:
        log.rename(tmp_path / "train.log.1")
        writer.write("two\n")  # a writer that has not noticed yet
        writer.flush()
        assert data(looker) == b"two\n"
        writer.write("three\n")
        writer.flush()
        log.write_text("four\n")
        # The old file is read to its end before the new one is begun.
        first, second = looker.look(), looker.look()
    assert (first.data, first.cut) == (b"three\n", False)
    assert (second.data, second.cut, second.anew) == (b"four\n", True, True)


def test_what_is_written_while_we_look_is_not_lost(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The last line and the rename both come after we saw that there was nothing new."""
    log = tmp_path / "train.log"
    log.write_text("one\n")
    looker = Tail(str(log))
    assert data(looker) == b"one\n"
    replaced = Tail._replaced

    def rotate(self: Tail, found: os.stat_result) -> bool:
        if log.read_text() == "one\n":
            append(log, "two\n")
            log.rename(tmp_path / "train.log.1")
            log.write_text("three\n")
        return replaced(self, found)

    monkeypatch.setattr(Tail, "_replaced", rotate)
    assert [looker.look().data, looker.look().data] == [b"two\n", b"three\n"]


def test_rotation_that_is_noticed_late(tmp_path: Path) -> None:
    log = tmp_path / "train.log"
    log.write_text("one\n")
    looker = Tail(str(log))
    assert data(looker) == b"one\n"
    for number in range(3):
        log.rename(tmp_path / f"train.log.{number}")
        log.write_text(f"{number}\n")
    assert data(looker) == b"2\n"  # the ones between are nowhere to be found under the name


def test_copytruncate(tmp_path: Path) -> None:
    log = tmp_path / "train.log"
    log.write_text("one\ntwo\n")
    looker = Tail(str(log))
    assert data(looker) == b"one\ntwo\n"
    shutil.copy(log, tmp_path / "train.log.1")
    os.truncate(log, 0)
    cut = looker.look()
    assert (cut.data, cut.cut, cut.anew) == (b"", True, True)
    assert not looker.look().cut
    append(log, "three\n")
    assert data(looker) == b"three\n"


def test_cut_and_longer_again_before_the_next_look(tmp_path: Path) -> None:
    log = tmp_path / "train.log"
    log.write_text("one\n")
    looker = Tail(str(log))
    assert data(looker) == b"one\n"
    with log.open("r+") as file:
        file.truncate()
        file.write("a line that is longer than all that was there\n")
    seen = looker.look()
    assert (seen.data, seen.anew) == (b"a line that is longer than all that was there\n", True)


def test_a_small_file_that_grows_is_the_same_file(tmp_path: Path) -> None:
    log = tmp_path / "train.log"
    log.write_text("")
    looker = Tail(str(log))
    for number in range(100):
        append(log, f"line {number}\n")
        seen = looker.look()
        assert (seen.data, seen.cut) == (f"line {number}\n".encode(), False)


def test_a_deleted_file_is_read_on_for_a_while(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = tmp_path / "train.log"
    writer = log.open("w")
    writer.write("one\n")
    writer.flush()
    looker = Tail(str(log))
    assert data(looker) == b"one\n"
    log.unlink()
    writer.write("two\n")
    writer.flush()
    assert data(looker) == b"two\n"
    before = descriptors()
    monkeypatch.setattr(tail, "_DELETED", -1.0)
    assert looker.look().missing == "No such file or directory"
    assert descriptors() == before - 1  # its room is free once the writer is gone
    writer.close()
    log.write_text("three\n")
    seen = looker.look()
    assert (seen.data, seen.anew) == (b"three\n", True)


def test_what_is_no_file(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    for path, why in ((tmp_path, "Is a directory"), (tmp_path / "fifo", "not a regular file")):
        before = descriptors()
        looker = Tail(str(path))
        assert looker.look().missing in (why, "not a regular file")
        assert descriptors() == before


def test_far_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All but the end of what is too much is passed over, by whole lines, and counted."""
    monkeypatch.setattr(tail, "BEHIND", 10_000)
    monkeypatch.setattr(tail, "KEPT", 1003)
    monkeypatch.setattr(tail, "_COUNTED", 700)
    log = tmp_path / "train.log"
    lines = [f"line {number}\n" for number in range(2000)]
    log.write_text("".join(lines))
    looker = Tail(str(log))
    seen = looker.look()
    rest = seen.data.decode() + data(looker).decode()
    kept = rest.splitlines(keepends=True)
    assert kept == lines[-len(kept) :]
    assert len(rest) == 1000
    assert (seen.left_out, seen.cut, seen.anew) == (2000 - len(kept), True, False)


def test_a_look_that_hangs_holds_nobody_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Closed meanwhile, it lets the file go itself: never a descriptor that belongs to somebody else by then."""
    log = tmp_path / "train.log"
    log.write_text("one\n")
    looker = Tail(str(log))
    assert data(looker) == b"one\n"
    before = descriptors()
    hanging, go_on = threading.Event(), threading.Event()
    fstat = os.fstat

    def hang(descriptor: int) -> Any:
        hanging.set()
        go_on.wait(10)
        return fstat(descriptor)

    monkeypatch.setattr("exporter.training.sources.tail.os.fstat", hang)
    thread = threading.Thread(target=looker.look)
    thread.start()
    hanging.wait(10)
    looker.close()
    assert descriptors() == before
    go_on.set()
    thread.join()
    assert descriptors() == before - 1
