"""What a large body takes while it comes, and what is left of it."""

import gc
import gzip
import tracemalloc
from sys import getsizeof

import pytest

from exporter.model.failure import Reason
from exporter.transport.content import inflated
from exporter.transport.message import KEPT, LARGE, Answer

READ = 16384
MOST = 20 * LARGE


def read(answer: Answer, data: bytes, size: int = READ) -> None:
    for start in range(0, len(data), size):
        if answer.failure is not None or answer.done:
            break
        answer.feed(1.0, data[start : start + size])


def head(length: int) -> bytes:
    return f"HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n".encode()


@pytest.mark.parametrize("size", [1, LARGE - 1, LARGE, LARGE + 1, MOST])
@pytest.mark.parametrize("chunked", [False, True])
def test_it_is_what_was_sent(size: int, chunked: bool) -> None:
    body = bytes(range(256)) * (size // 256 + 1)
    body = body[:size]
    if chunked:
        lines = [b"%x\r\n%b\r\n" % (len(part), part) for part in (body[at : at + 999] for at in range(0, size, 999))]
        sent = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + b"".join(lines) + b"0\r\n\r\n"
    else:
        sent = head(size) + body
    answer = Answer(MOST)
    read(answer, sent)
    assert answer.done
    assert answer.content() == body
    assert answer.body_bytes == size
    assert b"".join(chunk.data for chunk in answer.beginning(100)) == body[:100]


def test_many_small_parts_do_not_lie_about() -> None:
    """A part of a byte takes eight in a list; and what lies among all else is never free as a whole."""
    line, most = b"1\r\nx\r\n" * 1000, 4 * LARGE
    answer = Answer(most)
    answer.feed(1.0, b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    for _ in range(most // 1000):
        answer.feed(1.0, line)
    assert getsizeof(answer._parts) + sum(map(getsizeof, answer._parts)) < 1.3 * most


@pytest.mark.parametrize("most", [1000, MOST])
def test_of_one_that_is_too_large_its_beginning_is_kept(most: int) -> None:
    answer = Answer(most)
    read(answer, head(most + 1) + b"x" * (most + 1), 500)
    assert answer.failure is not None
    assert answer.failure.reason is Reason.TOO_LARGE
    kept = b"".join(chunk.data for chunk in answer.beginning(MOST))
    assert 0 < len(kept) <= KEPT
    gc.collect()
    assert not [each for each in gc.get_referents(answer._parts) if len(each) > KEPT]


async def test_it_is_unpacked_into_one_piece() -> None:
    whole = b"x" * MOST
    packed = gzip.compress(whole)
    tracemalloc.start()
    try:
        assert await inflated("gzip", packed, MOST, 1e9) == whole
        assert tracemalloc.get_traced_memory()[1] < 2.5 * MOST  # while it is copied, once
    finally:
        tracemalloc.stop()
