"""Whole conversations: phases, deadlines, reuse, redirects, what is measured."""

import asyncio
import contextlib
import gc
import socket
import time
from pathlib import Path

import pytest

from exporter.model.endpoint import Bearer, Endpoint
from exporter.model.failure import Failure, Reason
from exporter.model.secret import Secret
from exporter.transport import Resolver, Transport
from tests.support.descriptors import descriptors
from tests.transport.conftest import Open, Server, answer

pytestmark = pytest.mark.slow

Reader, Writer = asyncio.StreamReader, asyncio.StreamWriter


async def never(reader: Reader, writer: Writer) -> None:
    await reader.read()


async def close(reader: Reader, writer: Writer) -> None:
    writer.close()
    await reader.read()


async def reset(reader: Reader, writer: Writer) -> None:
    raw = writer.get_extra_info("socket")
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    writer.transport.abort()
    raise ConnectionError


async def answer_and_close(reader: Reader, writer: Writer) -> None:
    writer.write(answer())
    writer.close()
    await reader.read()


async def test_an_answer(server: Server, opened: Open) -> None:
    server.script = [answer(b'{"a": 1}', "Content-Type: Application/JSON; charset=utf-8", "X-A: 1", "x-a: 2")]
    before = time.perf_counter()
    exchange = opened()
    response = await exchange.request("GET", "/x?secret=1")
    assert (response.status, response.body, response.headers.media_type) == (200, b'{"a": 1}', "application/json")
    assert response.headers.all("X-A") == ["1", "2"]
    assert response.headers.get("x-b", "none") == "none"
    assert dict(response.headers.items())["content-length"] == "8"
    assert response.url == f"http://127.0.0.1:{server.port}/x"
    assert before < response.ended < time.perf_counter()
    measured = exchange.measured()
    assert set(measured.phases) == {"connect", "first_byte", "transfer"}
    assert (measured.http_status, measured.response_bytes, measured.address) == (200, 8, "127.0.0.1")
    assert measured.duration is not None
    assert sum(measured.phases.values()) <= measured.duration <= time.perf_counter() - before


async def test_several_requests_share_a_connection_and_are_summed(server: Server, opened: Open) -> None:
    server.script = [answer(b"12345"), answer(b"123"), answer(b"", status="404 Not Found")]
    exchange = opened()
    await exchange.request("GET", "/1")
    first = exchange.measured()
    for path in ("/2", "/3"):
        await exchange.request("GET", path)
    measured = exchange.measured()
    assert server.connections == 1
    assert measured.phases["connect"] == first.phases["connect"]
    assert measured.phases["first_byte"] > first.phases["first_byte"]
    assert measured.duration is not None
    assert first.duration is not None
    assert measured.duration > first.duration
    assert (measured.http_status, measured.response_bytes) == (404, 8)


async def test_a_connection_the_server_closes_is_not_reused(server: Server, opened: Open) -> None:
    server.script = [answer(b"a", "Connection: close"), answer(b"b")]
    exchange = opened()
    assert (await exchange.request("GET", "/")).body == b"a"
    assert (await exchange.request("GET", "/")).body == b"b"
    assert server.connections == 2


@pytest.mark.parametrize("dies", [close, reset])
async def test_a_reused_connection_that_died_is_replaced(server: Server, opened: Open, dies: object) -> None:
    server.script = [answer(b"a"), dies, answer(b"b")]  # type: ignore[list-item]
    exchange = opened()
    await exchange.request("GET", "/")
    assert (await exchange.request("POST", "/", body=b"x")).body == b"b"
    assert server.connections == 2
    assert len(server.requests) == 3


async def test_a_fresh_connection_that_died_is_not(server: Server, opened: Open) -> None:
    server.script = [close, answer(b"b")]
    with pytest.raises(Failure) as caught:
        await opened().request("GET", "/")
    assert caught.value.reason is Reason.DISCONNECTED
    assert server.connections == 1


@pytest.mark.parametrize(
    ("part", "reason"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc", Reason.TRUNCATED),
        (b"HTTP/1.1 200 OK\r\nCont", Reason.DISCONNECTED),
    ],
)
async def test_a_reused_connection_that_began_to_answer_is_not_replaced(
    server: Server, opened: Open, part: bytes, reason: Reason
) -> None:
    async def half(reader: Reader, writer: Writer) -> None:
        writer.write(part)
        writer.close()
        await reader.read()

    server.script = [answer(b"a"), half]
    exchange = opened()
    await exchange.request("GET", "/")
    with pytest.raises(Failure) as caught:
        await exchange.request("GET", "/")
    assert caught.value.reason is reason
    assert server.connections == 1


async def test_connections_are_fresh_from_run_to_run(server: Server, opened: Open) -> None:
    for _ in range(3):
        exchange = opened(keep=("t", "p"))
        await exchange.request("GET", "/")
        await exchange.close()
    assert server.connections == 3


async def test_a_kept_connection_serves_the_next_run(server: Server, opened: Open) -> None:
    for number in range(3):
        exchange = opened(keep=("t", "p"), keep_alive=True)
        await exchange.request("GET", "/")
        await exchange.close()
        assert ("connect" in exchange.measured().phases) is (number == 0)
        assert exchange.measured().address == "127.0.0.1"
    other = opened(keep=("t", "other"), keep_alive=True)
    await other.request("GET", "/")
    assert server.connections == 2


async def test_a_kept_connection_that_closed_between_runs_is_no_failure(server: Server, opened: Open) -> None:
    server.script = [answer_and_close, answer(b"b")]
    exchange = opened(keep=("t", "p"), keep_alive=True)
    await exchange.request("GET", "/")
    await exchange.close()
    again = opened(keep=("t", "p"), keep_alive=True)
    assert (await again.request("GET", "/")).body == b"b"
    assert "connect" in again.measured().phases


async def test_a_kept_connection_that_said_something_is_dropped(
    server: Server, opened: Open, transport: Transport
) -> None:
    exchange = opened(keep=("t", "p"), keep_alive=True)
    await exchange.request("GET", "/")
    await exchange.close()
    assert len(transport._pool) == 1
    server.writers[0].write(answer(b"nobody asked"))
    while len(transport._pool):
        await asyncio.sleep(0.001)
    server.script = [answer(b"mine")]
    again = opened(keep=("t", "p"), keep_alive=True)
    assert (await again.request("GET", "/")).body == b"mine"


@pytest.mark.parametrize("extra", [b"garbage", b"HTTP/1.1 2", answer(b"nobody asked")])
async def test_bytes_after_an_answer_end_its_connection(server: Server, opened: Open, extra: bytes) -> None:
    server.script = [answer(b"a") + extra, answer(b"b")]
    exchange = opened()
    assert (await exchange.request("GET", "/")).body == b"a"
    assert (await exchange.request("GET", "/")).body == b"b"
    assert server.connections == 2


async def test_a_rotated_secret_ends_the_kept_connection(server: Server, opened: Open, tmp_path: Path) -> None:
    path = tmp_path / "token"
    for token in ("first", "first", "second"):
        if not path.exists() or path.read_text() != token:
            path.write_text(token)
        exchange = opened(keep=("t", "p"), keep_alive=True, auth=Bearer(Secret("file", str(path))))
        await exchange.request("GET", "/")
        await exchange.close()
    assert server.connections == 2


async def test_forget_and_close_let_kept_connections_go(server: Server, transport: Transport, opened: Open) -> None:
    for key in "abc":
        exchange = opened(keep=("t", key), keep_alive=True)
        await exchange.request("GET", "/")
        await exchange.close()
    transport.forget(("t", "a"))
    assert len(transport._pool) == 2
    await transport.close()
    assert len(transport._pool) == 0
    for writer in server.writers:
        assert await asyncio.wait_for(writer.wait_closed() if writer.is_closing() else _eof(writer), 10) is None


async def _eof(writer: Writer) -> None:
    while not writer.is_closing():
        await asyncio.sleep(0.001)


@pytest.mark.parametrize("timeout", [None, 60.0])
async def test_the_deadline(server: Server, opened: Open, timeout: float | None) -> None:
    server.script = [never]
    began = time.perf_counter()
    exchange = opened(timeout=0.3)
    with pytest.raises(Failure) as caught:
        await exchange.request("GET", "/", timeout=timeout)
    assert caught.value.reason is Reason.TIMEOUT
    assert 0.295 <= time.perf_counter() - began < 5
    measured = exchange.measured()
    assert measured.duration is not None
    assert measured.duration >= 0.05  # all of it but the way there
    assert "first_byte" not in measured.phases
    task = asyncio.current_task()
    assert task is not None
    assert task.cancelling() == 0
    with pytest.raises(Failure) as caught:
        await exchange.request("GET", "/")
    assert caught.value.reason is Reason.TIMEOUT


async def test_a_request_may_have_less_time_than_the_attempt(server: Server, opened: Open) -> None:
    server.script = [never, answer(b"b")]
    exchange = opened(timeout=30)
    with pytest.raises(Failure) as caught:
        await exchange.request("GET", "/", timeout=0.05)
    assert caught.value.reason is Reason.TIMEOUT
    assert (await exchange.request("GET", "/")).body == b"b"


async def test_cancellation_passes_through_and_leaves_nothing(server: Server, opened: Open) -> None:
    server.script = [never]
    before = descriptors()
    exchange = opened()
    task = asyncio.create_task(exchange.request("GET", "/"))
    while not server.requests:
        await asyncio.sleep(0.001)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    while descriptors() > before:
        await asyncio.sleep(0.001)


async def test_addresses_are_tried_in_order_until_one_answers(server: Server) -> None:
    transport = Transport(user_agent="x", resolver=Resolver(lambda *_: ["127.0.0.9", "127.0.0.1"]))
    endpoint = Endpoint("http", "two.test", server.port)
    exchange = transport.exchange(endpoint, deadline=time.perf_counter() + 5, trace_id="0" * 32, memory={})
    assert (await exchange.request("GET", "/")).status == 200
    measured = exchange.measured()
    assert measured.address == "127.0.0.1"
    assert {"dns", "connect"} <= set(measured.phases)
    assert server.header("host") == f"two.test:{server.port}"
    await exchange.close()
    await transport.close()


async def test_an_address_that_swallows_leaves_time_for_the_next(server: Server) -> None:
    hole = socket.socket()
    hole.bind(("127.0.0.9", server.port))
    hole.listen(0)
    fillers = [socket.socket() for _ in range(4)]
    for filler in fillers:
        filler.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            filler.connect(("127.0.0.9", server.port))
    transport = Transport(user_agent="x", resolver=Resolver(lambda *_: ["127.0.0.9", "127.0.0.1"]))
    endpoint = Endpoint("http", "two.test", server.port)
    for _ in range(5):
        began = time.perf_counter()
        exchange = transport.exchange(endpoint, deadline=began + 1, trace_id="0" * 32, memory={})
        with contextlib.suppress(Failure):
            assert (await exchange.request("GET", "/")).status == 200
            break
        await exchange.close()
        assert time.perf_counter() > began + 1.2, "it gave up, and this machine was on time"
    else:
        pytest.fail("this machine was late five times")
    await exchange.close()
    pinned = Endpoint("http", "two.test", server.port, addresses=("127.0.0.9",))
    exchange = transport.exchange(pinned, deadline=time.perf_counter() + 0.1, trace_id="0" * 32, memory={})
    with pytest.raises(Failure) as caught:
        await exchange.request("GET", "/")
    assert caught.value.reason is Reason.CONNECT_TIMEOUT
    assert "127.0.0.9" in caught.value.detail
    await exchange.close()
    await transport.close()
    for each in (hole, *fillers):
        each.close()


async def test_all_addresses_refused(transport: Transport, server: Server) -> None:
    endpoint = Endpoint("http", "two.test", server.port, addresses=("127.0.0.8", "127.0.0.9"))
    exchange = transport.exchange(endpoint, deadline=time.perf_counter() + 5, trace_id="0" * 32, memory={})
    with pytest.raises(Failure) as caught:
        await exchange.request("GET", "/")
    assert caught.value.reason is Reason.CONNECT_REFUSED
    assert "127.0.0.9" in caught.value.detail


async def test_a_replica_is_reached_at_its_own_port_under_the_name_of_all(transport: Transport, server: Server) -> None:
    endpoint = Endpoint("http", "all.test", 80, addresses=("127.0.0.1",), address_port=server.port)
    exchange = transport.exchange(endpoint, deadline=time.perf_counter() + 5, trace_id="0" * 32, memory={})
    assert (await exchange.request("GET", "/")).status == 200
    assert server.header("host") == "all.test"
    assert exchange.measured().phases.keys() & {"dns", "connect"} == {"connect"}, "it needs no look-up"
    await exchange.close()
    elsewhere = Endpoint("http", "all.test", 80, addresses=("127.0.0.1",), address_port=9)
    exchange = transport.exchange(elsewhere, deadline=time.perf_counter() + 5, trace_id="0" * 32, memory={})
    management = exchange.beside(f"http://all.test:{server.port}")
    assert (await management.request("GET", "/")).status == 200, "at the same address, and the port it was given"
    assert server.header("host") == f"all.test:{server.port}"
    await exchange.close()


async def test_a_socket_file(tmp_path: Path, transport: Transport) -> None:
    made = Server()
    path = str(tmp_path / "s")
    listening = await asyncio.start_unix_server(made.talk, path)
    endpoint = Endpoint("unix", path, 0, path="/x")
    exchange = transport.exchange(endpoint, deadline=time.perf_counter() + 5, trace_id="0" * 32, memory={})
    assert (await exchange.request("GET", "/x")).url == "http://localhost/x"
    assert made.header("host") == "localhost"
    await exchange.close()
    listening.close()
    await asyncio.sleep(0)
    gone = Endpoint("unix", str(tmp_path / "gone"), 0)
    exchange = transport.exchange(gone, deadline=time.perf_counter() + 5, trace_id="0" * 32, memory={})
    with pytest.raises(Failure) as caught:
        await exchange.connect()
    assert caught.value.reason is Reason.CONNECT


@pytest.mark.parametrize("scheme", ["http", "tcp", "grpc"])
async def test_connect_alone(server: Server, opened: Open, scheme: str) -> None:
    exchange = opened(scheme=scheme)
    await exchange.connect()
    measured = exchange.measured()
    assert set(measured.phases) == {"connect"}
    assert measured.duration is not None
    assert measured.http_status is None
    assert not server.requests


async def test_redirects_are_not_followed_unless_told(server: Server, opened: Open) -> None:
    server.script = [answer(b"", "Location: /next", status="302 Found")]
    assert (await opened().request("GET", "/")).status == 302
    assert len(server.requests) == 1


async def test_redirects_carry_the_credential_within_the_origin_only(server: Server, opened: Open) -> None:
    token = Bearer(Secret("inline", "s3cr3t-bearer-1"))
    server.script = [answer(b"", "Location: /next?x=1", status="307 Temporary Redirect"), answer(b"there")]
    exchange = opened(follow_redirects=True, auth=token)
    response = await exchange.request("POST", "/", body=b"abc")
    assert (response.body, response.url) == (b"there", f"http://127.0.0.1:{server.port}/next")
    assert server.requests[1].startswith(b"POST /next?x=1 ")
    assert server.requests[1].endswith(b"abc")
    assert server.header("authorization") == "Bearer s3cr3t-bearer-1"
    server.script = [answer(b"", f"Location: http://localhost:{server.port}/next", status="302 Found")]
    with pytest.raises(Failure) as caught:
        await opened(follow_redirects=True, auth=token).request("GET", "/")
    assert caught.value.reason is Reason.REDIRECT
    assert len(server.requests) == 3


async def test_a_see_other_drops_the_body(server: Server, opened: Open) -> None:
    server.script = [answer(b"", "Location: /next", status="303 See Other"), answer(b"there")]
    await opened(follow_redirects=True).request("POST", "/", body=b"abc")
    assert server.requests[1].startswith(b"GET /next ")
    assert server.header("content-length") is None


async def test_five_hops_and_not_six(server: Server, opened: Open) -> None:
    hops = [answer(b"", f"Location: /{number}", status="302 Found") for number in range(6)]
    server.script = [*hops[:5], answer(b"there")]
    assert (await opened(follow_redirects=True).request("GET", "/")).body == b"there"
    server.requests.clear()
    server.script = [*hops, answer(b"there")]
    with pytest.raises(Failure, match="more than 5"):
        await opened(follow_redirects=True).request("GET", "/")


async def test_out_of_descriptors_waits_and_goes_on(
    server: Server, opened: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    loop = asyncio.get_running_loop()
    real = loop.create_connection
    failures = [OSError(24, "Too many open files"), OSError(23, "Too many open files in system")]

    async def create(*arguments: object, **more: object) -> object:
        if failures:
            raise failures.pop()
        return await real(*arguments, **more)  # type: ignore[arg-type]

    class Short:
        """The loop, short of descriptors for a while."""

        create_connection = staticmethod(create)

        def __getattr__(self, name: str) -> object:
            return getattr(loop, name)

    monkeypatch.setattr("exporter.transport.dial.get_running_loop", Short)
    assert (await opened(kernel_stamps=False).request("GET", "/")).status == 200
    assert not failures


@pytest.mark.parametrize("keep_alive", [False, True])
@pytest.mark.parametrize("kernel_stamps", [False, True])
async def test_nothing_is_left_for_the_collector(
    server: Server, transport: Transport, keep_alive: bool, kernel_stamps: bool
) -> None:
    """A cycle per request would be most of the work of a busy exporter's collector."""
    endpoint = Endpoint("http", "127.0.0.1", server.port, keep_alive=keep_alive, kernel_stamps=kernel_stamps)

    async def run() -> None:
        exchange = transport.exchange(
            endpoint, deadline=time.perf_counter() + 5, trace_id="0" * 32, memory={}, keep=("t", "p")
        )
        await exchange.request("GET", "/")
        await exchange.close()

    await run()
    gc.collect()
    gc.disable()
    try:
        for _ in range(20):
            await run()
        await asyncio.sleep(0.01)
        gc.set_debug(gc.DEBUG_SAVEALL)
        gc.collect()
        ours = [type(thing) for thing in gc.garbage if type(thing).__module__.startswith("exporter")]
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
        gc.enable()
    assert not ours


@pytest.mark.parametrize("status", [503, 404])
async def test_an_error_whose_body_cannot_be_decoded_is_still_that_error(
    server: Server, opened: Open, status: int
) -> None:
    server.script = [answer(b"junk", "Content-Encoding: gzip", status=f"{status} No")]
    response = await opened().request("GET", "/")
    assert (response.status, response.body) == (status, b"")
