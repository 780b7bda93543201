"""Log lines: where they go, and what happens when nobody reads them."""

import json
import logging
import os
import time
from collections.abc import Iterator
from typing import TextIO

import pytest

from exporter import log

PIPE = 65536


@pytest.fixture
def pipe() -> Iterator[tuple[int, TextIO]]:
    """The end to read from, and the stream that is logged to."""
    reader, writer = os.pipe()
    root = logging.getLogger()
    before, level = list(root.handlers), root.level
    with os.fdopen(writer, "w") as stream:
        log.configure("info", "json", stream)
        yield reader, stream
        root.handlers[:] = before
        root.setLevel(level)
    os.close(reader)


def read(file: int) -> str:
    """All that is in a pipe."""
    os.set_blocking(file, False)
    parts = []
    try:
        while part := os.read(file, PIPE):
            parts.append(part)
    except BlockingIOError:
        pass
    return b"".join(parts).decode()


def say(text: str) -> None:
    log.event(logging.getLogger("test"), logging.INFO, "said", text=text)


def test_a_line_arrives_whole(pipe: tuple[int, TextIO]) -> None:
    say("h\u00e9" + "x" * 20_000)
    (line,) = read(pipe[0]).splitlines()
    assert json.loads(line)["text"] == "h\u00e9" + "x" * 20_000


def test_a_pipe_that_nobody_reads_holds_nothing_up(pipe: tuple[int, TextIO]) -> None:
    began = time.perf_counter()
    for number in range(3000):
        say(f"{number} " + "x" * 100)
    assert time.perf_counter() - began < 30, "it waits for each line"
    kept = [json.loads(line) for line in read(pipe[0]).splitlines()]
    assert kept[0]["text"].startswith("0 ")
    assert 100 < len(kept) < 3000
    say("here again")
    lost, again = (json.loads(line) for line in read(pipe[0]).splitlines())
    assert lost["lines"] == 3000 - len(kept)
    assert lost["level"] == "warning"
    assert again["text"] == "here again"
    say("and on")
    assert len(read(pipe[0]).splitlines()) == 1


def test_after_half_a_line_the_next_begins_anew(pipe: tuple[int, TextIO]) -> None:
    say("x" * (2 * PIPE))
    assert "\n" not in read(pipe[0])
    say("here again")
    _, *lines = read(pipe[0]).splitlines()
    assert [json.loads(line)["msg"] for line in lines] == ["log lines lost: nobody read them", "said"]


def test_a_reader_that_went_away_is_no_trouble(pipe: tuple[int, TextIO]) -> None:
    reader = os.dup(pipe[0])
    os.close(pipe[0])
    os.close(reader)
    say("nobody hears this")
    os.dup2(os.open(os.devnull, os.O_RDONLY), pipe[0])


def test_no_stream_at_all(monkeypatch: pytest.MonkeyPatch) -> None:
    root = logging.getLogger()
    before, level = list(root.handlers), root.level
    monkeypatch.setattr("sys.stderr", None)
    try:
        log.configure()
        say("nobody hears this")
    finally:
        root.handlers[:] = before
        root.setLevel(level)
