"""Ways through a proxy: a real one, one that shows what it is asked for, and ones that behave badly."""

import asyncio
import contextlib
import re
import ssl
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
import trustme

from exporter.model.endpoint import Basic, Bearer, Proxy, SigV4, Tls
from exporter.model.failure import Evidence, Failure, Reason
from exporter.model.secret import Secret
from exporter.transport import Transport
from exporter.transport.resolve import Resolver
from tests.support.ports import free_port
from tests.support.tinyproxy import Tinyproxy
from tests.transport.conftest import Open, Server, Talk, answer

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def tinyproxy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    with Tinyproxy(tmp_path_factory.mktemp("tinyproxy")) as running:
        yield Proxy("127.0.0.1", running.port)


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    with Tinyproxy(tmp_path_factory.mktemp("guarded"), user="user", password="s3cr3t-proxy-7Q") as running:
        yield Proxy("127.0.0.1", running.port, Basic("user", Secret("inline", "s3cr3t-proxy-7Q")))


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> tuple[trustme.CA, Tls]:
    made = trustme.CA()
    path = tmp_path_factory.mktemp("authority") / "ca.pem"
    made.cert_pem.write_to_path(path)
    return made, Tls(ca_file=str(path))


@contextlib.asynccontextmanager
async def serving(host: str = "127.0.0.1", context: ssl.SSLContext | None = None) -> AsyncIterator[Server]:
    made = Server()
    listening = await asyncio.start_server(made.talk, host, 0, ssl=context)
    made.port = listening.sockets[0].getsockname()[1]
    yield made
    listening.close()
    for writer in made.writers:
        writer.transport.abort()
    await asyncio.sleep(0.01)


@pytest.fixture
async def secure(authority: tuple[trustme.CA, Tls]) -> AsyncIterator[Server]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority[0].issue_cert("127.0.0.1").configure_cert(context)
    async with serving(context=context) as made:
        yield made


@pytest.fixture
async def proxy() -> AsyncIterator[Server]:
    """A proxy that says what a test tells it to say, and notes what it was asked."""
    async with serving() as made:
        yield made


def there(server: Server, auth: Any = None) -> Proxy:
    return Proxy("127.0.0.1", server.port, auth)


def tunnel(port: int) -> Talk:
    """Let the client through to a port, whatever it asked for."""

    async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            while data := await reader.read(65536):
                writer.write(data)
        writer.close()

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        inner_reader, inner_writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        await asyncio.gather(pump(reader, inner_writer), pump(inner_reader, writer))

    return talk


# Through a real one


async def test_http(opened: Open, server: Server, tinyproxy: Proxy) -> None:
    asked = opened(proxy=tinyproxy)
    assert (await asked.request("POST", "/v2/x?y=1", body=b"{}")).body == b"ok"
    assert server.requests[0].startswith(b"POST /v2/x?y=1 HTTP/1.")
    assert server.header("Host") == f"127.0.0.1:{server.port}"
    assert "tinyproxy" in (server.header("Via") or "")
    measured = asked.measured()
    assert set(measured.phases) == {"connect", "first_byte", "transfer"}
    assert measured.address == "127.0.0.1"
    assert measured.duration == pytest.approx(sum(measured.phases.values()), rel=0.3, abs=0.01)


async def test_https(opened: Open, secure: Server, authority: tuple[trustme.CA, Tls], tinyproxy: Proxy) -> None:
    asked = opened(scheme="https", port=secure.port, proxy=tinyproxy, tls=authority[1])
    for _ in range(2):
        assert (await asked.request("GET", "/")).body == b"ok"
    assert secure.connections == 1
    assert secure.requests[0].startswith(b"GET / HTTP/1.1\r\nHost: ")
    measured = asked.measured()
    assert set(measured.phases) == {"connect", "tls", "first_byte", "transfer"}
    assert measured.duration == pytest.approx(sum(measured.phases.values()), rel=0.3, abs=0.01)
    assert measured.certificate_not_after is not None
    await asked.close()


async def test_streams(opened: Open, secure: Server, authority: tuple[trustme.CA, Tls], tinyproxy: Proxy) -> None:
    async def drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        for _ in range(3):
            writer.write(b"5\r\ndata\n\r\n")
            await asyncio.sleep(0.05)
        writer.write(b"0\r\n\r\n")

    secure.script = [drip]
    asked = opened(scheme="https", port=secure.port, proxy=tinyproxy, tls=authority[1])
    async with asked.stream("GET", "/") as stream:
        first = await stream.next(asked.deadline)
        assert first is not None
        rest = await stream.body()
    assert b"".join(chunk.data for chunk in first) + rest == b"data\ndata\ndata\n"


async def test_connections_for_tcp(opened: Open, server: Server, tinyproxy: Proxy) -> None:
    for scheme in ("tcp", "http"):
        asked = opened(scheme=scheme, proxy=tinyproxy)
        await asked.connect()
        assert set(asked.measured().phases) == {"connect"}
    for _ in range(400):  # the proxy says so before the target has had its turn
        if server.connections < 2:
            await asyncio.sleep(0.005)
    assert server.connections == 2
    nobody = opened(scheme="http", port=free_port(), proxy=tinyproxy)
    with pytest.raises(Failure) as caught:
        await nobody.connect()
    assert caught.value.reason is Reason.CONNECT


async def test_what_cannot_be(opened: Open, server: Server) -> None:
    with pytest.raises(Failure, match="gRPC calls cannot be signed"):
        await opened(scheme="grpc", auth=SigV4("eu-central-1")).call("/grpc.health.v1.Health/Check", b"")
    assert server.connections == 0


async def test_credentials(
    opened: Open, server: Server, secure: Server, authority: tuple[trustme.CA, Tls], guarded: Proxy
) -> None:
    plain = opened(proxy=guarded)
    assert (await plain.request("GET", "/")).status == 200
    assert plain.redact("user:s3cr3t-proxy-7Q") == "user:<hidden>"
    inside = opened(scheme="https", port=secure.port, proxy=guarded, tls=authority[1])
    assert (await inside.request("GET", "/")).status == 200
    assert inside.redact("user:s3cr3t-proxy-7Q") == "user:<hidden>"
    for each in (server, secure):
        assert each.header("Proxy-Authorization") is None


@pytest.mark.parametrize("auth", [None, Basic("user", Secret("inline", "s3cr3t-wrong")), Bearer(Secret("inline", "x"))])
async def test_refused_for_want_of_credentials(
    opened: Open, server: Server, secure: Server, authority: tuple[trustme.CA, Tls], guarded: Proxy, auth: Any
) -> None:
    closed = Proxy(guarded.host, guarded.port, auth)
    for asked in (
        opened(proxy=closed),
        opened(scheme="https", port=secure.port, proxy=closed, tls=authority[1]),
    ):
        with pytest.raises(Failure) as caught:
            await asked.request("GET", "/")
        assert caught.value.reason is Reason.AUTH
        assert caught.value.row.evidence is Evidence.REFUSED
        assert re.fullmatch(rf"proxy 127\.0\.0\.1:{guarded.port} refused: 40[17] .*", caught.value.detail)
    assert server.requests == secure.requests == []


async def test_a_target_that_is_down(opened: Open, authority: tuple[trustme.CA, Tls], tinyproxy: Proxy) -> None:
    with pytest.raises(Failure) as caught:
        await opened(port=free_port(), proxy=tinyproxy).request("GET", "/")
    assert caught.value.reason is Reason.CONNECT
    assert re.fullmatch(
        rf"proxy 127\.0\.0\.1:{tinyproxy.port} did not reach the target \(50[0-4]\)", caught.value.detail
    )
    asked = opened(scheme="https", port=free_port(), proxy=tinyproxy, tls=authority[1])
    with pytest.raises(Failure) as caught:
        await asked.request("GET", "/")
    assert caught.value.reason is Reason.CONNECT
    assert re.fullmatch(rf"proxy 127\.0\.0\.1:{tinyproxy.port} refused: 50[0-4] .*", caught.value.detail)


# What a proxy is asked for


async def test_the_request_line_names_the_whole_url(opened: Open, proxy: Server) -> None:
    await opened(proxy=there(proxy), host="model.example", port=8000).request("GET", "/a?b=c")
    await opened(proxy=there(proxy), host="model.example", port=80).request("GET", "/odd path")
    await opened(proxy=there(proxy), host="::1", port=8000).request("GET", "/")
    await opened(proxy=there(proxy), host="model.example", port=8000, addresses=("10.0.0.7",)).request("GET", "/")
    assert [request.partition(b"\r\n")[0].decode() for request in proxy.requests] == [
        "GET http://model.example:8000/a?b=c HTTP/1.1",
        "GET http://model.example/odd%20path HTTP/1.1",
        "GET http://[::1]:8000/ HTTP/1.1",
        "GET http://10.0.0.7:8000/ HTTP/1.1",
    ]
    assert proxy.header("Host", 0) == "model.example:8000"


async def test_a_tunnel_names_host_and_port(opened: Open, proxy: Server) -> None:
    proxy.script = [answer(status="503 Service Unavailable")]
    headers = (("X-Api-Key", Secret("inline", "s3cr3t-key")),)
    for host, more in (("model.example", {}), ("::1", {}), ("model.example", {"addresses": ("10.0.0.7", "10.0.0.8")})):
        asked = opened(
            proxy=there(proxy, Bearer(Secret("inline", "s3cr3t-proxy"))), scheme="https", host=host, port=443,
            auth=Bearer(Secret("inline", "s3cr3t-token")), headers=headers, **more,
        )  # fmt: skip
        with pytest.raises(Failure):
            await asked.request("GET", "/")
    assert [request.decode() for request in proxy.requests] == [
        f"CONNECT {place} HTTP/1.1\r\nHost: {place}\r\nProxy-Authorization: Bearer s3cr3t-proxy\r\n\r\n"
        for place in ("model.example:443", "[::1]:443", "10.0.0.7:443")
    ]


async def test_names_are_the_proxys_business() -> None:
    """The target's name is not looked up; the proxy's is, and that is the phase dns."""
    looked_up = []

    def look_up(host: str, port: int) -> list[str]:
        looked_up.append((host, port))
        return ["127.0.0.1"]

    transport = Transport(user_agent="x", resolver=Resolver(look_up))
    async with serving() as proxy:
        from exporter.model.endpoint import Endpoint

        endpoint = Endpoint("http", "model.example", 80, proxy=Proxy("proxy.example", proxy.port))
        exchange = transport.exchange(
            endpoint, deadline=asyncio.get_running_loop().time() + 1e6, trace_id="0" * 32, memory={}
        )
        assert (await exchange.request("GET", "/")).status == 200
        assert looked_up == [("proxy.example", proxy.port)]
        assert set(exchange.measured().phases) == {"dns", "connect", "first_byte", "transfer"}
        await exchange.close()
    await transport.close()


async def test_the_environment_decides_nothing(opened: Open, server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    assert (await opened().request("GET", "/")).status == 200


@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_a_rotated_password(
    opened: Open, proxy: Server, secure: Server, authority: tuple[trustme.CA, Tls], tmp_path: Path, scheme: str
) -> None:
    path = tmp_path / "password"
    path.write_text("one")
    proxy.script = [tunnel(secure.port) if scheme == "https" else answer()]
    for number in range(4):
        if number == 2:
            path.write_text("another")
        asked = opened(
            proxy=there(proxy, Basic("u", Secret("file", str(path)))), scheme=scheme, port=secure.port,
            tls=authority[1], keep_alive=True, keep=("t", "p"),
        )  # fmt: skip
        assert (await asked.request("GET", "/")).status == 200
        await asked.close()
    assert proxy.connections == 2
    sent = [proxy.header("Proxy-Authorization", number) for number in range(len(proxy.requests))]
    assert list(dict.fromkeys(sent)) == ["Basic dTpvbmU=", "Basic dTphbm90aGVy"]


async def test_what_stands_beside_goes_the_same_way(opened: Open, proxy: Server) -> None:
    asked = opened(proxy=there(proxy, Bearer(Secret("inline", "let-me-in"))), host="model.example")
    await asked.beside("http://model.example:8081").request("GET", "/models")
    assert proxy.requests[0].startswith(b"GET http://model.example:8081/models HTTP/1.1\r\n")
    assert proxy.header("Proxy-Authorization") == "Bearer let-me-in"


# What goes wrong


async def silence(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await asyncio.sleep(30)


async def drop(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.close()


async def established_then_closed(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
    await writer.drain()
    writer.close()


OPEN = b"HTTP/1.1 200 OK\r\n"
#: What a proxy answers to CONNECT -> reason and detail; `{}` is the proxy.
HOSTILE: dict[str, tuple[bytes | Talk, Reason, str]] = {
    "silence": (silence, Reason.CONNECT_TIMEOUT, "proxy {}: no connection to the target in time"),
    "closed": (drop, Reason.DISCONNECTED, "proxy {}: closed before an answer"),
    "garbage": (b"\x00\x01\x02\x03\r\n\r\n", Reason.PROTOCOL, "proxy {}: not valid HTTP: .*"),
    "TLS": (b"\x15\x03\x03\x00\x02\x02\x28", Reason.PROTOCOL, "proxy {}: the server speaks TLS on this port.*"),
    "endless head": (OPEN + b"X: y\r\n" * 20_000, Reason.TOO_LARGE, "proxy {}: more than 256 headers"),
    "half a head": (b"HTTP/1.1 200 O", Reason.CONNECT_TIMEOUT, "proxy {}: no connection to the target in time"),
    "interim for ever": (b"HTTP/1.1 100 Continue\r\n\r\n" * 50, Reason.PROTOCOL, "proxy {}: more than 16 interim.*"),
    "switching": (b"HTTP/1.1 101 Switching\r\n\r\n", Reason.PROTOCOL, "proxy {}: status 101 as an answer"),
    "credentials": (answer(status="407 x"), Reason.AUTH, "proxy {} refused: 407 Proxy Authentication Required"),
    "forbidden": (answer(status="403 Nope"), Reason.AUTH, "proxy {} refused: 403 Forbidden"),
    "method": (answer(status="405 x"), Reason.HTTP_STATUS, "proxy {} refused: 405 Method Not Allowed"),
    "redirect": (answer(b"", "Location: http://x/", status="302 x"), Reason.CONNECT, "proxy {} refused: 302 Found"),
    "bad gateway": (answer(b"x" * 100_000, status="502 x"), Reason.CONNECT, "proxy {} refused: 502 Bad Gateway"),
    "unavailable": (answer(status="503 x"), Reason.CONNECT, "proxy {} refused: 503 Service Unavailable"),
    "gateway timeout": (answer(status="504 x"), Reason.CONNECT, "proxy {} refused: 504 Gateway Timeout"),
    "odd status": (answer(status="599 x"), Reason.CONNECT, "proxy {} refused: 599"),
    "then closed": (established_then_closed, Reason.TLS, ".*"),
    "then plain": (OPEN + b"\r\nHTTP/1.1 200 OK\r\n\r\n", Reason.TLS, "wrong version number: .*"),
}


@pytest.mark.parametrize("kind", list(HOSTILE))
async def test_bad_proxies(opened: Open, proxy: Server, kind: str) -> None:
    step, reason, told = HOSTILE[kind]
    proxy.script = [step]
    for timeout in (0.5, 2.0, 8.0) if reason is Reason.CONNECT_TIMEOUT else (30.0,):
        asked = opened(proxy=there(proxy), scheme="https", host="model.example", port=443, timeout=timeout)
        with pytest.raises(Failure) as caught:
            await asked.request("GET", "/")
        if proxy.requests:  # a busy machine does not come to ask it in half a second
            break
    assert caught.value.reason is reason
    assert re.fullmatch(told.format(re.escape(there(proxy).name)), caught.value.detail), caught.value.detail
    measured = asked.measured()
    assert measured.duration is not None
    assert measured.http_status is None
    await asked.close()


async def test_a_length_in_the_answer_to_connect_means_nothing(
    opened: Open, proxy: Server, secure: Server, authority: tuple[trustme.CA, Tls]
) -> None:
    """RFC 9110, 9.3.6: what follows the head is the tunnel, whatever the head says of a body."""
    through = tunnel(secure.port)

    async def lengthy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        write = writer.write

        def insert(data: bytes) -> None:
            write(data.replace(b"established\r\n", b"established\r\nContent-Length: 5\r\nServer: odd\r\n"))

        writer.write = insert  # type: ignore[method-assign]
        await through(reader, writer)

    proxy.script = [lengthy]
    asked = opened(proxy=there(proxy), scheme="https", port=secure.port, tls=authority[1])
    assert (await asked.request("GET", "/")).body == b"ok"
    await asked.close()


@pytest.mark.parametrize(("scheme", "reason"), [("http", Reason.CONNECT_REFUSED), ("https", Reason.CONNECT_REFUSED)])
async def test_nobody_there(opened: Open, scheme: str, reason: Reason) -> None:
    nobody = Proxy("127.0.0.1", free_port())
    with pytest.raises(Failure) as caught:
        await opened(proxy=nobody, scheme=scheme).request("GET", "/")
    assert (caught.value.reason, caught.value.detail) == (reason, f"proxy {nobody.name}: 127.0.0.1: ECONNREFUSED")


async def test_a_proxy_whose_name_is_unknown() -> None:
    def look_up(host: str, port: int) -> list[str]:
        raise OSError(-2, "Name or service not known")

    transport = Transport(user_agent="x", resolver=Resolver(look_up))
    from exporter.model.endpoint import Endpoint

    endpoint = Endpoint("https", "10.0.0.1", 443, proxy=Proxy("proxy.example", 3128))
    exchange = transport.exchange(
        endpoint, deadline=asyncio.get_running_loop().time() + 1e6, trace_id="0" * 32, memory={}
    )
    with pytest.raises(Failure, match=r"proxy proxy\.example:3128: ") as caught:
        await exchange.request("GET", "/")
    assert caught.value.reason is Reason.DNS
    await transport.close()


async def test_407_where_requests_are_passed_on(opened: Open, proxy: Server) -> None:
    proxy.script = [answer(b"who are you?", status="407 x")]
    for streaming in (False, True):
        asked = opened(proxy=there(proxy), host="model.example")
        with pytest.raises(Failure) as caught:
            await (asked.stream("GET", "/").__aenter__() if streaming else asked.request("GET", "/"))
        assert caught.value.reason is Reason.AUTH
        assert caught.value.detail == f"proxy {there(proxy).name} refused: 407 Proxy Authentication Required"
        measured = asked.measured()
        assert measured.http_status == 407
        assert measured.duration == pytest.approx(sum(measured.phases.values()), rel=0.5, abs=0.01)


@pytest.mark.parametrize(
    "header", ["X-Squid-Error: ERR_CONNECT_FAIL 111", "Proxy-Status: gate; error=connection_refused"]
)
async def test_a_proxy_that_says_it_did_not_reach_the_target(opened: Open, proxy: Server, header: str) -> None:
    proxy.script = [answer(b"<html>", header, status="503 x")]
    with pytest.raises(Failure) as caught:
        await opened(proxy=there(proxy), host="model.example").request("GET", "/")
    assert caught.value.reason is Reason.CONNECT
    assert caught.value.detail == f"proxy {there(proxy).name} did not reach the target (503)"


async def test_what_may_be_the_targets_own_is_the_targets(opened: Open, proxy: Server) -> None:
    for head in (
        answer(b"overloaded", status="503 x"),
        answer(b"", "Proxy-Status: gate; hit", status="500 x"),
        answer(b"", "Server: tinyproxy/1.11.1", "Via: 1.1 gate (tinyproxy/1.11.1)", status="500 x"),
        answer(b"", "X-Squid-Error: none", status="200 x"),
    ):
        proxy.script = [head]
        status = int(head.split(b" ")[1])
        assert (await opened(proxy=there(proxy), host="model.example").request("GET", "/")).status == status


async def test_a_407_of_a_target_in_a_tunnel_is_its_own(
    opened: Open, proxy: Server, secure: Server, authority: tuple[trustme.CA, Tls]
) -> None:
    proxy.script = [tunnel(secure.port)]
    secure.script = [answer(status="407 x")]
    asked = opened(proxy=there(proxy), scheme="https", port=secure.port, tls=authority[1])
    assert (await asked.request("GET", "/")).status == 407
    await asked.close()
