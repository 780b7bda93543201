"""TLS and proxies: the connection is ours, as for https."""

import time

import pytest

from exporter.model.endpoint import Proxy, Tls
from exporter.model.failure import Reason
from tests.support.tinyproxy import Tinyproxy
from tests.transport.grpc.service import ECHO, failure_of, secure

pytestmark = pytest.mark.slow


async def test_through_a_proxy(opened, fake, tmp_path, folder):
    """The connection is ours: the tunnel is the same as for https."""
    with Tinyproxy(tmp_path) as running, secure(folder) as secured:
        proxy = Proxy("127.0.0.1", running.port)
        exchange = opened(scheme="grpc", port=fake.port, proxy=proxy)
        assert (await exchange.call(ECHO, b"x")).body == b"x"
        assert set(exchange.measured().phases) == {"connect", "first_byte", "transfer"}
        tls = Tls(ca_file=str(folder / "ca.crt"))
        assert (await opened(scheme="grpcs", port=secured.port, proxy=proxy, tls=tls).call(ECHO, b"y")).body == b"y"
        assert (await opened(scheme="http", port=fake.port, proxy=proxy).call(ECHO, b"z")).body == b"z"


async def test_tls_and_its_phase(opened, folder):
    with secure(folder) as fake:
        exchange = opened(scheme="grpcs", port=fake.port, tls=Tls(ca_file=str(folder / "ca.crt")))
        assert (await exchange.call(ECHO, b"x")).body == b"x"
        measured = exchange.measured()
        assert set(measured.phases) == {"connect", "tls", "first_byte", "transfer"}
        assert measured.certificate_not_after > time.time()


@pytest.mark.parametrize("scheme", ["https", "grpcs"])
async def test_https_urls_speak_grpc_too(opened, folder, scheme):
    with secure(folder) as fake:
        exchange = opened(scheme=scheme, host="localhost", port=fake.port, tls=Tls(ca_file=str(folder / "ca.crt")))
        assert (await exchange.call(ECHO, b"x")).body == b"x"


@pytest.mark.parametrize(
    ("kind", "reason"),
    [("expired", Reason.TLS_EXPIRED), ("wrong_host", Reason.TLS_HOSTNAME), ("self_signed", Reason.TLS_UNTRUSTED)],
)
async def test_certificates_that_are_not_good(opened, folder, kind, reason):
    with secure(folder, kind) as fake:
        exchange = opened(scheme="grpcs", port=fake.port, tls=Tls(ca_file=str(folder / "ca.crt")))
        assert (await failure_of(exchange.call(ECHO, b"x"))).reason is reason
        assert exchange.measured().certificate_not_after
        unverified = opened(scheme="grpcs", port=fake.port, tls=Tls(insecure_skip_verify=True))
        assert (await unverified.call(ECHO, b"x")).body == b"x"


async def test_server_name(opened, folder):
    with secure(folder, "wrong_host") as fake:
        tls = Tls(ca_file=str(folder / "ca.crt"), server_name="other.invalid")
        assert (await opened(scheme="grpcs", port=fake.port, tls=tls).call(ECHO, b"x")).code == 0


async def test_mutual_tls(opened, folder):
    ca = (folder / "ca.crt").read_bytes()
    with secure(folder, client_ca=ca) as fake:
        tls = Tls(ca_file=str(folder / "ca.crt"), cert_file=str(folder / "good.pem"), key_file=str(folder / "good.pem"))
        assert (await opened(scheme="grpcs", port=fake.port, tls=tls).call(ECHO, b"x")).code == 0
        without = opened(scheme="grpcs", port=fake.port, tls=Tls(ca_file=str(folder / "ca.crt")))
        # With TLS 1.3 the client learns of it only when it reads.
        assert (await failure_of(without.call(ECHO, b"x"))).reason in (Reason.TLS, Reason.RESET, Reason.DISCONNECTED)


async def test_plain_on_tls_and_tls_on_plain(opened, folder, fake):
    with secure(folder) as secured:
        failure = await failure_of(opened(scheme="grpc", port=secured.port).call(ECHO, b"x"))
        # Some answer with an alert, some hang up.
        assert failure.reason in (Reason.PROTOCOL, Reason.DISCONNECTED, Reason.RESET)
    assert (await failure_of(opened(scheme="grpcs", port=fake.port).call(ECHO, b"x"))).reason is Reason.TLS
