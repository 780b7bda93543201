"""A port that can be connected to."""

import asyncio
import ssl

import pytest

from exporter.model.endpoint import Endpoint, Tls
from exporter.model.failure import Reason
from tests.hostile import certificates
from tests.protocols.on_the_wire import ask


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tls")
    certificates.write(folder)
    return folder


@pytest.fixture
async def listening(folder):
    """`await listening()`: the port of a server that hangs up on whoever comes; `kind` is its certificate's."""
    servers = []

    async def start(kind=None):
        context = None
        if kind is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(folder / f"{kind}.pem")
            context.set_alpn_protocols(["h2", "http/1.1"])
        asyncio.get_running_loop().set_exception_handler(lambda loop, context: None)
        servers.append(await asyncio.start_server(lambda reader, writer: writer.close(), "127.0.0.1", 0, ssl=context))
        return servers[-1].sockets[0].getsockname()[1]

    yield start
    for server in servers:
        server.close()
    await asyncio.sleep(0.02)


@pytest.mark.parametrize("scheme", ["tcp", "http", "grpc"])
async def test_a_port_that_listens(listening, scheme):
    assert (await ask(await listening(), "tcp", "health", scheme=scheme)).failure is None


async def test_a_port_that_does_not(free_port):
    found = await ask(free_port(), "tcp", "health", scheme="tcp")
    assert found.failure.reason is Reason.CONNECT_REFUSED


@pytest.mark.parametrize("scheme", ["https", "grpcs", "tcp"])
@pytest.mark.parametrize(
    ("kind", "reason"),
    [("good", None), ("expired", Reason.TLS_EXPIRED), ("wrong_host", Reason.TLS_HOSTNAME),
     ("self_signed", Reason.TLS_UNTRUSTED)],
)  # fmt: skip
async def test_with_tls_the_handshake_counts(listening, folder, scheme, kind, reason):
    tls = Tls(ca_file=str(folder / "ca.crt"))
    found = await ask(await listening(kind), "tcp", "health", scheme=scheme, tls=tls)
    assert (found.failure and found.failure.reason) is reason


@pytest.mark.parametrize("scheme", ["https", "tcp"])
async def test_a_server_that_speaks_no_tls(listening, folder, scheme):
    tls = Tls(ca_file=str(folder / "ca.crt"))
    found = await ask(await listening(), "tcp", "health", scheme=scheme, tls=tls)
    assert found.failure.reason is Reason.TLS


def test_tcp_is_tls_where_settings_say_so():
    assert not Endpoint("tcp", "h", 1).secure
    assert Endpoint("tcp", "h", 1, tls=Tls(server_name="x")).secure
    assert not Endpoint("http", "h", 1, tls=Tls(server_name="x")).secure
