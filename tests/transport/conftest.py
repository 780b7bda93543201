"""A transport on both loops, and with both drivers; and a server that says what a test tells it to say."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import pytest

from exporter.model.endpoint import Endpoint
from exporter.transport import Transport
from exporter.transport.http import HttpExchange
from tests.support import loops
from tests.support.stamping import stamping

Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


def pytest_asyncio_loop_factories() -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Every test here runs on both loops."""
    return loops.both()


#: Whole conversations, which are to be the same whoever reads from the socket.
BY_BOTH_DRIVERS = ("test_http", "test_stream")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Every test there that opens plain connections does so with the loop's transports, and with our own."""
    if metafunc.module.__name__.rpartition(".")[2] in BY_BOTH_DRIVERS and "opened" in metafunc.fixturenames:
        metafunc.parametrize("kernel_stamps", [False, True], ids=["", "kernel"], indirect=True)


@pytest.fixture(scope="session")
def stamps() -> Iterator[None]:
    """Nothing that arrives is without the kernel's stamp."""
    with stamping():
        yield


@pytest.fixture
def kernel_stamps(request: pytest.FixtureRequest) -> bool:
    """Whether connections have the kernel's stamps, and so the other driver."""
    if not getattr(request, "param", False):
        return False
    request.getfixturevalue("stamps")
    return True


def answer(body: bytes = b"ok", *headers: str, status: str = "200 OK") -> bytes:
    """A whole answer with its length."""
    return "\r\n".join([f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers, "", ""]).encode() + body


@dataclass
class Server:
    """Answers each request with the next of `script` (the last one again and again); notes what it was asked."""

    script: list[bytes | Talk] = field(default_factory=lambda: [answer()])
    requests: list[bytes] = field(default_factory=list)
    connections: int = 0
    port: int = 0
    writers: list[asyncio.StreamWriter] = field(default_factory=list)

    async def talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self.writers.append(writer)
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = next(
                    (int(line[15:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")), 0
                )
                self.requests.append(head + await reader.readexactly(length))
                step = self.script[min(len(self.requests), len(self.script)) - 1]
                if isinstance(step, bytes):
                    writer.write(step)
                else:
                    await step(reader, writer)
        writer.close()

    def header(self, name: str, request: int = -1) -> str | None:
        """A header of a request, None when it was not sent."""
        for line in self.requests[request].decode("latin-1").split("\r\n")[1:]:
            key, _, value = line.partition(":")
            if key.lower() == name.lower():
                return value.strip()
        return None


@asynccontextmanager
async def listening() -> AsyncIterator[Server]:
    """A server on a free port."""
    made = Server()
    listener = await asyncio.start_server(made.talk, "127.0.0.1", 0)
    made.port = listener.sockets[0].getsockname()[1]
    yield made
    listener.close()
    for _ in range(5):  # a connection that was just accepted reaches `talk` some turns later
        for writer in made.writers:
            writer.transport.abort()
        await asyncio.sleep(0)


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    async with listening() as made:
        yield made


@pytest.fixture
async def transport() -> AsyncIterator[Transport]:
    made = Transport(user_agent="model-exporter/test")
    yield made
    await made.close()


Open = Callable[..., HttpExchange]


@pytest.fixture
async def opened(transport: Transport, server: Server, kernel_stamps: bool) -> AsyncIterator[Open]:
    """`opened(timeout=..., keep=..., **endpoint fields)`: an exchange with the server, closed at the end."""
    made: list[HttpExchange] = []
    endpoints: dict[Any, Endpoint] = {}

    def make(timeout: float = 20.0, keep: tuple[str, str] | None = None, **fields: Any) -> HttpExchange:
        fields = {"scheme": "http", "host": "127.0.0.1", "port": server.port, "kernel_stamps": kernel_stamps} | fields
        endpoint = endpoints.setdefault(tuple(sorted(fields.items(), key=lambda item: item[0])), Endpoint(**fields))
        exchange = transport.exchange(
            endpoint, deadline=time.perf_counter() + timeout, trace_id="0af7651916cd43dd8448eb211c80319c", memory={},
            keep=keep,
        )  # fmt: skip
        made.append(exchange)
        return exchange

    if kernel_stamps:
        make()  # what the first of them opens for all stays open
    yield make
    for exchange in made:
        await exchange.close()
