"""TLS: contexts, certificates, phases."""

import asyncio
import os
import ssl
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from pathlib import Path

import pytest
import trustme
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from exporter.model.endpoint import Endpoint, Tls
from exporter.model.failure import Failure, Reason
from exporter.transport import Transport, tls
from exporter.transport.http import HttpExchange
from exporter.transport.tls import Contexts
from tests.hostile import certificates
from tests.support.descriptors import descriptors
from tests.transport.conftest import Server

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("tls")


@pytest.fixture(scope="module")
def not_after(folder: Path) -> Mapping[str, float]:
    return certificates.write(folder)


@pytest.fixture
async def secure(folder: Path, not_after: Mapping[str, float]) -> AsyncIterator[dict[str, Server]]:
    """A server per certificate."""
    made: dict[str, Server] = {}
    listening = []
    asyncio.get_running_loop().set_exception_handler(lambda loop, context: None)
    for kind in not_after:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(folder / f"{kind}.pem")
        context.set_alpn_protocols(["h2", "http/1.1"])
        server = made[kind] = Server()
        listening.append(await asyncio.start_server(server.talk, "127.0.0.1", 0, ssl=context))
        server.port = listening[-1].sockets[0].getsockname()[1]
    yield made
    for server, each in zip(made.values(), listening, strict=True):
        each.close()
        for writer in server.writers:
            writer.transport.abort()
    await asyncio.sleep(0.02)


def exchange(
    transport: Transport, server: Server, settings: Tls, scheme: str = "https", **more: object
) -> HttpExchange:
    endpoint = Endpoint(scheme, "127.0.0.1", server.port, tls=settings, **more)  # type: ignore[arg-type]
    return transport.exchange(
        endpoint, deadline=time.perf_counter() + 10, trace_id="0" * 32, memory={}, keep=("t", "p")
    )


async def test_phases_and_certificate(
    transport: Transport, secure: dict[str, Server], folder: Path, not_after: Mapping[str, float]
) -> None:
    asked = exchange(transport, secure["good"], Tls(ca_file=str(folder / "ca.crt")))
    assert (await asked.request("GET", "/")).body == b"ok"
    measured = asked.measured()
    assert set(measured.phases) == {"connect", "tls", "first_byte", "transfer"}
    assert measured.certificate_not_after == not_after["good"]
    chosen = secure["good"].writers[0].get_extra_info("ssl_object").selected_alpn_protocol()
    assert chosen == "http/1.1"
    await asked.close()


@pytest.mark.parametrize(
    ("kind", "reason"),
    [("expired", Reason.TLS_EXPIRED), ("wrong_host", Reason.TLS_HOSTNAME), ("self_signed", Reason.TLS_UNTRUSTED)],
)
async def test_the_certificate_of_a_failed_handshake_is_read(
    transport: Transport, secure: dict[str, Server], folder: Path, not_after: Mapping[str, float],
    kind: str, reason: Reason,
) -> None:  # fmt: skip
    asked = exchange(transport, secure[kind], Tls(ca_file=str(folder / "ca.crt")))
    with pytest.raises(Failure) as caught:
        await asked.request("GET", "/")
    assert caught.value.reason is reason
    measured = asked.measured()
    assert measured.certificate_not_after == not_after[kind]
    assert "tls" not in measured.phases
    assert measured.duration is not None
    careless = exchange(transport, secure[kind], Tls(insecure_skip_verify=True))
    assert (await careless.request("GET", "/")).body == b"ok"
    assert careless.measured().certificate_not_after == not_after[kind]
    await careless.close()


async def test_server_name(transport: Transport, secure: dict[str, Server], folder: Path) -> None:
    settings = Tls(ca_file=str(folder / "ca.crt"), server_name="other.invalid")
    asked = exchange(transport, secure["wrong_host"], settings)
    assert (await asked.request("GET", "/")).status == 200
    await asked.close()


async def test_grpc_servers_are_offered_h2(transport: Transport, secure: dict[str, Server], folder: Path) -> None:
    asked = exchange(transport, secure["good"], Tls(ca_file=str(folder / "ca.crt")), "grpcs")
    await asked.connect()
    measured = asked.measured()
    assert set(measured.phases) == {"connect", "tls"}
    assert measured.certificate_not_after is not None


async def test_streams_and_big_bodies_go_through(transport: Transport, secure: dict[str, Server], folder: Path) -> None:
    body = os.urandom(3_000_000)
    secure["good"].script = [b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)]
    asked = exchange(transport, secure["good"], Tls(ca_file=str(folder / "ca.crt")))
    assert (await asked.request("POST", "/", body=body)).body == body
    async with asked.stream("GET", "/") as stream:
        assert await stream.body(10_000_000) == body
    await asked.close()


async def test_kept_connections_follow_the_files(
    transport: Transport, secure: dict[str, Server], folder: Path, tmp_path: Path
) -> None:
    authority = tmp_path / "ca.crt"
    authority.write_bytes((folder / "ca.crt").read_bytes())
    phases = []
    for number in range(4):
        if number == 2:
            authority.write_bytes((folder / "ca.crt").read_bytes() + b"\n")
        asked = exchange(transport, secure["good"], Tls(ca_file=str(authority)), keep_alive=True)
        await asked.request("GET", "/")
        await asked.close()
        phases.append("tls" in asked.measured().phases)
    assert phases == [True, False, True, False]


async def test_a_peer_that_stops_reading_holds_no_descriptor(transport: Transport, folder: Path) -> None:
    """Closing must not wait for the peer's part of the farewell."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "good.pem")
    accepted = []

    async def stuck(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        accepted.append(writer)
        writer.transport.pause_reading()
        writer.write(b"HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n")

    listening = await asyncio.start_server(stuck, "127.0.0.1", 0, ssl=context)
    server = Server(port=listening.sockets[0].getsockname()[1])
    before = descriptors()
    asked = exchange(transport, server, Tls(ca_file=str(folder / "ca.crt")))
    assert (await asked.request("POST", "/", body=b"x" * 8_000_000)).status == 413
    await asked.close()
    await asyncio.sleep(0.1)
    ours = descriptors() - before - len(accepted)
    for writer in accepted:
        writer.transport.abort()
    listening.close()
    await asyncio.sleep(0.02)
    assert ours == 0


def test_contexts_are_shared_and_follow_their_files(
    folder: Path, not_after: Mapping[str, float], tmp_path: Path
) -> None:
    contexts = Contexts()
    path = tmp_path / "ca.crt"
    path.write_bytes((folder / "ca.crt").read_bytes())
    settings = Tls(ca_file=str(path))
    first = contexts.get(settings, "http/1.1")
    assert contexts.get(Tls(ca_file=str(path)), "http/1.1") is first
    assert contexts.get(settings, "h2") is not first
    path.write_bytes((folder / "ca.crt").read_bytes() * 2)
    second = contexts.get(settings, "http/1.1")
    assert second is not first
    path.write_text("half a certif")  # in the middle of a rotation
    assert contexts.get(settings, "http/1.1") is second
    assert contexts.get(settings, "http/1.1") is second


def test_settings_reach_the_context(folder: Path, not_after: Mapping[str, float]) -> None:
    contexts = Contexts()
    strict = contexts.get(
        Tls(min_version="TLS13", cert_file=str(folder / "good.pem"), key_file=str(folder / "good.pem")), "h2"
    )
    assert strict.minimum_version is ssl.TLSVersion.TLSv1_3
    assert (strict.verify_mode, strict.check_hostname) == (ssl.CERT_REQUIRED, True)
    careless = contexts.get(Tls(insecure_skip_verify=True), "h2")
    assert (careless.verify_mode, careless.check_hostname) == (ssl.CERT_NONE, False)
    assert careless.minimum_version is ssl.TLSVersion.TLSv1_2


@pytest.mark.parametrize("field", ["ca_file", "cert_file"])
@pytest.mark.parametrize("content", [None, b"", b"no certificate"])
def test_files_that_cannot_be_used(tmp_path: Path, field: str, content: bytes | None) -> None:
    path = tmp_path / "x.pem"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(Failure) as caught:
        Contexts().get(Tls(**{field: str(path)}), "h2")  # type: ignore[arg-type]
    assert caught.value.reason is Reason.TLS
    assert str(path) in caught.value.detail


def test_an_encrypted_key_is_not_asked_for_on_the_terminal(folder: Path, tmp_path: Path) -> None:
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, PrivateFormat

    key = tmp_path / "key.pem"
    key.write_bytes(
        ec.generate_private_key(ec.SECP256R1()).private_bytes(
            Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"s3cr3t")
        )
    )
    with pytest.raises(Failure) as caught:
        Contexts().get(Tls(cert_file=str(folder / "good.pem"), key_file=str(key)), "h2")
    assert caught.value.reason is Reason.TLS


def ends(certificate: x509.Certificate) -> Iterator[tuple[bytes, float]]:
    yield certificate.public_bytes(Encoding.DER), certificate.not_valid_after_utc.timestamp()


def test_the_end_of_validity_is_read_as_cryptography_reads_it(folder: Path, not_after: Mapping[str, float]) -> None:
    made = [path.read_bytes() for path in (folder / "ca.crt", *folder.glob("*.pem"))]
    made.append(trustme.CA().cert_pem.bytes())  # ends after 2049: another type of time
    for pem in made:
        for der, end in ends(x509.load_pem_x509_certificate(pem)):
            assert tls._not_after(der) == end


@pytest.mark.parametrize("der", [b"", b"\x30", b"\x30\x82", b"\x30\x03\x30\x01\x00", b"\xff" * 50, bytes(50)])
def test_what_is_no_certificate_has_no_end(der: bytes) -> None:
    assert tls._not_after(der) is None
