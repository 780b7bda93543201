"""Ways in: client certificates, own authorities and names, socket files, IPv6, and every secret that rotates."""

import asyncio
import contextlib
import socket
import ssl
import threading
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
import trustme

from exporter.model.endpoint import Basic, Bearer, HeaderAuth, Tls
from exporter.model.failure import Evidence, Failure, Reason
from exporter.model.secret import Secret
from tests.transport.conftest import Open, Server

pytestmark = pytest.mark.slow

VERSIONS = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}


class Peer:
    """A TLS server that asks for a certificate of its authority, and notes whose it got and what name it was called."""

    def __init__(self, *names: str, clients: trustme.CA | None = None) -> None:
        self.authority = trustme.CA()
        self.server = Server()
        self.called: list[str | None] = []
        self.clients: list[str] = []
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.authority.issue_cert(*names).configure_cert(self.context)
        self.context.sni_callback = lambda inner, name, context: self.called.append(name)
        if clients is not None:
            self.context.verify_mode = ssl.CERT_REQUIRED
            clients.configure_trust(self.context)

    async def talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        shown = writer.get_extra_info("peercert")
        if shown:
            self.clients += [value for kind, value in shown.get("subjectAltName", ())]
        await self.server.talk(reader, writer)

    @contextlib.asynccontextmanager
    async def listening(self, host: str = "127.0.0.1") -> AsyncIterator[int]:
        asyncio.get_running_loop().set_exception_handler(lambda loop, context: None)
        listening = await asyncio.start_server(self.talk, host, 0, ssl=self.context)
        try:
            yield listening.sockets[0].getsockname()[1]
        finally:
            listening.close()
            for writer in self.server.writers:
                writer.transport.abort()
            await asyncio.sleep(0.02)


@contextlib.contextmanager
def refusing(context: ssl.SSLContext) -> Iterator[int]:
    """A server that says why a handshake failed, as servers do; asyncio's hang up without a word."""
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            accepted, _ = listening.accept()
            with accepted, contextlib.suppress(ssl.SSLError), context.wrap_socket(accepted, server_side=True) as peer:
                peer.recv(1)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield listening.getsockname()[1]
        thread.join(10)


def client_pair(authority: trustme.CA, name: str, folder: Path) -> tuple[Path, Path]:
    made = authority.issue_cert(name)
    certificate, key = folder / "client.pem", folder / "client.key"
    certificate.write_bytes(b"".join(blob.bytes() for blob in made.cert_chain_pems))
    key.write_bytes(made.private_key_pem.bytes())
    return certificate, key


def trusted(authority: trustme.CA, folder: Path) -> str:
    authority.cert_pem.write_to_path(folder / "ca.pem")
    return str(folder / "ca.pem")


async def test_a_client_certificate_and_its_rotation(opened: Open, tmp_path: Path) -> None:
    clients = trustme.CA()
    peer = Peer("127.0.0.1", clients=clients)
    certificate, key = client_pair(clients, "first.example", tmp_path)
    settings = Tls(ca_file=trusted(peer.authority, tmp_path), cert_file=str(certificate), key_file=str(key))
    async with peer.listening() as port:
        phases = []
        for number in range(4):
            if number == 2:
                client_pair(clients, "second.example", tmp_path)
            asked = opened(scheme="https", port=port, tls=settings, keep_alive=True, keep=("t", "p"))
            assert (await asked.request("GET", "/")).status == 200
            await asked.close()
            phases.append("tls" in asked.measured().phases)
    assert peer.clients == ["first.example", "second.example"]
    assert phases == [True, False, True, False]


@pytest.mark.parametrize("version", list(VERSIONS))
@pytest.mark.parametrize("given", [False, True])
async def test_no_client_certificate_or_a_wrong_one(opened: Open, tmp_path: Path, given: bool, version: str) -> None:
    """In TLS 1.3 the client is through when the server looks at its certificate: the alert may then be overtaken by the
    reset of a server that hangs up at once.
    """
    peer = Peer("127.0.0.1", clients=trustme.CA())
    peer.context.maximum_version = VERSIONS[version]
    settings = Tls(ca_file=trusted(peer.authority, tmp_path))
    if given:
        certificate, key = client_pair(trustme.CA(), "stranger.example", tmp_path)
        settings = Tls(settings.ca_file, str(certificate), str(key))
    with refusing(peer.context) as port:
        asked = opened(scheme="https", port=port, tls=settings)
        with pytest.raises(Failure) as caught:
            await asked.request("GET", "/")
    assert caught.value.row.evidence is Evidence.DEAD
    if version == "1.2" or caught.value.reason is not Reason.RESET:
        assert caught.value.reason is Reason.TLS
        assert "alert" in caught.value.detail


async def test_an_authority_of_its_own_and_its_rotation(opened: Open, tmp_path: Path) -> None:
    peer, other = Peer("127.0.0.1"), trustme.CA()
    settings = Tls(ca_file=trusted(other, tmp_path))
    async with peer.listening() as port:
        with pytest.raises(Failure) as caught:
            await opened(scheme="https", port=port, tls=settings).request("GET", "/")
        assert caught.value.reason is Reason.TLS_UNTRUSTED
        trusted(peer.authority, tmp_path)
        assert (await opened(scheme="https", port=port, tls=settings).request("GET", "/")).status == 200
        assert (await opened(scheme="https", port=port, tls=settings).request("GET", "/")).status == 200


async def test_a_server_name(opened: Open, tmp_path: Path) -> None:
    """It is what the server is called by and what its certificate has to hold; the Host header stays the url's."""
    peer = Peer("model.internal")
    settings = Tls(ca_file=trusted(peer.authority, tmp_path), server_name="model.internal")
    async with peer.listening() as port:
        assert (await opened(scheme="https", port=port, tls=settings).request("GET", "/")).status == 200
        assert peer.called == ["model.internal"]
        assert peer.server.header("Host") == f"127.0.0.1:{port}"
        without = opened(scheme="https", port=port, tls=Tls(ca_file=settings.ca_file))
        with pytest.raises(Failure) as caught:
            await without.request("GET", "/")
        assert caught.value.reason is Reason.TLS_HOSTNAME


@pytest.mark.parametrize("host", ["::1", "::1%1"])
async def test_ipv6(opened: Open, tmp_path: Path, host: str) -> None:
    """Brackets in the Host header, a certificate for the address, and a zone that stays at home."""
    plain, peer = Server(), Peer("::1")
    listening = await asyncio.start_server(plain.talk, "::1", 0)
    port = listening.sockets[0].getsockname()[1]
    asked = opened(host=host, port=port)
    assert (await asked.request("GET", "/")).status == 200
    assert plain.header("Host") == f"[::1]:{port}"
    assert asked.measured().address == host
    assert "dns" not in asked.measured().phases
    listening.close()
    for writer in plain.writers:
        writer.transport.abort()
    async with peer.listening("::1") as secure:
        settings = Tls(ca_file=trusted(peer.authority, tmp_path))
        asked = opened(scheme="https", host=host, port=secure, tls=settings)
        assert (await asked.request("GET", "/")).status == 200
        assert peer.server.header("Host") == f"[::1]:{secure}"
        assert peer.called == [None]  # an address is no server name (RFC 6066, 3)


async def test_a_socket_file(opened: Open, tmp_path: Path) -> None:
    path = str(tmp_path / "model.sock")
    peer = Server()
    listening = await asyncio.start_unix_server(peer.talk, path)
    for _ in range(2):
        asked = opened(
            scheme="unix", host=path, port=0, auth=Bearer(Secret("inline", "token")), keep_alive=True, keep=("t", "p")
        )
        assert (await asked.request("GET", "/v2/health/live")).status == 200
        await asked.close()
    assert peer.connections == 1
    assert peer.header("Host") == "localhost"
    assert peer.header("Authorization") == "Bearer token"
    listening.close()
    for writer in peer.writers:
        writer.transport.abort()
    await asyncio.sleep(0.01)


CREDENTIALS: dict[str, Any] = {
    "bearer": lambda secret: {"auth": Bearer(secret)},
    "basic": lambda secret: {"auth": Basic("user", secret)},
    "header": lambda secret: {"auth": HeaderAuth("X-Api-Key", secret)},
    "headers": lambda secret: {"headers": (("X-Api-Key", secret),)},
}


@pytest.mark.parametrize("source", ["file", "env"])
@pytest.mark.parametrize("kind", list(CREDENTIALS))
async def test_a_rotated_secret(
    opened: Open, server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, source: str
) -> None:
    """The next run uses it, on a connection that nobody authenticated with the old one."""
    path = tmp_path / "secret"

    def put(value: str) -> None:
        if source == "file":
            fresh = tmp_path / "fresh"
            fresh.write_text(value)
            fresh.replace(path)  # as a secret of Kubernetes changes
        else:
            monkeypatch.setenv("ROTATED", value)

    put("one-secret")
    secret = Secret("file", str(path)) if source == "file" else Secret("env", "ROTATED")
    for number in range(4):
        if number == 2:
            put("two-secret")
        asked = opened(**CREDENTIALS[kind](secret), keep_alive=True, keep=("t", "p"))
        assert (await asked.request("GET", "/")).status == 200
        await asked.close()
    assert server.connections == 2
    name = "X-Api-Key" if kind.startswith("header") else "Authorization"
    sent = [server.header(name, number) for number in range(4)]
    assert sent[0] == sent[1] != sent[2] == sent[3]
