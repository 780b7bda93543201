"""The door: the limit of requests, passwords, headers, and TLS with all who misuse it."""

import asyncio
import base64
import os
import ssl
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import bcrypt
import pytest
from aiohttp.test_utils import TestClient

from exporter.model.access import Rate, Rules, ServerTls
from exporter.web import connection, passwords, tls
from exporter.web.access import Access, Bucket
from tests.hostile import certificates

pytestmark = pytest.mark.slow

Client = TestClient[Any, Any]
HASH = bcrypt.hashpw(b"open sesame", bcrypt.gensalt(4)).decode()
RIGHT = {"Authorization": "Basic " + base64.b64encode(b"alice:open sesame").decode()}
WRONG = {"Authorization": "Basic " + base64.b64encode(b"alice:guess").decode()}
GET = b"GET /metrics HTTP/1.1\r\nHost: exporter\r\nConnection: close\r\n\r\n"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("certificates")
    certificates.write(made)
    return made


@pytest.fixture
def access() -> Access:
    return Access()


@pytest.fixture
async def client(open_client: Any, access: Access) -> Client:
    made: Client = await open_client(access=access)
    return made


# Requests


def test_a_bucket() -> None:
    bucket = Bucket(Rate(interval=2.0, burst=3))
    assert [bucket.take(100.0) for _ in range(5)] == [True, True, True, False, False]
    assert [bucket.take(102.0) for _ in range(2)] == [True, False]
    assert [bucket.take(1000.0) for _ in range(5)] == [True, True, True, False, False]


async def test_a_limit_of_requests(client: Client, access: Access) -> None:
    access.take(Rules(rate=Rate(3600.0, 2)))
    assert [(await client.get("/metrics")).status for _ in range(3)] == [200, 200, 429]
    refused = await client.get("/metrics")
    assert refused.headers["Retry-After"] == "1"
    assert "default-src 'none'" in refused.headers["Content-Security-Policy"]
    for path in ("/-/healthy", "/-/ready"):
        assert (await client.get(path)).status == 200, "kubelet pays for others"
    access.take(Rules(rate=Rate(3600.0, 2), users={"alice": HASH}))
    assert (await client.get("/metrics")).status == 429, "a reload gave the bucket back"
    access.take(Rules())
    assert (await client.get("/metrics")).status == 200


async def test_passwords(client: Client, access: Access) -> None:
    access.take(Rules(users={"alice": HASH}))
    for path in ("/", "/metrics", "/probe", "/config", "/api/v1/targets", "/nowhere", "/-/healthyx", "/x//-/ready"):
        answer = await client.get(path)
        assert (answer.status, answer.headers["WWW-Authenticate"]) == (401, 'Basic realm="model-exporter"'), path
        assert answer.headers["Server"] == "model-exporter"
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert (await client.get(path, headers=WRONG)).status == 401
        assert (await client.get(path, headers=RIGHT)).status in (200, 400, 404)
    for method in ("POST", "DELETE", "OPTIONS", "HEAD"):
        assert (await client.request(method, "/-/reload")).status == 401
    for path in ("/-/healthy", "/-/ready"):
        assert (await client.get(path)).status == 200
    access.take(Rules())
    assert (await client.get("/metrics")).status == 200


async def test_a_stranger_learns_nothing_before_401(dial: Any, access: Access, house: Any) -> None:
    """Neither `100 Continue` nor the reading of a body comes first."""
    access.take(Rules(users={"alice": HASH}))
    head = b"POST /-/reload HTTP/1.1\r\nHost: exporter\r\nContent-Length: 50000\r\n"
    for more in (b"Expect: 100-continue\r\n\r\n", b"\r\n"):
        heard = await (await dial()).ask(head, more)
        assert heard.startswith(b"HTTP/1.1 401 ")
        assert b"100 Continue" not in heard
        assert b"Connection: close" in heard
    assert house.reloads == 0


async def test_a_prefix_moves_what_kubelet_asks(open_client: Any) -> None:
    access = Access("/exporter")
    access.take(Rules(users={"alice": HASH}))
    client = await open_client(access=access, route_prefix="/exporter")
    assert (await client.get("/exporter/-/healthy")).status == 200
    assert (await client.get("/exporter/metrics")).status == 401
    assert (await client.get("/-/healthy")).status == 401


async def test_a_flood_of_guesses_is_bounded(client: Client, access: Access, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(passwords, "WAITING", 4)
    access.take(Rules(users={"alice": HASH}))
    assert (await client.get("/metrics", headers=RIGHT)).status == 200

    async def guess(number: int) -> int:
        said = base64.b64encode(b"alice:%d" % number).decode()
        return (await client.get("/metrics", headers={"Authorization": f"Basic {said}"})).status

    answers = await asyncio.gather(*(guess(number) for number in range(60)))
    assert set(answers) <= {401, 503}
    assert (await client.get("/metrics", headers=RIGHT)).status == 200


async def test_headers_of_ones_own(client: Client, access: Access, dial: Any) -> None:
    chosen = {"X-Frame-Options": "sameorigin", "Strict-Transport-Security": "max-age=60"}
    access.take(Rules(headers=chosen))
    for path in ("/", "/metrics", "/nowhere", "/-/healthy"):
        headers = (await client.get(path)).headers
        assert {name: headers[name] for name in chosen} == chosen
        assert headers["X-Content-Type-Options"] == "nosniff"
    assert b"max-age=60" in await (await dial()).ask(b"nonsense\r\n\r\n")


def test_without_bcrypt_nobody_is_let_in_unasked(access: Access, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "bcrypt", None)
    with pytest.raises(ImportError):
        access.take(Rules(users={"alice": HASH}))


# TLS

Secure = Callable[..., Any]


def server(folder: Path, kind: str = "good", **values: Any) -> Rules:
    return Rules(tls=ServerTls(str(folder / f"{kind}.pem"), str(folder / f"{kind}.pem"), **values))


def trust(folder: Path, shown: str = "", **limits: Any) -> ssl.SSLContext:
    made = ssl.create_default_context(cafile=folder / "ca.crt")
    if shown:
        made.load_cert_chain(folder / f"{shown}.pem")
    for name, value in limits.items():
        setattr(made, name, value)
    return made


@pytest.fixture
async def secure(client: Client) -> AsyncIterator[Secure]:
    """One request over TLS: everything that was heard, b"" where there was no answer."""
    writers: list[asyncio.StreamWriter] = []

    async def ask(context: ssl.SSLContext, said: bytes = GET) -> bytes:
        try:
            async with asyncio.timeout(20):
                reader, writer = await asyncio.open_connection(
                    client.host, client.port, ssl=context, server_hostname="localhost"
                )
                writers.append(writer)
                writer.write(said)
                return await reader.read(-1)
        except OSError:
            return b""

    yield ask
    for writer in writers:
        writer.close()
    await asyncio.gather(*(writer.wait_closed() for writer in writers), return_exceptions=True)


async def test_tls(secure: Secure, access: Access, folder: Path) -> None:
    access.take(server(folder))
    for _ in range(3):
        assert (await secure(trust(folder))).startswith(b"HTTP/1.1 200 ")
    # A request that comes in one piece with the end of the handshake, and many in one go.
    assert (await secure(trust(folder), GET.replace(b"Connection: close\r\n", b"") * 20 + GET)).count(b" 200 OK") == 21


async def test_a_long_answer_over_tls_is_whole(secure: Secure, access: Access, folder: Path, house: Any) -> None:
    access.take(server(folder))
    for number in range(3000):
        house.watch(f"{number}" * 20)
    heard = await secure(trust(folder), GET.replace(b"\r\n\r\n", b"\r\nAccept-Encoding: identity\r\n\r\n"))
    assert len(heard) > 1_000_000
    assert heard.endswith(b"\r\n0\r\n\r\n")


async def test_old_versions_are_refused(secure: Secure, access: Access, folder: Path) -> None:
    access.take(server(folder, min_version="TLS13"))
    assert await secure(trust(folder, maximum_version=ssl.TLSVersion.TLSv1_2)) == b""
    access.take(server(folder, max_version="TLS12", ciphers=("ECDHE-ECDSA-AES128-GCM-SHA256",)))
    assert b" 200 OK" in await secure(trust(folder, maximum_version=ssl.TLSVersion.TLSv1_2))
    assert await secure(trust(folder, minimum_version=ssl.TLSVersion.TLSv1_3)) == b""
    assert tls.context(server(folder).tls).minimum_version == ssl.TLSVersion.TLSv1_2  # type: ignore[arg-type]


async def test_certificates_of_clients(secure: Secure, access: Access, folder: Path) -> None:
    ca = str(folder / "ca.crt")
    access.take(server(folder, client_ca_file=ca, client_certificate="required"))
    assert await secure(trust(folder)) == b""
    assert await secure(trust(folder, "self_signed")) == b""
    assert await secure(trust(folder, "expired")) == b""
    assert b" 200 OK" in await secure(trust(folder, "wrong_host"))
    access.take(
        server(
            folder, client_ca_file=ca, client_certificate="required", client_allowed_sans=("prometheus", "localhost")
        )
    )
    assert await secure(trust(folder, "wrong_host")) == b""
    assert b" 200 OK" in await secure(trust(folder, "good"))
    access.take(server(folder, client_ca_file=ca, client_certificate="optional"))
    assert b" 200 OK" in await secure(trust(folder))
    assert b" 200 OK" in await secure(trust(folder, "good"))
    assert await secure(trust(folder, "self_signed")) == b""


async def test_rotation_reaches_the_next_handshake(
    secure: Secure, access: Access, folder: Path, client: Client
) -> None:
    access.take(server(folder))
    held = await asyncio.open_connection(client.host, client.port, ssl=trust(folder), server_hostname="localhost")
    access.take(server(folder, "self_signed"))
    assert await secure(trust(folder)) == b""
    crowd = client.server.runner.crowd  # type: ignore[union-attr]
    async with asyncio.timeout(20):
        while [type(member).__name__ for member in crowd.members] != ["Connection"]:
            await asyncio.sleep(0.01)
    held[1].write(GET)
    assert b" 200 OK" in await held[0].read(-1), "what was open before was cut off"
    held[1].close()
    access.take(server(folder))
    assert b" 200 OK" in await secure(trust(folder))
    access.take(Rules())
    assert (await client.get("/metrics")).status == 200, "TLS was switched off and plain HTTP is not spoken"


async def test_files_that_cannot_be_used_change_nothing(secure: Secure, access: Access, folder: Path) -> None:
    access.take(server(folder))
    with pytest.raises(OSError, match=r"\w"):
        access.take(
            Rules(
                tls=ServerTls(str(folder / "good.pem"), str(folder / "expired.pem")), rate=Rate(3600.0, 1),
                users={"alice": HASH}, headers={"X-Frame-Options": "SAMEORIGIN"},
            )
        )  # fmt: skip
    for _ in range(3):
        heard = await secure(trust(folder))
        assert b" 200 OK" in heard, "a rate, or a password, of rules that are not in force"
        assert b"SAMEORIGIN" not in heard


async def test_what_is_no_tls_is_closed(dial: Any, access: Access, folder: Path, client: Client) -> None:
    access.take(server(folder))
    crowd = client.server.runner.crowd  # type: ignore[union-attr]
    for said in (GET, b"\x00" * 100, b"SSH-2.0-x\r\n", b"\x16\x03\x01\xff\xff" + b"A" * 20000, os.urandom(3000)):
        assert b"HTTP" not in await (await dial()).ask(said)
    assert not crowd.members


async def test_who_does_not_shake_hands_is_given_up(
    monkeypatch: pytest.MonkeyPatch, dial: Any, access: Access, folder: Path, client: Client
) -> None:
    monkeypatch.setattr(tls, "HANDSHAKE_TIMEOUT", 0.2)
    access.take(server(folder))
    wires = [await dial() for _ in range(5)]
    await wires[0].say(b"\x16\x03\x01")
    assert [await wire.hear() for wire in wires] == [b""] * 5
    assert not client.server.runner.crowd.members  # type: ignore[union-attr]


async def test_two_hundred_silent_clients_do_not_keep_a_scraper_out(
    monkeypatch: pytest.MonkeyPatch, dial: Any, secure: Secure, access: Access, folder: Path, client: Client
) -> None:
    crowd = client.server.runner.crowd  # type: ignore[union-attr]
    monkeypatch.setattr(crowd, "limit", 20)
    monkeypatch.setattr(tls, "HANDSHAKE_TIMEOUT", 60)
    monkeypatch.setattr(connection, "PATIENCE", 0.05)
    access.take(server(folder))
    wires = [await dial() for _ in range(200)]
    await asyncio.sleep(0.2)
    assert b" 200 OK" in await secure(trust(folder))
    assert len(crowd.members) <= 20
    async with asyncio.timeout(20):
        while sum(wire.reader.at_eof() or wire.reader.exception() is not None for wire in wires) < 180:
            await asyncio.sleep(0.01)


async def test_who_does_not_read_over_tls_is_dropped(
    monkeypatch: pytest.MonkeyPatch, access: Access, folder: Path, client: Client, house: Any
) -> None:
    monkeypatch.setattr(connection, "WRITE_TIMEOUT", 0.3)
    access.take(server(folder))
    for number in range(6000):
        house.watch(f"{number}" * 60)
    _, writer = await asyncio.open_connection(
        client.host, client.port, ssl=trust(folder), server_hostname="localhost", limit=1024
    )
    writer.write(GET.replace(b"Connection: close\r\n", b"Accept-Encoding: identity\r\n") * 20)
    crowd = client.server.runner.crowd  # type: ignore[union-attr]
    async with asyncio.timeout(30):
        while not crowd.members:
            await asyncio.sleep(0.01)
        while crowd.members:
            await asyncio.sleep(0.02)
    writer.transport.abort()
    assert house.ledger.own.internal_errors["web"] == 0
