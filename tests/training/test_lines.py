"""Bytes to lines: whatever the cuts, and with no more memory than one line."""

import re
import tracemalloc
from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from exporter.training.lines import MAX_LINE, Lines


def cut(data: bytes, places: list[int]) -> tuple[list[str], int]:
    """The lines of the data when it is fed in pieces that end at these places, and how many were left out."""
    lines = Lines()
    found = []
    for start, end in pairwise([0, *sorted(place % (len(data) + 1) for place in places), len(data)]):
        found += lines.feed(data[start:end])
    return found + lines.end(), lines.skipped


def whole(data: bytes) -> list[str]:
    return cut(data, [])[0]


@pytest.mark.parametrize(
    ("data", "lines"),
    [
        (b"one\ntwo\n", ["one", "two"]),
        (b"one\r\ntwo\r\n\r\n", ["one", "two"]),
        (b"\r 10%|#\r 20%|##\rdone", [" 10%|#", " 20%|##", "done"]),
        (b"\n \n\t\n", []),
        (b"\x1b[1m\x1b[32m5/5\x1b[0m \x1b[1m0s\x1b[0m - loss: 0.5\n", ["5/5 0s - loss: 0.5"]),
        (b"\x1b]0;a title\x07loss\n\x1b]8;;http://here\x1b\\link\x1b]8;;\x1b\\\n", ["loss", "link"]),
        (b"up\x1b[A\x1b[2K\x1b(B and on\x1b7\n\x1b[?25l\n", ["up and on"]),
        (b"\x1b]never ended\nloss: 1\n", ["loss: 1"]),
        (b"0.7128\x08\x08\x08\r8/8 - loss: 0.6\n", ["0.7128", "8/8 - loss: 0.6"]),
        (b"old\n" + bytes(5000) + b"new\n", ["old", "new"]),
        (b"a\tb\x0b\x0cc\x7f\n", ["a\tbc"]),
        ("verlust ä ━\n".encode(), ["verlust ä ━"]),
        (b"bad \xff\xfe and \xe2\x82\nnext\n", ["bad \ufffd\ufffd and \ufffd", "next"]),
        (b"", []),
        (b"one line, unended", ["one line, unended"]),
    ],
)
def test_lines(data: bytes, lines: list[str]) -> None:
    assert whole(data) == lines
    assert cut(data, list(range(len(data)))) == (lines, 0), "one byte at a time"


PIECES = st.sampled_from(
    [b"\r", b"\n", b"\r\n", b"loss: 0.5", b"\x1b[1m", b"\x1b]0;t\x07", b"\x1b", b"[", b"\x08", "ä━".encode(), b"\xe2",
     b"\0", b" ", b"x" * (MAX_LINE - 1), b"x" * MAX_LINE, b"y"]
)  # fmt: skip


@given(st.lists(PIECES | st.binary(max_size=5), max_size=12).map(b"".join), st.lists(st.integers(0), max_size=6))
@example(b"a\r\nb\r\n", [2])
@example(b"x" * (MAX_LINE + 1) + b"\nloss: 1\n", [MAX_LINE])
def test_any_cut_gives_the_same_lines(data: bytes, places: list[int]) -> None:
    assert cut(data, places) == cut(data, [])
    for line in whole(data):
        assert line.strip()
        assert not re.search("[\x00-\x08\x0a-\x1f\x7f]", line)


@pytest.mark.parametrize("places", [[], [5], [MAX_LINE + 4], [MAX_LINE + 6], list(range(0, 40_000, 1000))])
def test_a_line_that_is_too_long_is_left_out_and_counted(places: list[int]) -> None:
    data = b"one\n" + b"x" * MAX_LINE + b"\n" + b"loss: 0.1" * MAX_LINE + b"\ntwo\n"
    found, skipped = cut(data, places)
    assert [len(line) for line in found] == [3, MAX_LINE, 3]
    assert skipped == 1
    assert cut(b"x" * (MAX_LINE + 1), places) == ([], 1), "nothing ended it"


def test_end_leaves_nothing_behind() -> None:
    lines = Lines()
    assert lines.feed(b"x" * (MAX_LINE + 1)) == []
    assert lines.end() == []
    assert lines.feed(b"loss: 1") == []
    assert lines.end() == ["loss: 1"]
    assert lines.end() == []
    assert lines.feed(b"\nloss: 2\n") == ["loss: 2"]


def test_it_holds_one_line_at_most() -> None:
    """Eight megabytes without a line's end, a little at a time."""
    lines = Lines()
    piece = b"x" * 4096
    lines.feed(piece)
    tracemalloc.start()
    try:
        for _ in range(2000):
            lines.feed(piece)
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert most < 4 * MAX_LINE
    assert lines.skipped == 1
