import time
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from exporter.model.endpoint import Auth, Bearer, Endpoint, HeaderAuth
from exporter.model.failure import Failure
from exporter.model.job import Kind
from exporter.model.observation import Observation
from exporter.model.secret import Secret
from exporter.transport import Transport
from tests.fakes.server import FakeServer
from tests.protocols.scripted import FakeExchange, build


@pytest.fixture
def ask() -> Callable[..., Any]:
    """Ask one kind of a protocol against a table of answers; returns the observation, a raised failure included."""

    async def run(name: str, kind: str, answers: Any, own: dict[str, Any] | None = None, **more: Any) -> Observation:
        fake = answers if isinstance(answers, FakeExchange) else FakeExchange(answers)
        protocol = build(name, Kind(kind), own, **more)
        try:
            return await getattr(protocol, kind)(fake)
        except Failure as failure:
            return Observation(failure=failure)

    return run


@pytest.fixture
async def reach() -> AsyncIterator[Callable[..., Any]]:
    """Ask one kind of a protocol of a running fake, through the real transport; returns the observation, a raised
    failure included. `load` is asked as a kind. Attempts that share `memory` are those of one target. `key` is a bearer
    token, or goes into the header `key_in`.
    """
    transport = Transport(user_agent="test")

    async def run(
        server: FakeServer, name: str, kind: str, own: dict[str, Any] | None = None, *,
        timeout: float = 5.0, path: str = "", memory: dict[str, Any] | None = None, key: str = "", key_in: str = "",
        **more: Any,
    ) -> Any:  # fmt: skip
        secret = Secret("inline", key)
        auth: Auth | None = HeaderAuth(key_in, secret) if key_in else Bearer(secret) if key else None
        exchange = transport.exchange(
            Endpoint("http", "127.0.0.1", server.port, path, auth=auth),
            deadline=time.perf_counter() + timeout,
            trace_id="0" * 31 + "1",
            memory={} if memory is None else memory,
        )
        protocol = build(name, Kind.INFER if kind == "load" else Kind(kind), own, path=path, **more)
        try:
            return await getattr(protocol, kind)(exchange)
        except Failure as failure:
            return Observation(failure=failure)
        finally:
            await exchange.close()

    yield run
    await transport.close()
