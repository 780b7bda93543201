import asyncio
import contextlib
import gzip
import socket
from collections.abc import Callable
from typing import Any

import pytest
from aiohttp.test_utils import TestClient

from exporter.web import api, connection
from exporter.web.connection import Crowd
from exporter.web.server import MAX_BODY

pytestmark = pytest.mark.slow

Client = TestClient[Any, Any]

HEAD = b"GET /-/healthy HTTP/1.1\r\nHost: exporter\r\n"


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Short times, far apart from each other."""
    monkeypatch.setattr(connection, "HEAD_TIMEOUT", 0.2)
    monkeypatch.setattr(connection, "WRITE_TIMEOUT", 0.2)
    monkeypatch.setattr(connection, "LINGER", 0.2)


def status(heard: bytes) -> int:
    return int(heard.split()[1])


async def test_half_a_head_is_given_up(hasty: None, dial: Any) -> None:
    wire = await dial()
    assert await wire.ask(HEAD) == b""


async def test_a_client_that_says_nothing_is_given_up(hasty: None, dial: Any) -> None:
    wire = await dial()
    assert await wire.hear() == b""


async def test_a_head_sent_byte_by_byte_is_given_up(hasty: None, dial: Any) -> None:
    wire = await dial()
    await wire.say(HEAD)

    async def drip() -> None:
        while True:
            await wire.say(b"X")
            await asyncio.sleep(0.02)

    dripping = asyncio.create_task(drip())
    assert await wire.hear() == b""
    dripping.cancel()
    await asyncio.gather(dripping, return_exceptions=True)


async def test_half_a_second_head_on_an_open_connection_is_given_up(hasty: None, dial: Any) -> None:
    wire = await dial()
    await wire.say(HEAD + b"\r\n")
    assert b"200 OK" in await wire.reader.readuntil(b"healthy\n")
    await wire.say(HEAD)
    assert await wire.hear() == b""


async def test_an_idle_connection_is_kept_for_the_next_scrape(hasty: None, dial: Any) -> None:
    wire = await dial()
    await wire.say(HEAD + b"\r\n")
    await wire.reader.readuntil(b"healthy\n")
    await asyncio.sleep(0.5)  # longer than a head may take
    await wire.say(HEAD + b"\r\n")
    assert b"200 OK" in await wire.reader.readuntil(b"healthy\n")


async def test_two_thousand_half_requests_do_not_keep_a_scraper_out(
    monkeypatch: pytest.MonkeyPatch, client: Client, dial: Any
) -> None:
    crowd = client.server.runner.crowd  # type: ignore[union-attr]
    monkeypatch.setattr(crowd, "limit", 20)
    monkeypatch.setattr(connection, "PATIENCE", 0.05)
    wires = [await dial() for _ in range(60)]
    for wire in wires:
        await wire.say(HEAD)
    await asyncio.sleep(0.1)
    answer = await client.get("/-/healthy")
    assert answer.status == 200
    assert len(crowd.members) <= 20


async def test_newcomers_to_a_house_full_of_busy_clients_are_told_so(
    monkeypatch: pytest.MonkeyPatch, client: Client, dial: Any
) -> None:
    monkeypatch.setattr(client.server.runner.crowd, "limit", 1)  # type: ignore[union-attr]
    first, second = await dial(), await dial()
    heard = await second.ask(HEAD + b"\r\n")
    assert status(heard) == 503
    assert b"Retry-After: 1" in heard
    await first.say(HEAD + b"\r\n")
    assert b" 200 OK" in await first.reader.readuntil(b"healthy\n")


async def test_who_has_to_make_room_before_asking_is_told_so(
    monkeypatch: pytest.MonkeyPatch, client: Client, dial: Any
) -> None:
    monkeypatch.setattr(client.server.runner.crowd, "limit", 1)  # type: ignore[union-attr]
    monkeypatch.setattr(connection, "PATIENCE", 0.0)
    first = await dial()
    await asyncio.sleep(0.01)
    second = await dial()
    await second.say(HEAD + b"\r\n")
    assert b" 200 OK" in await second.reader.readuntil(b"healthy\n")
    heard = await first.ask(HEAD + b"\r\n")
    assert status(heard) == 503
    assert b"Retry-After: 1" in heard
    third = await dial()
    assert await second.reader.read() == b"", "nothing is said to one who may be about to send its second request"
    assert b" 200 OK" in await third.ask(HEAD + b"Connection: close\r\n\r\n")


class Busy:
    """Whose turn never comes by itself."""

    def __init__(self) -> None:
        self.waiting: list[Callable[[], object]] = []

    def after(self, cost: float, go_on: Callable[[], object]) -> None:
        self.waiting.append(go_on)

    async def pause(self, cost: float) -> None:
        pass


async def test_who_has_asked_keeps_the_place_until_it_is_read(
    monkeypatch: pytest.MonkeyPatch, client: Client, dial: Any
) -> None:
    busy = Busy()
    monkeypatch.setattr(client.server.runner.crowd, "limit", 1)  # type: ignore[union-attr]
    monkeypatch.setattr(connection, "PATIENCE", 0.0)
    monkeypatch.setattr(connection, "turns", busy)
    first = await dial()
    await first.say(HEAD + b"\r\n")
    async with asyncio.timeout(10):
        while not busy.waiting:
            await asyncio.sleep(0.01)
    assert status(await (await dial()).hear()) == 503
    busy.waiting.pop()()
    assert b" 200 OK" in await first.reader.readuntil(b"healthy\n")


async def test_a_full_crowd_drops_who_idled_longest_and_none_at_work(dial: Any) -> None:
    crowd = Crowd(limit=2)
    dropped: list[str] = []

    class Member:
        def __init__(self, name: str) -> None:
            self.name = name

        def drop(self) -> None:
            dropped.append(self.name)
            crowd.leave(self)  # type: ignore[arg-type]

    members: list[Any] = [Member(name) for name in "abcd"]
    assert crowd.admit(members[0], 10.0)
    assert crowd.admit(members[1], 10.0)
    del crowd.waiting[members[0]]  # at work
    assert not crowd.admit(members[2], 10.9)
    assert crowd.admit(members[2], 11.1)
    assert dropped == ["b"]
    crowd.waiting.clear()
    assert not crowd.admit(members[3], 99.0)
    assert dropped == ["b"]


def test_files_are_kept_free_for_probes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection.resource, "getrlimit", lambda _: (64, 64))
    assert Crowd().limit == 16
    monkeypatch.setattr(connection.resource, "getrlimit", lambda _: (1_000_000, 1_000_000))
    assert Crowd().limit == connection.MAX_CONNECTIONS


async def test_a_client_that_does_not_read_is_dropped(hasty: None, client: Client, house: Any) -> None:
    for number in range(400):
        house.watch(f"{number}" * 40)
    runner = client.server.runner  # type: ignore[union-attr]
    with socket.socket() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        sock.setblocking(False)
        loop = asyncio.get_running_loop()
        await loop.sock_connect(sock, (client.host, client.port))
        await loop.sock_sendall(sock, b"GET /metrics HTTP/1.1\r\nHost: exporter\r\n\r\n" * 8)
        await asyncio.sleep(0.05)
        assert runner.crowd.members
        async with asyncio.timeout(10):
            while runner.crowd.members:
                await asyncio.sleep(0.02)


@pytest.mark.parametrize("path", ["/metrics", "/api/v1/targets"])
async def test_a_client_that_reads_a_little_at_a_time_is_dropped(
    monkeypatch: pytest.MonkeyPatch, client: Client, house: Any, path: str
) -> None:
    for number in range(4000):
        house.watch(f"{number}" * 60)
    monkeypatch.setattr(api, "MOST", 4000)
    whole = len(await (await client.get(path, headers={"Accept-Encoding": "identity"})).read())
    monkeypatch.setattr(connection, "READ_TIMEOUT", 0.3)
    with socket.socket() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        sock.setblocking(False)
        loop = asyncio.get_running_loop()
        await loop.sock_connect(sock, (client.host, client.port))
        await loop.sock_sendall(sock, f"GET {path} HTTP/1.1\r\nHost: exporter\r\n\r\n".encode())
        heard = 0
        async with asyncio.timeout(60):
            with pytest.raises(ConnectionResetError):  # noqa: PT012 - not an end that waits until all is read
                while piece := await loop.sock_recv(sock, 2048):
                    heard += len(piece)
                    await asyncio.sleep(0.01)
    assert 0 < heard < whole
    assert house.ledger.own.internal_errors["web"] == 0
    assert (await client.get("/-/healthy")).status == 200


@pytest.mark.parametrize(
    "head",
    [
        b"GET /" + b"a" * 1_000_000 + b" HTTP/1.1\r\nHost: exporter\r\n\r\n",
        HEAD + b"X: " + b"b" * 1_000_000 + b"\r\n\r\n",
        HEAD + b"".join(b"X-%d: y\r\n" % number for number in range(10_000)) + b"\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"hello\r\n\r\n",
        b"GET /-/healthy HTTP/9.9\r\nHost: exporter\r\n\r\n",
        HEAD + b"Content-Length: 3\r\nContent-Length: 4\r\n\r\nabcd",
        HEAD + b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        HEAD + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
        HEAD + b"Folded: a\r\n b\r\n\r\n",
        b"GET /-/healthy HTTP/1.1\nHost: exporter\n\n",
        HEAD + b"Bad Name: x\r\n\r\n",
        HEAD + b"Nul: a\x00b\r\n\r\n",
        HEAD + b"Content-Length: -1\r\n\r\n",
    ],
    ids=lambda head: repr(head[:20] + b".." + head[-12:]),
)
async def test_what_is_not_a_fair_request_is_refused_and_closed(hasty: None, dial: Any, head: bytes) -> None:
    wire = await dial()
    heard = await wire.ask(head)
    assert 400 <= status(heard) < 500
    assert heard.count(b"HTTP/1.") == 1
    assert b"Server: model-exporter" in heard
    assert b"aiohttp" not in heard


async def test_a_head_whose_lines_are_long_and_many_is_not_read(dial: Any) -> None:
    """Each line is one that may be, and there are few enough of them."""
    wire = await dial()
    lines = b"".join(b"X-%d: %s\r\n" % (number, b"y" * 8000) for number in range(100))
    with contextlib.suppress(ConnectionError):
        await wire.say(HEAD + lines + b"\r\n")
    assert await wire.hear() == b""


async def test_a_body_nobody_asked_for_is_not_read(hasty: None, dial: Any) -> None:
    wire = await dial()
    await wire.say(HEAD + b"Content-Length: 1000000000\r\n\r\n")
    hearing = asyncio.create_task(wire.hear())
    sent = 0
    try:
        while sent < 1_000_000_000:
            await wire.say(b"x" * 65536)
            sent += 65536
    except ConnectionError:
        pass
    assert sent < 1_000_000_000
    assert status(await hearing) == 413


async def test_chunks_without_end_are_not_read(hasty: None, dial: Any) -> None:
    wire = await dial()
    heard = await wire.ask(HEAD + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n" * 10_000)
    assert status(heard) == 413


async def test_a_compressed_body_is_not_unpacked(hasty: None, client: Client) -> None:
    bomb = gzip.compress(b"0" * 10_000_000)
    assert len(bomb) < MAX_BODY
    answer = await client.post("/-/reload", data=bomb, headers={"Content-Encoding": "gzip"})
    assert answer.status == 415


async def test_a_small_body_is_ignored(client: Client, house: Any) -> None:
    assert (await client.post("/-/reload", data=b"{}")).status == 200


async def test_many_requests_in_one_go_are_answered_in_order(dial: Any) -> None:
    wire = await dial()
    last = b"GET /nowhere HTTP/1.1\r\nHost: exporter\r\nConnection: close\r\n\r\n"
    heard = await wire.ask((HEAD + b"\r\n") * 50 + last)
    assert heard.count(b" 200 OK") == 50
    assert heard.rfind(b" 404 ") > heard.rfind(b" 200 OK")
