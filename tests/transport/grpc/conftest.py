"""A gRPC server, one call to it, and a peer that says one frame at a time."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any

import pytest

from exporter.contracts import Reply
from exporter.model.failure import Failure
from tests.hostile import certificates
from tests.support.grpc_fake import GrpcFake
from tests.support.http2 import GREETING, Peer
from tests.transport.grpc.service import ECHO, METHODS, Open


@pytest.fixture
def fake() -> Iterator[GrpcFake]:
    with GrpcFake(METHODS) as made:
        yield made


@pytest.fixture
def ask(opened: Open, fake: GrpcFake) -> Callable[..., Awaitable[Reply]]:
    """One call on an exchange of its own."""

    async def call(method: str = ECHO, message: bytes = b"hello", **more: Any) -> Reply:
        return await opened(**{"scheme": "grpc", "port": fake.port} | more).call(method, message)

    return call


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tls")
    certificates.write(folder)
    return folder


@pytest.fixture
async def peer() -> AsyncIterator[Peer]:
    made = Peer()
    listening = await asyncio.start_server(made.talk, "127.0.0.1", 0)
    made.port = listening.sockets[0].getsockname()[1]
    yield made
    listening.close()
    made.over.set()
    for writer in made.going:
        writer.transport.abort()
    while made.going:
        await asyncio.sleep(0.01)
    await asyncio.sleep(0)


@pytest.fixture
def talk(opened, peer):
    async def call(
        *script: bytes | float | None, greeting: bytes = GREETING, timeout: float = 20.0, **more: Any
    ) -> Any:
        peer.greeting, peer.script = greeting, list(script)
        try:
            return await opened(scheme="grpc", port=peer.port, timeout=timeout, **more).call(ECHO, b"hello")
        except Failure as failure:
            return failure

    return call
