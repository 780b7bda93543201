"""Bounds of a call: its size, its time, and being given up."""

import asyncio
import random
import time
from contextlib import suppress
from typing import Any

import pytest

from exporter.model.failure import Failure, Reason
from tests.support.grpc_fake import GrpcFake, grpc
from tests.transport.grpc.service import ECHO, METHODS, SLEEP, failure_of

pytestmark = pytest.mark.slow


async def test_too_large_an_answer_is_left(opened, fake):
    exchange = opened(scheme="grpc", port=fake.port, max_body=100_000)
    failure = await failure_of(exchange.call(ECHO, b"x" * 1_000_000))
    assert failure.reason is Reason.TOO_LARGE
    assert exchange.measured().response_bytes < 500_000
    assert (await opened(scheme="grpc", port=fake.port, max_body=100_000).call(ECHO, b"x" * 100_000)).code == 0


@pytest.mark.parametrize("compression", [grpc.Compression.Gzip, grpc.Compression.Deflate], ids=str)
async def test_compressed_answers_are_unfolded_under_the_bound(opened, compression):
    """Servers that are set to compress do so whatever they are told is understood."""
    with GrpcFake(METHODS, compression=compression) as fake:
        exchange = opened(scheme="grpc", port=fake.port, max_body=200_000)
        assert (await exchange.call(ECHO, b"x" * 100_000)).body == b"x" * 100_000
        noise = random.Random(7).randbytes(60_000)  # in several frames
        assert (await opened(scheme="grpc", port=fake.port).call(ECHO, noise)).body == noise
        assert exchange.measured().response_bytes < 10_000
        failure = await failure_of(exchange.call(ECHO, b"x" * 300_000))
        assert failure.reason is Reason.TOO_LARGE


async def test_the_deadline_ends_it(opened, peer):
    peer.script = [30.0]  # a real server is told the deadline, and may be the first to say so
    exchange = opened(scheme="grpc", port=peer.port, timeout=0.3)
    began = time.perf_counter()
    failure = await failure_of(exchange.call(ECHO, b""))
    taken = time.perf_counter() - began
    assert failure.reason is Reason.TIMEOUT
    assert 0.3 * 0.9 < taken < 30 * 0.5
    assert exchange.measured().duration <= taken


async def test_a_call_may_have_less_time_than_the_attempt(opened, fake):
    exchange = opened(scheme="grpc", port=fake.port, timeout=60)
    began = time.perf_counter()
    with suppress(Failure):  # raised here, or said by the server, which is told the deadline
        assert (await exchange.call(SLEEP, b"30", timeout=0.2)).code == grpc.StatusCode.DEADLINE_EXCEEDED.value[0]
    assert time.perf_counter() - began < 15
    assert (await exchange.call(ECHO, b"on")).body == b"on"


async def test_no_time_is_left(opened, fake):
    failure = await failure_of(opened(scheme="grpc", port=fake.port, timeout=-1).call(ECHO, b""))
    assert (failure.reason, fake.calls) == (Reason.TIMEOUT, [])


async def test_a_grpcio_that_is_not_ready_is_no_news_of_the_server(opened, fake, monkeypatch):
    async def slow() -> Any:
        await asyncio.sleep(60)

    monkeypatch.setattr("exporter.transport.grpc._library", slow)
    failure = await failure_of(opened(scheme="grpc", port=fake.port, timeout=0.1).call(ECHO, b""))
    assert failure.reason is Reason.INCONCLUSIVE


async def test_cancelling_passes_through(opened, fake):
    task = asyncio.ensure_future(opened(scheme="grpc", port=fake.port).call(SLEEP, b"30"))
    while not fake.calls:
        await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
