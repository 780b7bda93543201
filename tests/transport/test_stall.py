"""A loop that stood still makes times too long, and no answer too late that came in time."""

import asyncio
import time
from collections.abc import Iterator

import pytest

from exporter.model.endpoint import Endpoint
from exporter.model.failure import Failure, Reason
from exporter.transport import Transport
from exporter.transport.connection import Connection
from tests.support.fake import Fake, Reply, Request

pytestmark = pytest.mark.slow

STALL, TIMEOUT = 0.4, 0.25


@pytest.fixture
def fake() -> Iterator[Fake]:
    def answer(request: Request) -> Reply:
        time.sleep(5 if request.path == "/never" else 0.05)
        return 200, "ok"

    with Fake(answer) as server:  # in a thread: it goes on while the loop stands still
        yield server


async def ask(fake: Fake, path: str) -> tuple[int, float]:
    """Status and duration; the loop stands still from shortly after the start until after the deadline."""
    transport = Transport(user_agent="test")
    deadline = time.perf_counter() + TIMEOUT
    exchange = transport.exchange(
        Endpoint("http", "127.0.0.1", fake.port, ""), deadline=deadline, trace_id="0" * 31 + "1", memory={}
    )
    loop = asyncio.get_running_loop()

    def stall() -> None:  # once the request is on its way
        if fake.requests:
            time.sleep(STALL)
        else:
            loop.call_later(0.002, stall)

    stall()
    try:
        response = await exchange.request("GET", path)
        return response.status, exchange.measured().duration or 0.0
    finally:
        await exchange.close()
        await transport.close()


async def test_an_answer_that_came_meanwhile_counts(fake: Fake) -> None:
    status, duration = await ask(fake, "/soon")
    assert status == 200
    assert duration > STALL  # what was seen, and no guess at what would have been


async def test_one_that_did_not_come_is_late_all_the_same(fake: Fake) -> None:
    began = time.perf_counter()
    with pytest.raises(Failure) as failure:
        await ask(fake, "/never")
    assert failure.value.reason is Reason.TIMEOUT
    assert time.perf_counter() - began < 3


async def test_the_wait_between_a_read_and_its_task_is_in_no_time(fake: Fake, monkeypatch: pytest.MonkeyPatch) -> None:
    """Stamps are those of the read: what the loop does before it runs the task that waits is not the server's time."""
    read = Connection._received

    def slow(self: Connection, at: float, data: bytes | memoryview) -> None:
        read(self, at, data)
        time.sleep(STALL)

    monkeypatch.setattr(Connection, "_received", slow)
    for _ in range(5):  # on a machine that is busy the server itself may take as long
        transport = Transport(user_agent="test")
        exchange = transport.exchange(
            Endpoint("http", "127.0.0.1", fake.port, ""),
            deadline=time.perf_counter() + 10, trace_id="0" * 31 + "1", memory={},
        )  # fmt: skip
        began = time.perf_counter()
        await exchange.request("GET", "/soon")
        took = time.perf_counter() - began
        duration = exchange.measured().duration or 0.0
        await exchange.close()
        await transport.close()
        assert took > STALL
        if duration < STALL:
            break
    assert duration < STALL
