"""Every misbehaviour against the transport by itself: its verdict, its time, what it leaves behind, on both loops.

Many at once, beside healthy targets, are put to a whole exporter: `python -m tests.hostile`.
"""

import asyncio
import gc
import math
import socket
import statistics
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest

from exporter.contracts import Exchange
from exporter.model.endpoint import Endpoint
from exporter.model.failure import Failure, Reason
from exporter.transport import Resolver, Transport, turns
from exporter.transport.framing import NdjsonParser, SseParser
from exporter.transport.resolve import system_lookup
from tests.hostile.behaviours import BEHAVIOURS, UNLISTED, Behaviour
from tests.hostile.process import Hostile
from tests.support.descriptors import descriptors

pytestmark = pytest.mark.slow

#: Seconds. Fast rows get a long timeout that they must not use; slow rows a short one that they do use.
FAST, SLOW = 2.5, 0.3
#: Seconds above the deadline, and the part of a timeout, that a quiet machine needs less than.
SLACK, PART = 0.25, 0.8
#: A busy machine shows itself in this many runs of a healthy server, one after the other; and a run may try again.
CONTROLS, TRIES = 10, 3
MAX_BODY = 1_000_000
CONTROL = Behaviour("control", "status", frozenset({None}), fast=True, path="/ok")


@pytest.fixture
def release() -> Iterator[threading.Event]:
    """Set at the end, so that look-ups stuck in the dead resolver let their threads go."""
    event = threading.Event()
    yield event
    event.set()


@pytest.fixture
async def transport(release: threading.Event, hostile: Hostile) -> AsyncIterator[Transport]:
    def lookup(host: str, port: int) -> list[str]:
        if host.startswith("swallowed"):
            release.wait(30)
        if host.endswith(".invalid") and host.isascii() and len(host) < 64:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return system_lookup(host, port)

    opened = Transport(user_agent="test", resolver=Resolver(lookup))
    # What a loop opens for its first connection stays open.
    await attempt(opened, CONTROL, Endpoint("http", "127.0.0.1", hostile.healthy), 10.0)
    yield opened
    await opened.close()


async def ask(exchange: Exchange, row: Behaviour) -> Reason | None:
    """What the transport makes of a row."""
    try:
        if not row.stream:
            await exchange.request(row.method, row.path)
            return None
        parser = NdjsonParser(MAX_BODY) if row.group == "ndjson" else SseParser(MAX_BODY)
        async with exchange.stream(row.method, row.path) as answer:
            while (chunks := await answer.next(exchange.deadline)) is not None:
                for chunk in chunks:
                    parser.feed(chunk.at, chunk.data)
                for number, _ in enumerate(parser):
                    if number % 50 == 49:
                        await asyncio.sleep(0)
                        if exchange.now() > exchange.deadline:
                            return Reason.TIMEOUT
    except Failure as failure:
        assert failure.detail, "a failure without a word about it"  # noqa: PT017 - it is the outcome, not an error
        if failure.reason is Reason.MALFORMED:
            return None  # the framing's verdict, not the transport's
        return failure.reason
    finally:
        await exchange.close()
    return None


async def attempt(transport: Transport, row: Behaviour, endpoint: Endpoint, timeout: float, key: str = "") -> float:
    """Ask once, check the verdict, and return how long it took."""
    started = time.perf_counter()
    exchange = transport.exchange(
        endpoint, deadline=started + timeout, trace_id="ab" * 16, memory={}, keep=(row.name, key)
    )
    reason = await ask(exchange, row)
    took = time.perf_counter() - started
    assert reason in row.reasons, f"{row.name}: {reason}"
    measured = exchange.measured()
    assert measured.duration is None or 0 <= measured.duration <= took + 0.01
    assert all(0 <= seconds <= took + 0.01 for seconds in measured.phases.values()), measured
    return took


def bound(row: Behaviour) -> tuple[float, float]:
    """The timeout to give a row, and the seconds it may take."""
    return (FAST, PART * FAST) if row.fast else (SLOW, SLOW + SLACK)


async def in_time(run: Callable[[], Awaitable[float]], limit: float, transport: Transport, hostile: Hostile) -> None:
    """The best of some runs ends within `limit` seconds, and as many more as healthy runs take just now."""
    healthy = Endpoint("http", "127.0.0.1", hostile.healthy)
    tries = []
    for _ in range(TRIES):
        took = await run()
        busy = sum([await attempt(transport, CONTROL, healthy, 30.0) for _ in range(CONTROLS)])
        if took <= limit + busy:
            return
        tries.append((took, busy))
    raise AssertionError(f"took longer than {limit} s: {tries}")


async def settled(holds: Callable[[], bool], within: float = 5.0) -> bool:
    """Whether something comes to hold in time."""
    until = time.perf_counter() + within
    while not holds():
        if time.perf_counter() > until:
            return False
        await asyncio.sleep(0.01)
    return True


@asynccontextmanager
async def nothing_leaks() -> AsyncIterator[None]:
    """Descriptors and tasks go back to what they were."""
    await asyncio.sleep(0)
    fds, tasks = descriptors(), len(asyncio.all_tasks())
    yield
    assert await settled(lambda: descriptors() <= fds), (fds, descriptors())
    assert len(asyncio.all_tasks()) <= tasks


@asynccontextmanager
async def loop_turns() -> AsyncIterator[list[float]]:
    """What turns of the loop cost, in seconds of CPU. Not of wall: other programs do not count, nor does garbage that
    other tests left.
    """
    costs: list[float] = []
    stop = False

    async def tick() -> None:
        while not stop:
            before = time.thread_time()
            await asyncio.sleep(0)
            costs.append(time.thread_time() - before)
            await asyncio.sleep(0.001)

    gc.collect()
    gc.freeze()
    task = asyncio.create_task(tick())
    try:
        yield costs
    finally:
        stop = True
        await task
        gc.unfreeze()


def test_the_table_has_every_path() -> None:
    assert not UNLISTED
    names = [row.name for row in BEHAVIOURS]
    assert len(names) == len(set(names))


#: What is a matter of sockets more than of what is read from them, for the driver on sockets of our own.
OF_SOCKETS = [row for row in BEHAVIOURS if row.scheme == "http" and row.group in ("tcp", "body", "reuse", "sse")]


@pytest.mark.parametrize("row", BEHAVIOURS, ids=lambda row: row.name)
async def test_alone(row: Behaviour, hostile: Hostile, transport: Transport) -> None:
    await alone(row, row.endpoint(hostile.ports, hostile.ca_file, max_body=MAX_BODY), hostile, transport)


@pytest.mark.parametrize("row", OF_SOCKETS, ids=lambda row: row.name)
async def test_alone_with_the_kernels_stamps(row: Behaviour, hostile: Hostile, transport: Transport) -> None:
    endpoint = row.endpoint(hostile.ports, hostile.ca_file, max_body=MAX_BODY)
    stamped = replace(endpoint, kernel_stamps=True)
    # What its first connection opens for all stays open.
    await attempt(transport, CONTROL, replace(stamped, port=hostile.healthy), 10.0)
    await alone(row, stamped, hostile, transport)


async def alone(row: Behaviour, endpoint: Endpoint, hostile: Hostile, transport: Transport) -> None:
    """Its verdict and its time, and that it leaves nothing behind."""
    timeout, limit = bound(row)
    async with nothing_leaks():
        await in_time(lambda: attempt(transport, row, endpoint, timeout), limit, transport, hostile)
        if row.repeat:
            await asyncio.sleep(0.05)
            await attempt(transport, row, endpoint, timeout)
            await transport.close()


@pytest.mark.parametrize("name", ["body_tiny_chunks", "sse_flood", "ndjson_flood", "headers_endless", "gzip_bomb"])
async def test_a_flood_leaves_the_loop_to_others(name: str, hostile: Hostile, transport: Transport) -> None:
    row = next(row for row in BEHAVIOURS if row.name == name)
    endpoint = row.endpoint(hostile.ports, hostile.ca_file, max_body=MAX_BODY)
    async with loop_turns() as costs:
        await attempt(transport, row, endpoint, bound(row)[0])
    assert max(costs) <= 0.05, f"a turn of the loop cost {max(costs) * 1000:.0f} ms of CPU"


async def test_many_floods_take_turns(hostile: Hostile, transport: Transport, monkeypatch: pytest.MonkeyPatch) -> None:
    row = next(row for row in BEHAVIOURS if row.name == "body_tiny_chunks")
    endpoint = row.endpoint(hostile.ports, hostile.ca_file, max_body=MAX_BODY)

    async def mean_turn() -> float:
        async with loop_turns() as costs:
            await asyncio.gather(*(attempt(transport, row, endpoint, bound(row)[0], str(each)) for each in range(60)))
        return statistics.mean(costs)

    in_turns = await mean_turn()
    monkeypatch.setattr(turns, "CHEAP", math.inf)  # nothing waits for its turn
    all_at_once = await mean_turn()
    assert in_turns < all_at_once / 1.5, (in_turns, all_at_once)
