"""The client for calls that are no measurement: bounded, and without the generosity it comes with."""

import asyncio
import contextlib
import gc
import socket
import ssl
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import trustme

from exporter.model.endpoint import Basic, Bearer, Proxy, Tls
from exporter.model.failure import Failure, Reason
from exporter.model.secret import Secret
from exporter.transport import Transport
from exporter.transport.calls import Calls
from exporter.transport.resolve import Resolver
from exporter.transport.tls import Contexts
from tests.support.descriptors import descriptors
from tests.support.ports import free_port
from tests.transport.conftest import Server, answer

pytestmark = pytest.mark.slow


@pytest.fixture
async def calls() -> AsyncIterator[Calls]:
    made = Calls(user_agent="model-exporter/test", resolver=Resolver(), contexts=Contexts())
    yield made
    await made.close()


def url(server: Server, path: str = "/") -> str:
    return f"http://127.0.0.1:{server.port}{path}"


async def test_a_call(calls: Calls, server: Server) -> None:
    server.script = [answer(b"hello", "X-Odd: One", "x-odd: two")]
    called = await calls.call("POST", url(server, "/a%2Fb?c=d%20e"), headers={"Content-Type": "text/plain"}, body=b"x")
    assert (called.status, called.body, called.headers.all("x-odd")) == (200, b"hello", ["One", "two"])
    assert server.requests[0].startswith(b"POST /a%2Fb?c=d%20e HTTP/1.1\r\n")
    assert server.requests[0].endswith(b"\r\n\r\nx")
    assert server.header("User-Agent") == "model-exporter/test"
    assert server.header("Accept-Encoding") == "identity"


async def test_any_status_is_an_answer(calls: Calls, server: Server) -> None:
    for status in ("404 Not Found", "500 x", "302 Found"):
        server.script = [answer(b"body", "Location: /elsewhere", status=status)]
        assert (await calls.call("GET", url(server))).status == int(status[:3])
    assert len(server.requests) == 3


async def test_redirects_are_followed_when_told(calls: Calls, server: Server) -> None:
    server.script = [answer(b"", "Location: /there", status="302 Found"), answer(b"there")]
    assert (await calls.call("GET", url(server), follow_redirects=True)).body == b"there"
    server.script = [answer(b"", "Location: /round", status="302 Found")]
    with pytest.raises(Failure) as caught:
        await calls.call("GET", url(server), follow_redirects=True)
    assert caught.value.reason is Reason.REDIRECT


async def test_nothing_is_kept_between_calls(calls: Calls, server: Server) -> None:
    server.script = [answer(b"", "Set-Cookie: a=b; Path=/")]
    for _ in range(3):
        await calls.call("GET", url(server))
    assert server.header("Cookie") is None
    assert server.connections == 3


async def drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n")
    with contextlib.suppress(ConnectionError):
        while True:
            writer.write(b"x")
            await asyncio.sleep(0.01)


async def cut(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nx")
    writer.close()


async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.close()


FAULTS: dict[str, tuple[Any, Reason, str]] = {
    "drip": (drip, Reason.TIMEOUT, "no whole answer within 0.3 s"),
    "large": (answer(b"x" * 2001), Reason.TOO_LARGE, "the answer is longer than 2000 bytes"),
    "cut": (cut, Reason.TRUNCATED, "the answer was cut short"),
    "closed": (hang_up, Reason.DISCONNECTED, "closed before an answer"),
    "garbage": (b"SSH-2.0-OpenSSH\r\n\r\n", Reason.PROTOCOL, "not valid HTTP"),
    "encoded": (answer(b"x", "Content-Encoding: gzip"), Reason.ENCODING, "a Content-Encoding, which was not asked for"),
    "endless head": (b"HTTP/1.1 200 OK\r\n" + b"X: " + b"y" * 100_000, Reason.PROTOCOL, "not valid HTTP"),
}


@pytest.mark.parametrize("kind", list(FAULTS))
async def test_faults(calls: Calls, server: Server, kind: str) -> None:
    step, reason, detail = FAULTS[kind]
    server.script = [step]
    timeout = 0.3 if reason is Reason.TIMEOUT else 30.0
    began = time.perf_counter()
    with pytest.raises(Failure) as caught:
        await calls.call("GET", url(server, "/s3cr3t-path?key=s3cr3t"), timeout=timeout, max_body=2000)
    assert (caught.value.reason, caught.value.detail) == (reason, detail)
    assert time.perf_counter() - began < max(3.0, timeout / 2)


async def test_a_stream_is_read_as_it_comes(calls: Calls, server: Server) -> None:
    go_on = asyncio.Event()

    async def slowly(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nX-Odd: One\r\nContent-Length: 6\r\n\r\none")
        await go_on.wait()
        writer.write(b"two")

    server.script = [slowly]
    async with calls.stream(url(server, "/a?b=c"), headers={"Accept": "text/plain"}, patience=2) as flow:
        assert (flow.status, flow.headers.get("x-odd")) == (200, "One")
        pieces = flow.pieces()
        assert await anext(pieces) == b"one"
        go_on.set()
        assert [piece async for piece in pieces] == [b"two"]
    assert server.requests[0].startswith(b"GET /a?b=c HTTP/1.1\r\n")
    assert (server.header("Accept"), server.header("User-Agent")) == ("text/plain", "model-exporter/test")


async def test_leaving_a_stream_ends_its_connection(calls: Calls, server: Server) -> None:
    left = asyncio.Event()

    async def endless(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\n\r\none")
        await reader.read()
        left.set()

    server.script = [endless]
    async with calls.stream(url(server)) as flow:
        sock = flow._answer.connection.transport.get_extra_info("socket")  # type: ignore[union-attr]
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
        assert await anext(flow.pieces()) == b"one"
    async with asyncio.timeout(5):
        await left.wait()


STREAM_FAULTS: dict[str, tuple[Any, Reason, str]] = {
    "cut": (cut, Reason.TRUNCATED, "the answer was cut short"),
    "closed": (hang_up, Reason.DISCONNECTED, "closed before an answer"),
    "garbage": (b"SSH-2.0-OpenSSH\r\n\r\n", Reason.PROTOCOL, "not valid HTTP"),
    "encoded": (answer(b"x", "Content-Encoding: gzip"), Reason.ENCODING, "a Content-Encoding, which was not asked for"),
    "silent": (b"", Reason.TIMEOUT, "no answer within 0.3 s"),
}


async def whole(calls: Calls, address: str, patience: float) -> bytes:
    async with calls.stream(address, patience=patience) as flow:
        return b"".join([piece async for piece in flow.pieces()])


@pytest.mark.parametrize("kind", list(STREAM_FAULTS))
async def test_faults_of_a_stream(calls: Calls, server: Server, kind: str) -> None:
    step, reason, detail = STREAM_FAULTS[kind]
    server.script = [step]
    with pytest.raises(Failure) as caught:
        await whole(calls, url(server, "/s3cr3t?key=s3cr3t"), 0.3 if reason is Reason.TIMEOUT else 30.0)
    assert (caught.value.reason, caught.value.detail) == (reason, detail)


async def test_streams_do_not_use_up_what_calls_need(calls: Calls, server: Server) -> None:
    server.script = [b"HTTP/1.1 200 OK\r\n\r\n"] * 120 + [answer()]
    async with contextlib.AsyncExitStack() as stack:
        for _ in range(120):
            await stack.enter_async_context(calls.stream(url(server)))
        assert (await calls.call("GET", url(server), timeout=30)).status == 200


async def test_nobody_there(calls: Calls) -> None:
    with pytest.raises(Failure) as caught:
        await calls.call("GET", f"http://127.0.0.1:{free_port()}/?key=s3cr3t")
    assert (caught.value.reason, caught.value.detail) == (Reason.CONNECT_REFUSED, "ECONNREFUSED")


async def test_names_are_looked_up_by_our_resolver(server: Server) -> None:
    def look_up(host: str, port: int) -> list[str]:
        if host == "known.example":
            return ["127.0.0.1"]
        raise OSError(-2, "Name or service not known")

    calls = Calls(user_agent="x", resolver=Resolver(look_up), contexts=Contexts())
    assert (await calls.call("GET", f"http://known.example:{server.port}/")).status == 200
    assert server.header("Host") == f"known.example:{server.port}"
    with pytest.raises(Failure) as caught:
        await calls.call("GET", "http://unknown.example/")
    assert caught.value.reason is Reason.DNS
    await calls.close()


async def test_tls_as_everywhere(calls: Calls, tmp_path: Path) -> None:
    authority, clients = trustme.CA(), trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("idp.internal").configure_cert(context)
    context.verify_mode = ssl.CERT_REQUIRED
    clients.configure_trust(context)
    made = clients.issue_cert("client.example")
    (tmp_path / "client.pem").write_bytes(b"".join(blob.bytes() for blob in made.cert_chain_pems))
    made.private_key_pem.write_to_path(tmp_path / "client.key")
    asyncio.get_running_loop().set_exception_handler(lambda loop, context: None)
    server = Server()
    listening = await asyncio.start_server(server.talk, "127.0.0.1", 0, ssl=context)
    address = f"https://127.0.0.1:{listening.sockets[0].getsockname()[1]}/"
    pair = {"cert_file": str(tmp_path / "client.pem"), "key_file": str(tmp_path / "client.key")}
    trusting = Tls(ca_file=str(tmp_path / "ca.pem"), server_name="idp.internal", **pair)
    assert (await calls.call("GET", address, tls=trusting)).status == 200
    for tls, reason in (
        (Tls(server_name="idp.internal", **pair), Reason.TLS_UNTRUSTED),
        (Tls(ca_file=trusting.ca_file, **pair), Reason.TLS_HOSTNAME),
    ):
        with pytest.raises(Failure) as caught:
            await calls.call("GET", address, tls=tls)
        assert caught.value.reason is reason
    with pytest.raises(Failure) as caught:
        await calls.call("GET", address.replace("https", "http"), timeout=30)
    assert caught.value.reason in (Reason.DISCONNECTED, Reason.PROTOCOL, Reason.RESET)
    listening.close()
    for writer in server.writers:
        writer.transport.abort()
    await asyncio.sleep(0.02)


@pytest.mark.parametrize("auth", [None, Basic("u", Secret("inline", "p")), Bearer(Secret("inline", "t"))])
async def test_through_a_proxy(calls: Calls, server: Server, auth: Any) -> None:
    proxy = Proxy("127.0.0.1", server.port, auth)
    sent = {Basic: "Basic dTpw", Bearer: "Bearer t", type(None): None}[type(auth)]
    assert (await calls.call("GET", "http://idp.example/token", proxy=proxy)).status == 200
    assert server.requests[0].startswith(b"GET http://idp.example/token HTTP/1.1\r\n")
    assert server.header("Proxy-Authorization") == sent
    server.script = [answer(status="407 x")]
    for address in ("http://idp.example/token", "https://idp.example/token"):
        with pytest.raises(Failure) as caught:
            await calls.call("GET", address, proxy=proxy)
        assert caught.value.reason is Reason.AUTH
        assert caught.value.detail == f"proxy {proxy.name} refused: 407 Proxy Authentication Required"
    assert server.requests[-1].startswith(b"CONNECT idp.example:443 HTTP/1.1\r\n")
    assert server.header("Proxy-Authorization") == sent


async def test_the_environment_decides_nothing(
    calls: Calls, server: Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("HTTP_PROXY", "ALL_PROXY", "http_proxy", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    (tmp_path / ".netrc").write_text("machine 127.0.0.1 login s3cr3t password s3cr3t\n")
    monkeypatch.setenv("NETRC", str(tmp_path / ".netrc"))
    assert (await calls.call("GET", url(server))).status == 200
    assert server.header("Authorization") is None


async def test_the_transport_opens_and_closes_it(transport: Transport, server: Server) -> None:
    assert transport._calls is None
    calls = transport.calls
    assert transport.calls is calls
    assert calls._session is None  # nothing is opened before it is needed
    before = descriptors()
    await calls.call("GET", url(server))
    session = calls._session
    assert session is not None
    await transport.close()
    assert session.closed
    for writer in server.writers:
        writer.transport.abort()
    await asyncio.sleep(0.02)
    gc.collect()
    assert descriptors() <= before
