"""gRPC calls to peers that misbehave: alone, twenty at once, and a server that is stopped."""

import asyncio
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from exporter.model.endpoint import Endpoint, Tls
from exporter.model.failure import Failure, Reason
from exporter.transport import Resolver, Transport
from tests.hostile.behaviours import PEERS, Peer
from tests.hostile.process import Hostile
from tests.hostile.test_transport import FAST, MAX_BODY, PART, SLACK, SLOW, in_time, nothing_leaks

pytestmark = pytest.mark.slow

METHOD = "/grpc.health.v1.Health/Check"


async def call(transport: Transport, endpoint: Endpoint, timeout: float) -> Reason | None:
    """What the transport makes of a peer."""
    exchange = transport.exchange(
        endpoint, deadline=time.perf_counter() + timeout, trace_id="ab" * 16, memory={}, keep=("t", "p")
    )
    try:
        await exchange.call(METHOD, b"")
    except Failure as failure:
        assert failure.detail, "a failure without a word about it"  # noqa: PT017 - it is the outcome, not an error
        return failure.reason
    finally:
        await exchange.close()
    return None


@pytest.fixture
async def transport(hostile: Hostile) -> AsyncIterator[Transport]:
    opened = Transport(user_agent="test", resolver=Resolver())
    # grpcio starts its threads with the first call, and keeps them.
    await call(opened, Endpoint("grpc", "127.0.0.1", hostile.ports["noise"]), 10.0)
    await asyncio.sleep(0.1)
    yield opened
    await opened.close()


def endpoint(row: Peer, hostile: Hostile) -> Endpoint:
    return Endpoint(
        row.scheme, row.host, hostile.ports[row.port], tls=Tls(ca_file=hostile.ca_file), keep_alive=True,  # type: ignore[arg-type]
        max_body=MAX_BODY,
    )  # fmt: skip


@pytest.mark.parametrize("row", PEERS, ids=str)
async def test_alone(row: Peer, hostile: Hostile, transport: Transport) -> None:
    timeout, limit = (FAST, PART * FAST) if row.fast else (SLOW, SLOW + SLACK)

    async def run() -> float:
        started = time.perf_counter()
        reason = await call(transport, endpoint(row, hostile), timeout)
        took = time.perf_counter() - started
        assert reason in row.reasons, reason
        return took

    async with nothing_leaks():
        await in_time(run, limit, transport, hostile)
        if row.repeat:
            await asyncio.sleep(0.05)
            await run()
        transport.forget(("t", "p"))  # who answered well is kept


SERVER = """
import time
from tests.support.grpc_fake import GrpcFake
with GrpcFake({"/grpc.health.v1.Health/Check": lambda call: b"\\x08\\x01"}) as fake:
    print(fake.port, flush=True)
    time.sleep(60)
"""


async def stop(server: "subprocess.Popen[bytes]") -> None:
    """Stop a process, and wait until all of it stands still: a thread on another core may go on for a moment."""
    server.send_signal(signal.SIGSTOP)
    threads = Path(f"/proc/{server.pid}/task")
    while any(stat.read_text().rpartition(")")[2].split()[0] != "T" for stat in threads.glob("*/stat")):
        await asyncio.sleep(0.001)


async def test_a_server_that_is_stopped_and_killed(transport: Transport, hostile: Hostile) -> None:
    """Kept connections and new ones alike: the deadline holds while it is stopped, and its end is seen at once."""

    async def ask(timeout: float) -> Reason | None:
        exchange = transport.exchange(
            target, deadline=time.perf_counter() + timeout, trace_id="ab" * 16, memory={}, keep=("t", "p")
        )
        try:
            await exchange.call(METHOD, b"")
        except Failure as failure:
            return failure.reason
        finally:
            await exchange.close()
        return None

    async def late() -> float:
        started = time.perf_counter()
        assert await ask(SLOW) is Reason.TIMEOUT
        return time.perf_counter() - started

    with subprocess.Popen([sys.executable, "-c", SERVER], stdout=subprocess.PIPE) as server:
        assert server.stdout is not None
        try:
            port = int(await asyncio.to_thread(server.stdout.readline))
            target = Endpoint("grpc", "127.0.0.1", port, keep_alive=True)
            async with nothing_leaks():
                assert [await ask(10.0), await ask(10.0)] == [None, None]
                await stop(server)
                for _ in range(2):  # over the kept connection, then over a new one
                    await in_time(late, SLOW + SLACK, transport, hostile)
                server.send_signal(signal.SIGCONT)
                assert await ask(10.0) is None
                await stop(server)
                waiting = asyncio.ensure_future(ask(10.0))
                await asyncio.sleep(SLOW)
                started = time.perf_counter()
                server.kill()
                assert await waiting in (Reason.RESET, Reason.DISCONNECTED, Reason.CONNECT_REFUSED)
                assert time.perf_counter() - started <= 5.0
                assert await ask(10.0) is Reason.CONNECT_REFUSED
                transport.forget(("t", "p"))
        finally:
            server.kill()
