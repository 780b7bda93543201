"""A loop that stood still makes times too long, and no answer too late that came in time."""

import asyncio
import socket
import threading
import time
from contextlib import suppress

import pytest

from exporter.model.endpoint import Endpoint
from exporter.model.failure import Failure, Reason
from exporter.transport import Transport
from exporter.transport.connection import Connection

pytestmark = pytest.mark.slow

STALL, TIMEOUT, NEVER = 0.4, 0.25, 60.0
#: A machine that itself stands still before the server was asked has this many more chances.
TRIES = 5


class Once:
    """A server in a thread, which goes on while the loop stands still. `asked` and `answered` say how far it is."""

    def __init__(self, after: float) -> None:
        self.asked, self.answered = threading.Event(), threading.Event()
        self._over = threading.Event()
        self._after = after
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self) -> None:
        with suppress(OSError), self._listener.accept()[0] as peer:
            peer.recv(65536)
            self.asked.set()
            if not self._over.wait(self._after):
                peer.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
            self.answered.set()
            self._over.wait(NEVER)

    def stop(self) -> None:
        self._over.set()
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join()


async def ask(after: float) -> tuple[int, float] | Reason | None:
    """Status and duration, or why there is none, of a server that answers after so many seconds. The loop stands still
    from when it was asked until the deadline is past, and the answer there if it comes at all. None: it was not asked
    in time.
    """
    transport, server = Transport(user_agent="test"), Once(after)
    deadline = time.perf_counter() + TIMEOUT
    exchange = transport.exchange(
        Endpoint("http", "127.0.0.1", server.port, ""), deadline=deadline, trace_id="0" * 31 + "1", memory={}
    )
    loop = asyncio.get_running_loop()
    in_time: list[bool] = []

    def stall() -> None:
        if not server.asked.is_set():
            loop.call_later(0.002, stall)
            return
        in_time.append(time.perf_counter() < deadline)
        time.sleep(STALL)
        if after < NEVER:
            server.answered.wait(NEVER)

    stall()
    try:
        response = await exchange.request("GET", "/")
        return response.status, exchange.measured().duration or 0.0
    except Failure as failure:
        return failure.reason if in_time == [True] else None
    finally:
        await exchange.close()
        await transport.close()
        server.stop()


async def asked(after: float) -> tuple[int, float] | Reason:
    for _ in range(TRIES):
        if (found := await ask(after)) is not None:
            return found
    raise AssertionError("this machine never came to ask in time")


async def test_an_answer_that_came_meanwhile_counts() -> None:
    found = await asked(0.05)
    assert isinstance(found, tuple), found
    status, duration = found
    assert status == 200
    assert duration > STALL  # what was seen, and no guess at what would have been


async def test_one_that_did_not_come_is_late_all_the_same() -> None:
    began = time.perf_counter()
    assert await asked(NEVER) is Reason.TIMEOUT
    assert time.perf_counter() - began < NEVER / 2


async def test_the_wait_between_a_read_and_its_task_is_in_no_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Stamps are those of the read: what the loop does before it runs the task that waits is not the server's time."""
    read = Connection._received

    def slow(self: Connection, at: float, data: bytes | memoryview) -> None:
        read(self, at, data)
        time.sleep(STALL)

    monkeypatch.setattr(Connection, "_received", slow)
    for _ in range(5):  # on a machine that is busy the server itself may take as long
        # One write: of an answer in two, the second read comes after the wait that follows the first.
        transport, server = Transport(user_agent="test"), Once(0.05)
        exchange = transport.exchange(
            Endpoint("http", "127.0.0.1", server.port, ""),
            deadline=time.perf_counter() + 10, trace_id="0" * 31 + "1", memory={},
        )  # fmt: skip
        began = time.perf_counter()
        await exchange.request("GET", "/soon")
        took = time.perf_counter() - began
        duration = exchange.measured().duration or 0.0
        await exchange.close()
        await transport.close()
        server.stop()
        assert took > STALL
        if duration < STALL:
            break
    assert duration < STALL
