"""The end of an attempt, and the requests that go by it instead of having a timer of their own."""

import asyncio
import gc
import time
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from exporter.engine.attempt import Attempt, attempt
from exporter.engine.backstop import GRACE
from exporter.model.endpoint import Endpoint
from exporter.model.failure import Failure, Reason
from exporter.transport import Transport
from exporter.transport.alarm import Timers
from exporter.transport.connection import Connection
from exporter.transport.http import HttpExchange
from exporter.transport.message import Answer
from tests.transport.conftest import Server, answer
from tests.transport.test_http import Reader, Writer, never

Make = Callable[[Callable[[HttpExchange], Awaitable[Any]], float], Awaitable[Attempt[Any]]]


@pytest.fixture
def timers() -> Timers:
    return Timers()


@pytest.fixture
async def make(server: Server, transport: Transport, timers: Timers) -> Make:
    """`make(ask, timeout)`: one attempt at the server."""
    endpoint = Endpoint("http", "127.0.0.1", server.port)

    def open_exchange(deadline: float) -> HttpExchange:
        return transport.exchange(endpoint, deadline=deadline, trace_id="0" * 32, memory={})

    async def make(ask: Callable[[HttpExchange], Awaitable[Any]], timeout: float) -> Attempt[Any]:
        return await attempt(open_exchange, ask, timeout, timers, lambda: pytest.fail("a bug"))

    return make


async def test_a_request_that_may_last_as_long_has_no_timer_and_tells_what_it_waited_for(
    server: Server, transport: Transport, make: Make
) -> None:
    asked: list[HttpExchange] = []
    relied: list[bool] = []

    async def look(reader: Reader, writer: Writer) -> None:
        assert asked[0].bound is not None
        relied.append(asked[0].bound.followed)
        await never(reader, writer)

    def ask(exchange: HttpExchange) -> Awaitable[Any]:
        asked.append(exchange)
        return exchange.request("GET", "/")

    server.script = [look]
    made = await make(ask, 0.1)
    assert relied == [True]  # else the end would come later, as for those who keep the deadline themselves
    assert made.failure is not None
    assert (made.failure.reason, made.failure.detail) == (Reason.TIMEOUT, "no answer in time")
    assert made.measurement.duration == pytest.approx(0.1, abs=0.09)
    assert transport._timers.loop is None  # nothing was ever put there
    task = asyncio.current_task()
    assert task is not None
    assert task.cancelling() == 0


async def test_a_request_with_an_end_of_its_own_leaves_the_attempts_alone(server: Server, make: Make) -> None:
    server.script = [never, answer(b"b")]

    async def ask(exchange: HttpExchange) -> bytes:
        with pytest.raises(Failure, match="no answer in time"):
            await exchange.request("GET", "/", timeout=0.05)
        return (await exchange.request("GET", "/")).body

    assert (await make(ask, 30.0)).found == b"b"


async def test_who_goes_on_after_the_end_is_cut_off(server: Server, make: Make) -> None:
    server.script = [never]
    failures = []

    async def ask(exchange: HttpExchange) -> None:
        try:
            await exchange.request("GET", "/")
        except Failure as failure:
            failures.append(failure.detail)
        await asyncio.sleep(30)

    began = time.perf_counter()
    made = await make(ask, 0.1)
    assert failures == ["no answer in time"]
    assert made.failure is not None
    assert made.failure.detail == "no end within 0.1 s"
    assert 0.1 + GRACE / 2 < time.perf_counter() - began < 15


async def test_a_wait_between_two_requests_goes_by_no_deadline(server: Server, make: Make) -> None:
    """Whoever waits otherwise sees to the deadline itself, and has a moment to say what came of it."""

    async def ask(exchange: HttpExchange) -> None:
        await exchange.request("GET", "/")
        await asyncio.sleep(exchange.deadline - exchange.now())
        raise Failure(Reason.STALLED, "said by who waited")

    made = await make(ask, 0.1)
    assert made.failure is not None
    assert made.failure.reason is Reason.STALLED


@pytest.mark.parametrize(("script", "within"), [(answer(), 5.0), (never, 0.1), (answer()[:-1], 0.1)])
async def test_nothing_of_an_exchange_is_left_to_the_collector(
    server: Server, make: Make, timers: Timers, script: bytes, within: float
) -> None:
    """Nobody looks for what was old when it went, which includes all that waited for its deadline."""
    server.script = [script]
    gc.collect()
    gc.disable()
    try:
        await make(lambda exchange: exchange.request("GET", "/"), within)
        timers.sweep()
        await asyncio.sleep(0.01)
        assert not [each for each in gc.get_objects() if type(each) in (HttpExchange, Answer, Connection)]
    finally:
        gc.enable()
