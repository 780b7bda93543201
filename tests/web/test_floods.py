"""Thousands at once: what one turn of the loop does for clients is bounded, however many come in it. Counted on both
loops, from the sockets that `listen` opens.
"""

import asyncio
import socket
import ssl
from asyncio.sslproto import SSLProtocol
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from exporter.model.access import Rules, ServerTls
from exporter.transport.turns import TURN
from exporter.web import connection, listening, tls
from exporter.web.access import Access
from exporter.web.connection import Connection, Runner
from tests.hostile import certificates
from tests.support import loops

pytestmark = pytest.mark.slow

CLIENTS = 100
GET = b"GET / HTTP/1.1\r\nHost: exporter\r\n\r\n"
#: Of what a turn has time for, this many are begun.
READS = round(TURN / connection.PIECE)
STEPS = round(TURN / tls.STEP)


class House:
    """A listening exporter whose every answer is the same; `most` is how much of what one turn of the loop did."""

    def __init__(self, runner: Runner) -> None:
        self.runner = runner
        self.host, self.port = runner.addresses[0][:2]
        self.most: Counter[str] = Counter()
        self.done: Counter[str] = Counter()
        self._turn: Counter[str] = Counter()
        self._next()

    def count(self, what: str) -> None:
        self.done[what] += 1
        self._turn[what] += 1
        self.most[what] = max(self.most[what], self._turn[what])

    def _next(self) -> None:
        self._turn.clear()
        self._timer = asyncio.get_running_loop().call_soon(self._next)

    def end(self) -> None:
        self._timer.cancel()

    async def until(self, what: str, number: int) -> None:
        async with asyncio.timeout(60):
            while self.done[what] < number:
                await asyncio.sleep(0)


Test = Callable[[House, list[socket.socket]], Awaitable[None]]
Live = Callable[..., None]


@pytest.fixture(params=loops.both())
def live(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Live:
    """`live(test, rules)` runs it on a house that has just opened, with clients that have knocked and wait outside."""
    houses: list[House] = []

    def counted(owner: Any, name: str) -> None:
        real = getattr(owner, name)

        def call(self: Any, *given: Any) -> Any:
            houses[0].count(name)
            return real(self, *given)

        monkeypatch.setattr(owner, name, call)

    counted(Connection, "connection_made")
    counted(Connection, "connection_lost")
    counted(web.RequestHandler, "data_received")
    counted(SSLProtocol, "buffer_updated")

    async def answer(_: web.Request) -> web.Response:
        houses[0].count("answered")
        return web.Response(text="ok")

    async def run(test: Test, rules: Rules) -> None:
        application = web.Application()
        application.router.add_get("/", answer)
        access = Access()
        access.take(rules)
        runner = await listening.listen(application, access, [("127.0.0.1", 0)])
        assert isinstance(runner, Runner)
        houses.append(House(runner))
        with ExitStack() as stack:
            place = (houses[0].host, houses[0].port)
            # They do not wait to be taken in: that many may knock at once.
            clients = [stack.enter_context(socket.create_connection(place, timeout=5)) for _ in range(CLIENTS)]
            await test(houses[0], clients)
        houses[0].end()
        await runner.cleanup()

    def begin(test: Test, rules: Rules = Rules()) -> None:  # noqa: B008 - it is never changed
        with asyncio.Runner(loop_factory=loops.both()[request.param]) as runner:
            runner.run(run(test, rules))

    return begin


def test_few_are_taken_in_at_once(live: Live) -> None:
    async def test(house: House, clients: list[socket.socket]) -> None:
        await house.until("connection_made", CLIENTS)
        assert house.most["connection_made"] <= listening.AT_ONCE + 1

    live(test)


def test_few_are_read_and_answered_at_once(live: Live) -> None:
    async def test(house: House, clients: list[socket.socket]) -> None:
        await house.until("connection_made", CLIENTS)
        for client in clients:
            client.sendall(GET)
        await house.until("answered", CLIENTS)
        assert house.done["data_received"] == CLIENTS
        assert house.most["data_received"] <= READS
        assert house.most["answered"] <= READS
        assert house.runner.crowd.kept == 0

    live(test)


def test_who_asks_many_things_at_once_is_answered_in_turn_too(live: Live) -> None:
    async def test(house: House, clients: list[socket.socket]) -> None:
        await house.until("connection_made", CLIENTS)
        for client in clients:
            client.sendall(GET * 10)
        await house.until("answered", 10 * CLIENTS)
        assert house.most["answered"] <= READS

    live(test)


def test_what_waits_to_be_read_is_bounded(live: Live, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "MAX_KEPT", 20 * len(GET))

    async def test(house: House, clients: list[socket.socket]) -> None:
        await house.until("connection_made", CLIENTS)
        for client in clients:
            client.sendall(GET)
        async with asyncio.timeout(60):
            while house.done["answered"] + house.done["connection_lost"] < CLIENTS or house.runner.crowd.kept:
                await asyncio.sleep(0)
        assert house.done["answered"] >= 20
        assert house.done["connection_lost"] > 0

    live(test)


def test_who_left_before_his_turn_is_passed_over(live: Live) -> None:
    async def test(house: House, clients: list[socket.socket]) -> None:
        await house.until("connection_made", CLIENTS)
        for client in clients:
            client.sendall(GET)
        while not house.runner.crowd.kept:
            await asyncio.sleep(0)
        for member in list(house.runner.crowd.members)[: CLIENTS // 2]:
            member.drop()
        async with asyncio.timeout(60):
            while house.done["answered"] < CLIENTS // 2 or house.runner.crowd.kept:
                await asyncio.sleep(0)
        assert house.most["answered"] <= READS

    live(test)


def test_few_shake_hands_at_once(live: Live, tmp_path: Path) -> None:
    """And all are let in and answered in the end."""
    certificates.write(tmp_path)
    context = ssl.create_default_context(cafile=tmp_path / "ca.crt")
    certificate = str(tmp_path / "good.pem")

    async def test(house: House, clients: list[socket.socket]) -> None:
        hands = [Hand(context, client) for client in clients]
        async with asyncio.timeout(60):
            while len(house.runner.crowd.members) < CLIENTS:
                await asyncio.sleep(0)
        for hand in hands:
            hand.shake()
        await house.until("buffer_updated", CLIENTS)
        assert house.most["buffer_updated"] <= STEPS
        async with asyncio.timeout(60):
            while sum(hand.answered() for hand in hands) < CLIENTS:
                await asyncio.sleep(0)

    live(test, Rules(tls=ServerTls(certificate, certificate)))


class Hand:
    """One client's side of TLS, whose socket is never waited for."""

    def __init__(self, context: ssl.SSLContext, client: socket.socket) -> None:
        self._socket = client
        self._socket.setblocking(False)
        self._in, self._out = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._in, self._out, server_hostname="localhost")
        self._asked = False
        self._heard = b""

    def shake(self) -> None:
        """One more step of the handshake, as far as it goes."""
        try:
            self._tls.do_handshake()
        except ssl.SSLWantReadError:
            pass
        else:
            if not self._asked:
                self._asked = True
                self._tls.write(GET)
        if self._out.pending:
            self._socket.sendall(self._out.read())

    def answered(self) -> bool:
        """Take what came; whether that was an answer."""
        try:
            self._in.write(self._socket.recv(65536))
        except BlockingIOError:
            return b" 200 OK" in self._heard
        if not self._asked:
            self.shake()
        with suppress(ssl.SSLWantReadError):
            self._heard += self._tls.read(65536)
        return b" 200 OK" in self._heard
