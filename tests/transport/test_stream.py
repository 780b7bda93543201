"""Answers that are read as they come."""

import asyncio
import gzip
import time
from itertools import pairwise

import pytest

from exporter.contracts import Expired, StreamResponse
from exporter.model.failure import Failure, Reason
from exporter.transport.connection import HIGH_WATER, READ
from tests.transport.conftest import Open, Server, answer

pytestmark = pytest.mark.slow

Reader, Writer = asyncio.StreamReader, asyncio.StreamWriter
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
END = b"0\r\n\r\n"


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


async def collect(stream: StreamResponse, until: float) -> bytes:
    parts = []
    while (chunks := await stream.next(until)) is not None:
        assert chunks
        parts += [part.data for part in chunks]
    return b"".join(parts)


async def test_chunks_come_as_they_are_read_with_their_stamps(server: Server, opened: Open) -> None:
    go = asyncio.Event()

    async def slowly(reader: Reader, writer: Writer) -> None:
        writer.write(HEAD)
        await go.wait()
        writer.write(chunk(b"a") + chunk(b"b"))
        await asyncio.sleep(0.05)
        writer.write(chunk(b"c") + END)

    server.script = [slowly]
    exchange = opened()
    async with exchange.stream("POST", "/", headers=[("X-A", "1")], body=b"{}") as stream:
        assert (stream.status, stream.headers.get("content-type")) == (200, "text/event-stream")
        go.set()
        first = await stream.next(exchange.deadline)
        second = await stream.next(exchange.deadline)
        assert await stream.next(exchange.deadline) is None
        assert await stream.next(exchange.deadline) is None
    assert first is not None
    assert second is not None
    assert [part.data for part in first] == [b"ab"]  # one read is one chunk, however the server cut it
    assert [part.data for part in second] == [b"c"]
    assert stream.t0 < first[0].at < second[0].at < exchange.now()
    assert second[0].at - first[0].at > 0.03
    measured = exchange.measured()
    assert set(measured.phases) == {"connect", "first_byte", "transfer"}
    assert (measured.http_status, measured.response_bytes) == (200, 3)
    assert server.requests[0].endswith(b"{}")


async def test_a_finished_stream_leaves_its_connection_to_the_next_request(server: Server, opened: Open) -> None:
    server.script = [HEAD + chunk(b"a") + END, answer(b"b")]
    exchange = opened()
    async with exchange.stream("GET", "/") as stream:
        assert await collect(stream, exchange.deadline) == b"a"
    assert (await exchange.request("GET", "/")).body == b"b"
    assert server.connections == 1


async def test_leaving_early_aborts(server: Server, opened: Open) -> None:
    server.script = [HEAD + chunk(b"a"), answer(b"b")]
    exchange = opened()
    async with exchange.stream("GET", "/") as stream:
        await stream.next(exchange.deadline)
    assert (await exchange.request("GET", "/")).body == b"b"
    assert server.connections == 2


async def test_expired_is_not_the_deadline(server: Server, opened: Open) -> None:
    server.script = [HEAD + chunk(b"a")]
    exchange = opened(timeout=30)
    async with exchange.stream("GET", "/") as stream:
        await stream.next(exchange.deadline)
        for wait in (0.05, -1.0, 0.0):
            before = time.perf_counter()
            with pytest.raises(Expired):
                await stream.next(before + wait)
            assert time.perf_counter() - before >= wait
    exchange = opened(timeout=0.3)
    async with exchange.stream("GET", "/") as stream:
        await stream.next(exchange.deadline)
        with pytest.raises(Failure) as caught:
            await stream.next(exchange.deadline + 10)
        assert caught.value.reason is Reason.TIMEOUT
        assert time.perf_counter() >= exchange.deadline
        with pytest.raises(Failure):
            await stream.next(exchange.deadline + 10)


async def test_the_deadline_holds_for_a_stream_that_always_has_something(server: Server, opened: Open) -> None:
    server.script = [HEAD + chunk(b"a" * 50_000)]
    exchange = opened(timeout=0.2)
    async with exchange.stream("GET", "/") as stream:
        assert await stream.next(exchange.deadline)
        await asyncio.sleep(0.25)
        with pytest.raises(Failure) as caught:
            await stream.next(exchange.deadline)
    assert caught.value.reason is Reason.TIMEOUT


async def test_the_head_must_come_by_the_deadline(server: Server, opened: Open) -> None:
    async def never(reader: Reader, writer: Writer) -> None:
        await reader.read()

    server.script = [never]
    exchange = opened(timeout=0.1)
    with pytest.raises(Failure) as caught:
        async with exchange.stream("GET", "/"):
            pytest.fail("no head came")
    assert caught.value.reason is Reason.TIMEOUT


async def test_what_arrived_before_the_end_is_handed_over_before_it_is_told(server: Server, opened: Open) -> None:
    async def cut(reader: Reader, writer: Writer) -> None:
        writer.write(HEAD + chunk(b"a"))
        await writer.drain()
        writer.close()
        await reader.read()

    server.script = [cut]
    exchange = opened()
    async with exchange.stream("GET", "/") as stream:
        await asyncio.sleep(0.1)  # both are here by now
        chunks = await stream.next(exchange.deadline)
        assert chunks is not None
        assert chunks[0].data == b"a"
        with pytest.raises(Failure) as caught:
            await stream.next(exchange.deadline)
    assert caught.value.reason is Reason.TRUNCATED


async def test_a_reader_that_does_not_come_back_stops_the_flow(server: Server, opened: Open) -> None:
    size = HIGH_WATER * 64
    sent = 0

    async def flood(reader: Reader, writer: Writer) -> None:
        nonlocal sent
        writer.transport.set_write_buffer_limits(high=1)
        writer.write(HEAD)
        piece = b"x" * 16000
        while sent < size:
            writer.write(chunk(piece))
            await writer.drain()
            sent += len(piece)
        writer.write(END)

    server.script = [flood]
    exchange = opened(timeout=30, max_body=size * 2)
    async with exchange.stream("GET", "/") as stream:
        last = -1
        while sent != last:  # until the server is stuck
            last = sent
            await asyncio.sleep(0.1)
        assert sent < size
        assert stream._answer.queued < HIGH_WATER + 2 * 16384  # type: ignore[attr-defined]
        assert len(await collect(stream, exchange.deadline)) == sent


async def test_one_turn_of_the_loop_takes_one_read(server: Server, opened: Open) -> None:
    """However much lies ready: otherwise one flood is parsed for as long as it lasts."""
    flood = chunk(b"x") * 200_000

    server.script = [HEAD + flood + END]
    exchange = opened(timeout=60)
    turns: list[int] = []

    async with exchange.stream("GET", "/") as stream:
        loop, reader = asyncio.get_running_loop(), stream._answer  # type: ignore[attr-defined]

        def turn() -> None:
            turns.append(reader.raw_bytes)
            if not reader.done:
                loop.call_soon(turn)

        turn()
        await collect(stream, exchange.deadline)
    assert turns[-1] > 1_000_000
    assert max(after - before for before, after in pairwise(turns)) <= READ


async def test_a_stream_is_bounded(server: Server, opened: Open) -> None:
    server.script = [HEAD + chunk(b"x" * 1000) + END]
    exchange = opened(max_body=1000)
    async with exchange.stream("GET", "/") as stream:
        assert len(await collect(stream, exchange.deadline)) == 1000
    exchange = opened(max_body=999)
    with pytest.raises(Failure) as caught:
        async with exchange.stream("GET", "/") as stream:
            await collect(stream, exchange.deadline)
    assert caught.value.reason is Reason.TOO_LARGE


@pytest.mark.parametrize("cut", [1, 7, 10_000])
async def test_an_encoded_stream_is_decoded(server: Server, opened: Open, cut: int) -> None:
    packed = gzip.compress(b"data: hello\n\n" * 50)

    async def slowly(reader: Reader, writer: Writer) -> None:
        writer.write(HEAD.replace(b"chunked", b"chunked\r\nContent-Encoding: gzip"))
        for start in range(0, len(packed), cut):
            writer.write(chunk(packed[start : start + cut]))
            await asyncio.sleep(0.001)
        writer.write(END)

    server.script = [slowly]
    exchange = opened()
    async with exchange.stream("GET", "/") as stream:
        assert await collect(stream, exchange.deadline) == b"data: hello\n\n" * 50


async def test_body_of_an_answer_that_is_no_stream(server: Server, opened: Open) -> None:
    server.script = [answer(b"x" * 5000, status="503 Service Unavailable")]
    exchange = opened()
    async with exchange.stream("GET", "/") as stream:
        assert await stream.body(100) == b"x" * 100
    async with exchange.stream("GET", "/") as stream:
        assert await stream.body() == b"x" * 4096
    async with exchange.stream("GET", "/") as stream:
        assert await stream.body(100_000) == b"x" * 5000


@pytest.mark.parametrize(("status", "lenient"), [("503 No", True), ("200 OK", False)])
async def test_a_cut_body_hides_no_error_status(server: Server, opened: Open, status: str, lenient: bool) -> None:
    async def cut(reader: Reader, writer: Writer) -> None:
        writer.write(answer(b"overloaded", status=status)[:-4])
        await writer.drain()
        writer.close()
        await reader.read()

    server.script = [cut]
    exchange = opened()
    async with exchange.stream("GET", "/") as stream:
        if lenient:
            assert await stream.body() == b"overlo"
        else:
            with pytest.raises(Failure):
                await stream.body()


@pytest.mark.parametrize(("status", "lenient"), [("429 Slow", True), ("200 OK", False)])
async def test_an_unknown_encoding_hides_no_error_status(
    server: Server, opened: Open, status: str, lenient: bool
) -> None:
    server.script = [answer(b"\x0b\x02\x80", "Content-Encoding: br", status=status)]
    exchange = opened()
    if lenient:
        async with exchange.stream("GET", "/") as stream:
            assert (stream.status, await stream.body()) == (429, b"")
        return
    with pytest.raises(Failure) as caught:
        async with exchange.stream("GET", "/"):
            pytest.fail("nothing says what this is")
    assert caught.value.reason is Reason.ENCODING


async def test_redirects_are_followed_for_streams_too(server: Server, opened: Open) -> None:
    server.script = [answer(b"go", "Location: /next", status="302 Found"), HEAD + chunk(b"a") + END]
    exchange = opened(follow_redirects=True)
    async with exchange.stream("GET", "/") as stream:
        assert await collect(stream, exchange.deadline) == b"a"


async def test_cancellation_inside_a_stream(server: Server, opened: Open) -> None:
    server.script = [HEAD + chunk(b"a")]
    exchange = opened()

    async def read() -> None:
        async with exchange.stream("GET", "/") as stream:
            await collect(stream, exchange.deadline)

    task = asyncio.create_task(read())
    await asyncio.sleep(0.05)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert exchange.connection is None
