"""Connections that are kept, and what stays of those that are not."""

import asyncio
import time

import pytest

from exporter.contracts import Reply
from exporter.model.endpoint import Endpoint
from exporter.model.failure import Reason
from exporter.transport import Transport
from tests.support.descriptors import descriptors
from tests.transport.grpc.service import ECHO, SLEEP, failure_of

pytestmark = pytest.mark.slow


async def test_a_kept_connection_serves_the_next_run(opened, fake, transport):
    for number in range(3):
        exchange = opened(scheme="grpc", port=fake.port, keep_alive=True, keep=("t", "p"))
        assert (await exchange.call(ECHO, b"%d" % number)).body == b"%d" % number
        assert ("connect" in exchange.measured().phases) is (number == 0)
        assert exchange.measured().address == "127.0.0.1"
        await exchange.close()
    assert len({call.context.peer() for call in fake.calls}) == 1
    transport.forget(("t", "p"))
    assert (await opened(scheme="grpc", port=fake.port, keep_alive=True, keep=("t", "p")).call(ECHO, b"n")).code == 0
    assert len({call.context.peer() for call in fake.calls}) == 2


async def test_a_kept_connection_that_died_is_replaced(opened, fake):
    async def run(port: int) -> Reply:
        exchange = opened(scheme="grpc", port=port, keep_alive=True, keep=("t", "p"))
        try:
            return await exchange.call(ECHO, b"x")
        finally:
            await exchange.close()

    assert (await run(fake.port)).code == 0
    fake.stop()
    await asyncio.sleep(0.05)
    assert (await failure_of(run(fake.port))).reason is Reason.CONNECT_REFUSED


async def test_a_call_that_failed_is_not_kept(opened, peer):
    peer.script = [30.0]
    for number in range(2):
        exchange = opened(scheme="grpc", port=peer.port, keep_alive=True, keep=("t", "p"), timeout=0.3)
        await failure_of(exchange.call(ECHO, b""))
        await exchange.close()
        assert "connect" in exchange.measured().phases, number


async def test_nothing_stays_open(opened, fake, transport):
    await opened(scheme="grpc", port=fake.port).call(ECHO, b"first")
    await asyncio.sleep(0.1)
    before, tasks = descriptors(), len(asyncio.all_tasks())
    for _ in range(5):
        exchanges = [opened(scheme="grpc", port=fake.port, timeout=0.2 if n % 2 else 5) for n in range(20)]
        await asyncio.gather(
            *(each.call(SLEEP if n % 2 else ECHO, b"0.4") for n, each in enumerate(exchanges)), return_exceptions=True
        )
        for exchange in exchanges:
            await exchange.close()
    for _ in range(50):
        await asyncio.sleep(0.1)
        if descriptors() <= before + 2 and len(asyncio.all_tasks()) <= tasks:
            break
    assert descriptors() <= before + 2
    assert len(asyncio.all_tasks()) <= tasks


async def test_the_transport_may_close_while_connections_are_kept(fake):
    transport = Transport(user_agent="x")
    endpoint = Endpoint("grpc", "127.0.0.1", fake.port, keep_alive=True)
    exchange = transport.exchange(
        endpoint, deadline=time.perf_counter() + 5, trace_id="0" * 32, memory={}, keep=("a", "b")
    )
    assert (await exchange.call(ECHO, b"x")).code == 0
    await exchange.close()
    opened = descriptors()
    await transport.close()
    async with asyncio.timeout(20):
        while descriptors() >= opened:
            await asyncio.sleep(0.01)
