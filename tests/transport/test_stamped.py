"""The driver on sockets of our own: its truth, its queue, its ends. Whole conversations over it are in `test_http`."""

import asyncio
import hashlib
import os
import socket
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from exporter.model.endpoint import Endpoint, Proxy
from exporter.model.failure import Failure, Reason
from exporter.model.observation import Stamps
from exporter.transport import Transport, clocks, stamped
from exporter.transport.account import Account
from exporter.transport.clocks import OUT_OF_ORDER, USED, Ancillary
from exporter.transport.connection import READ
from exporter.transport.message import Answer
from exporter.transport.stamped import Kernel, StampedTransport
from tests.support.descriptors import descriptors
from tests.support.fake import Fake, Reply, Request
from tests.transport.conftest import Open, Server, answer

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("stamps")]

Reader, Writer = asyncio.StreamReader, asyncio.StreamWriter

LARGE = bytes(range(256)) * 32768
STALL = 0.03


@pytest.fixture
def kernel_stamps() -> bool:
    return True


@pytest.fixture
def kernel() -> Iterator[Kernel]:
    made = Kernel({})
    yield made
    made.close()


def watched() -> int:
    """Descriptors the running loop watches; uvloop does not tell, and there they are all that are open."""
    selector = getattr(asyncio.get_running_loop(), "_selector", None)
    return len(selector.get_map()) if selector is not None else descriptors()


async def settled(before: tuple[int, int]) -> None:
    while descriptors() > before[0] or watched() > before[1]:
        await asyncio.sleep(0.001)


# What it is for.


async def test_the_loop_stands_still_while_an_answer_arrives(transport: Transport) -> None:
    """The kernel knows when it came. Both in one stall, so that the machine does to one what it does to the other."""
    sent: dict[str, float] = {}
    loop = asyncio.get_running_loop()

    def reply(request: Request) -> Reply:
        time.sleep(0.02)
        sent[request.path] = time.perf_counter()
        return 200, "ok"

    def stall() -> None:
        if len(fake.requests) >= 2:
            time.sleep(STALL + 0.02)
        else:
            loop.call_later(0.001, stall)

    errors: dict[bool, float] = {}
    with Fake(reply) as fake:  # in threads: it goes on while the loop stands still
        for number in range(7):  # on a machine that is busy the server itself may be late
            fake.requests.clear()
            asked = [
                (by_kernel, transport.exchange(
                    Endpoint("http", "127.0.0.1", fake.port, "", kernel_stamps=by_kernel),
                    deadline=time.perf_counter() + 10, trace_id="1" * 32, memory={},
                ))
                for by_kernel in (False, True)
            ]  # fmt: skip
            loop.call_later(0.001, stall)
            await asyncio.gather(*(one.request("GET", f"/{by_kernel}{number}") for by_kernel, one in asked))
            for by_kernel, one in asked:
                measured = one.measured()
                assert measured.stamps == ("kernel" if by_kernel else "loop")
                error = one.t0 + measured.phases["first_byte"] - sent[f"/{by_kernel}{number}"]
                assert error > 0
                errors[by_kernel] = error
                await one.close()
            if errors[False] > STALL / 2 and errors[True] < errors[False] / 4:
                break
    assert errors[False] > STALL / 2
    assert errors[True] < errors[False] / 4


# Whose stamps a run has.


async def test_who_does_not_ask_has_the_loops(server: Server, opened: Open, transport: Transport) -> None:
    exchange = opened(kernel_stamps=False)
    await exchange.request("GET", "/")
    assert exchange.measured().stamps is Stamps.LOOP


async def test_nothing_is_counted_as_long_as_nobody_asks(server: Server) -> None:
    transport = Transport(user_agent="test")
    exchange = transport.exchange(
        Endpoint("http", "127.0.0.1", server.port), deadline=time.perf_counter() + 5, trace_id="1" * 32, memory={}
    )
    await exchange.request("GET", "/")
    await exchange.close()
    await transport.close()
    assert transport.stamps == {}


async def test_every_read_is_counted(server: Server, opened: Open, transport: Transport) -> None:
    exchange = opened()
    for _ in range(3):
        await exchange.request("GET", "/")
    assert exchange.measured().stamps is Stamps.KERNEL
    assert transport.stamps[USED] == 3
    assert sum(transport.stamps.values()) == 3


async def test_a_stamp_is_held_against_the_request(
    server: Server, opened: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And against the reads before it."""
    moment, given, made = stamped.Clocks.moment, [], []

    def noted(self: stamped.Clocks, found: Ancillary, after: float, overtaken: Callable[[], bool]) -> float:
        given.append(after)
        made.append(moment(self, found, after, overtaken))
        return made[-1]

    async def twice(reader: Reader, writer: Writer) -> None:
        writer.write(answer(b"xy")[:-1])
        await asyncio.sleep(0.01)
        writer.write(b"y")

    monkeypatch.setattr(stamped.Clocks, "moment", noted)
    server.script = [answer(), twice]
    exchange = opened()
    for _ in range(2):
        await exchange.request("GET", "/")
        assert exchange.t0 <= given[-1 if len(given) == 1 else 1] <= time.perf_counter()
    assert given[2] == made[1]


async def test_grpc_stamps_its_frames_itself(server: Server, transport: Transport) -> None:
    account = Account()
    endpoint = Endpoint("http", "127.0.0.1", server.port, kernel_stamps=True)
    connection = await transport._dialler.dial(
        endpoint, account, time.perf_counter() + 5, ("127.0.0.1",), reader=Answer(10)
    )
    assert not connection.stamped
    assert account.stamps is Stamps.LOOP
    connection.abort()


async def test_a_kept_connection_tells_the_run_that_has_it(server: Server, opened: Open) -> None:
    for _ in range(3):
        exchange = opened(keep=("t", "p"), keep_alive=True)
        assert exchange.measured().stamps is Stamps.LOOP  # nothing was read
        await exchange.request("GET", "/")
        await exchange.close()
        assert exchange.measured().stamps is Stamps.KERNEL
    assert server.connections == 1


async def test_reads_that_fall_back_are_told(
    server: Server, opened: Open, transport: Transport, monkeypatch: pytest.MonkeyPatch
) -> None:
    exchange = opened()
    await exchange.request("GET", "/")
    with monkeypatch.context() as patched:
        patched.setattr(stamped.Clocks, "moment", lambda *_: 0.0)
        before = time.perf_counter()
        response = await exchange.request("GET", "/")
        assert before < response.ended < time.perf_counter()  # the loop's own
        assert exchange.measured().stamps is Stamps.MIXED
        other = opened()
        await other.request("GET", "/")
        assert other.measured().stamps is Stamps.LOOP


async def test_a_body_that_ends_with_the_connection_ends_by_the_loop(server: Server, opened: Open) -> None:
    async def until_close(reader: Reader, writer: Writer) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\n\r\nabc")
        writer.close()
        await reader.read()

    server.script = [until_close]
    exchange = opened()
    assert (await exchange.request("GET", "/")).body == b"abc"
    assert exchange.measured().stamps is Stamps.MIXED


async def test_through_a_proxy_and_to_a_socket_file_they_are_the_loops(
    server: Server, opened: Open, transport: Transport, tmp_path: Path
) -> None:
    exchange = opened(host="nowhere.invalid", proxy=Proxy("127.0.0.1", server.port))
    await exchange.request("GET", "/")
    assert exchange.measured().stamps is Stamps.LOOP
    path = str(tmp_path / "s")
    listener = await asyncio.start_unix_server(server.talk, path)
    exchange = opened(scheme="unix", host=path, port=0)
    await exchange.request("GET", "/")
    assert exchange.measured().stamps is Stamps.LOOP
    await exchange.close()
    listener.close()
    assert sum(transport.stamps.values()) == 0


async def test_where_the_system_has_none_they_are_the_loops(
    server: Server, transport: Transport, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clocks, "available", lambda: False)
    exchange = transport.exchange(
        Endpoint("http", "127.0.0.1", server.port, kernel_stamps=True),
        deadline=time.perf_counter() + 5, trace_id="1" * 32, memory={},
    )  # fmt: skip
    await exchange.request("GET", "/")
    await exchange.close()
    assert exchange.measured().stamps is Stamps.LOOP
    assert transport.stamps == {}


async def test_packets_that_overtake_others_are_noticed(kernel: Kernel, server: Server) -> None:
    loop = asyncio.get_running_loop()
    connection = kernel.connection(loop, Account())
    await kernel.connect(loop, connection, "127.0.0.1", server.port)
    driver = connection._transport
    assert isinstance(driver, StampedTransport)
    assert not driver._overtaken()  # by what the kernel says
    real = driver._sock

    class Told:
        """The socket of a connection whose packets came out of order, each time one more."""

        count = 0

        def getsockopt(self, *arguments: int) -> bytes:
            told = bytearray(real.getsockopt(*arguments))
            assert len(told) >= 228
            self.count += 1
            told[224:228] = self.count.to_bytes(4, sys.byteorder)
            return bytes(told)

    driver._sock = told = Told()  # type: ignore[assignment]
    assert driver._overtaken()
    assert driver._overtaken()
    told.count -= 1
    assert not driver._overtaken()  # none since
    driver._sock = real
    connection.abort()


async def test_a_late_read_asks_whether_packets_overtook_others(
    server: Server, opened: Open, transport: Transport, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def late(reader: Reader, writer: Writer) -> None:
        os.write(writer.get_extra_info("socket").fileno(), answer())
        time.sleep(0.01)  # the loop is to come late

    server.script = [late]
    await opened().request("GET", "/")
    assert transport.stamps[OUT_OF_ORDER] == 0  # it was late, and none overtook another
    monkeypatch.setattr(StampedTransport, "_overtaken", lambda _: True)
    exchange = opened()
    await exchange.request("GET", "/")
    assert transport.stamps[OUT_OF_ORDER] == 1
    assert exchange.measured().stamps is Stamps.LOOP


# Its faults.


async def test_a_request_that_the_peer_is_slow_to_read(server: Server, opened: Open) -> None:
    """Far more than the kernel takes at once: the rest waits, in order, and nothing of it is sent twice."""
    exchange = opened(timeout=30)
    response = await exchange.request("POST", "/", body=LARGE)
    assert response.status == 200
    body = server.requests[0].partition(b"\r\n\r\n")[2]
    assert hashlib.sha256(body).digest() == hashlib.sha256(LARGE).digest()
    assert (await exchange.request("GET", "/")).status == 200
    assert server.connections == 1


@pytest.mark.parametrize("end", ["deadline", "reset"])
async def test_a_peer_that_never_reads(opened: Open, end: str) -> None:
    accepted: list[Writer] = []

    async def mute(reader: Reader, writer: Writer) -> None:
        writer.transport.pause_reading()
        accepted.append(writer)
        if end == "reset":
            await asyncio.sleep(0.05)
            raw = writer.get_extra_info("socket")
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            writer.transport.abort()

    listener = await asyncio.start_server(mute, "127.0.0.1", 0)
    before = descriptors(), watched()
    exchange = opened(timeout=0.3 if end == "deadline" else 10, port=listener.sockets[0].getsockname()[1])
    with pytest.raises(Failure) as caught:
        await exchange.request("POST", "/", body=LARGE)
    assert caught.value.reason is (Reason.TIMEOUT if end == "deadline" else Reason.RESET)
    for writer in accepted:
        writer.transport.abort()
    await settled(before)
    listener.close()


async def test_closing_sends_what_was_written_first(kernel: Kernel) -> None:
    received = hashlib.sha256()
    over = asyncio.Event()

    async def take(reader: Reader, writer: Writer) -> None:
        while data := await reader.read(65536):
            received.update(data)
        writer.close()
        over.set()

    listener = await asyncio.start_server(take, "127.0.0.1", 0)
    loop = asyncio.get_running_loop()
    connection = kernel.connection(loop, Account())
    await kernel.connect(loop, connection, *listener.sockets[0].getsockname())
    transport = connection._transport
    assert isinstance(transport, StampedTransport)
    transport.write(LARGE)
    transport.write(b"and more")
    transport.close()
    assert transport.is_closing()
    transport.write(b"too late")
    await asyncio.wait_for(over.wait(), 30)
    assert received.digest() == hashlib.sha256(LARGE + b"and more").digest()
    while not connection.lost:
        await asyncio.sleep(0)
    listener.close()


async def test_what_is_written_later_comes_later(kernel: Kernel, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also when the kernel would take it at once, because the peer has read in between."""
    writes = 0
    write_on = StampedTransport._write_on

    def counted(self: StampedTransport) -> None:
        nonlocal writes
        writes += 1
        write_on(self)

    monkeypatch.setattr(StampedTransport, "_write_on", counted)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        loop = asyncio.get_running_loop()
        connection = kernel.connection(loop, Account())
        await kernel.connect(loop, connection, *listener.getsockname())
        transport = connection._transport
        assert isinstance(transport, StampedTransport)
        peer, _ = listener.accept()
        peer.setblocking(False)
        transport.write(LARGE)
        received = bytearray()

        def read() -> None:
            try:
                while data := peer.recv(1 << 20):
                    received.extend(data)
            except BlockingIOError:
                pass

        for _ in range(3):
            read()
        transport.write(b"and more")
        while len(received) < len(LARGE) + 8:
            await asyncio.sleep(0)
            read()
        assert received == LARGE + b"and more"
        assert writes
        writes = 0
        for _ in range(5):
            await asyncio.sleep(0.001)
        assert not writes  # nobody watches for room any more
        connection.abort()
        peer.close()


async def test_a_kept_connection_that_the_server_closed_is_let_go(server: Server, opened: Open) -> None:
    before = descriptors(), watched()
    exchange = opened(keep=("t", "p"), keep_alive=True)
    await exchange.request("GET", "/")
    await exchange.close()
    server.writers[0].close()
    await asyncio.wait_for(settled(before), 10)


async def test_pausing_stops_the_reads(kernel: Kernel, monkeypatch: pytest.MonkeyPatch) -> None:
    peers: list[Writer] = []
    reads = 0
    read_once = StampedTransport._read

    def counted(self: StampedTransport) -> None:
        nonlocal reads
        reads += 1
        read_once(self)

    monkeypatch.setattr(StampedTransport, "_read", counted)

    async def take(reader: Reader, writer: Writer) -> None:
        peers.append(writer)

    listener = await asyncio.start_server(take, "127.0.0.1", 0)
    loop = asyncio.get_running_loop()
    connection = kernel.connection(loop, Account())
    connection.answer = read = Answer(10_000_000)
    await kernel.connect(loop, connection, *listener.sockets[0].getsockname())
    while not peers:
        await asyncio.sleep(0)
    transport = connection._transport
    assert isinstance(transport, StampedTransport)
    assert transport.is_reading()
    transport.pause_reading()
    transport.pause_reading()
    assert not transport.is_reading()
    peers[0].write(answer(b"x"))
    for _ in range(20):
        await asyncio.sleep(0.001)
    assert not read.raw_bytes
    assert not reads
    transport.resume_reading()
    transport.resume_reading()
    while not read.done:
        await asyncio.sleep(0.001)
    transport.pause_reading()
    connection.abort()
    connection.abort()
    transport.resume_reading()  # too late, and it must not watch what is closed
    assert not transport.is_reading()
    peers[0].transport.abort()
    listener.close()


async def test_dropping_one_leaves_nothing_watched(server: Server, opened: Open) -> None:
    async def never(reader: Reader, writer: Writer) -> None:
        writer.write(b"x" * (3 * READ))
        await reader.read()

    server.script = [never]
    for body in (None, LARGE):
        before = descriptors(), watched()
        exchange = opened()
        task = asyncio.create_task(exchange.request("POST", "/", body=body))
        await asyncio.sleep(0.02)
        task.cancel()
        with pytest.raises((asyncio.CancelledError, Failure)):
            await task
        await settled(before)


async def test_giving_up_while_it_connects(kernel: Kernel) -> None:
    """A listener whose queue is full answers no more."""
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        fillers = [socket.socket() for _ in range(4)]
        for filler in fillers:
            filler.setblocking(False)
            filler.connect_ex(full.getsockname())
        await asyncio.sleep(0.01)
        before = descriptors(), watched()
        loop = asyncio.get_running_loop()
        connection = kernel.connection(loop, Account())
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(kernel.connect(loop, connection, *full.getsockname()), 0.05)
        await settled(before)
        assert not connection.made
        for filler in fillers:
            filler.close()


async def test_refused(kernel: Kernel) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        place = free.getsockname()
    loop = asyncio.get_running_loop()
    before = descriptors(), watched()
    for _ in range(3):
        with pytest.raises(ConnectionRefusedError):
            await kernel.connect(loop, kernel.connection(loop, Account()), *place)
    await settled(before)


async def test_given_up_before_it_was_there(kernel: Kernel, server: Server) -> None:
    loop = asyncio.get_running_loop()
    connection = kernel.connection(loop, Account())
    before = descriptors(), watched()
    connection.abort()
    await kernel.connect(loop, connection, "127.0.0.1", server.port)
    while not connection.lost:
        await asyncio.sleep(0)
    while not server.writers:
        await asyncio.sleep(0)
    server.writers[0].transport.abort()
    await settled(before)


class Short:
    """The module `socket`, short of descriptors for a while."""

    def __init__(self) -> None:
        self.failures = [OSError(24, "Too many open files"), OSError(23, "Too many open files in system")]

    def __getattr__(self, name: str) -> object:
        return getattr(socket, name)

    def socket(self, *arguments: int) -> socket.socket:
        if self.failures:
            raise self.failures.pop()
        return socket.socket(*arguments)


async def test_out_of_descriptors_waits_and_goes_on(
    server: Server, opened: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    short = Short()
    monkeypatch.setattr(stamped, "socket", short)
    assert (await opened().request("GET", "/")).status == 200
    assert not short.failures


def test_it_is_there_though_descriptors_are_not(monkeypatch: pytest.MonkeyPatch) -> None:
    short = Short()
    monkeypatch.setattr(stamped, "socket", short)
    Kernel({}).close()
    assert len(short.failures) == 1


async def test_an_error_of_ours_ends_the_run_and_not_the_loop(
    server: Server, opened: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[dict[str, object]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: told.append(context))

    def broken(*_: object) -> None:
        raise RuntimeError("a bug")

    monkeypatch.setattr(Answer, "feed", broken)
    with pytest.raises(Failure) as caught:
        await opened().request("GET", "/")
    assert caught.value.reason is Reason.INTERNAL
    assert [str(each["exception"]) for each in told] == ["a bug"]


async def test_over_ipv6(transport: Transport) -> None:
    made = Server()
    listener = await asyncio.start_server(made.talk, "::1", 0)
    port = listener.sockets[0].getsockname()[1]
    exchange = transport.exchange(
        Endpoint("http", "::1", port, kernel_stamps=True),
        deadline=time.perf_counter() + 5,
        trace_id="1" * 32,
        memory={},
    )
    assert (await exchange.request("GET", "/")).status == 200
    measured = exchange.measured()
    assert (measured.stamps, measured.address) == ("kernel", "::1")
    await exchange.close()
    listener.close()


def test_a_zone_is_kept() -> None:
    family, place = stamped._place("fe80::1%lo", 80)
    assert (family, place[1], place[3]) == (socket.AF_INET6, 80, socket.if_nametoindex("lo"))
