"""gRPC: calls against a real server, and against peers that say one frame at a time."""

import asyncio
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import suppress
from typing import Any

import pytest

from exporter.contracts import Reply
from exporter.model.endpoint import Basic, Bearer, Endpoint, HeaderAuth, OAuth2, Proxy, Tls
from exporter.model.failure import Failure, Reason
from exporter.model.secret import Secret
from exporter.transport import Transport, frames, thread
from exporter.transport.http import HttpExchange
from exporter.transport.rendezvous import meet, rendezvous
from tests.hostile import certificates
from tests.support.descriptors import descriptors
from tests.support.grpc_fake import Call, GrpcFake, grpc
from tests.support.tinyproxy import Tinyproxy
from tests.support.token_server import TokenServer

pytestmark = pytest.mark.slow

ECHO, SLEEP, SAY = "/test.Test/Echo", "/test.Test/Sleep", "/test.Test/Say"
Open = Callable[..., HttpExchange]


def echo(call: Call) -> bytes:
    return call.message


def sleep(call: Call) -> bytes:
    time.sleep(float(call.message))
    return b"late"


def say(call: Call) -> bytes:
    """A status by its name, and a text."""
    return call.refuse(*call.message.decode().split(" ", 1))


METHODS = {ECHO: echo, SLEEP: sleep, SAY: say}


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


async def failure_of(call: Awaitable[Any]) -> Failure:
    with pytest.raises(Failure) as caught:
        await call
    return caught.value


# What a server says.


async def test_an_answer_and_what_it_took(opened, fake):
    exchange = opened(scheme="grpc", port=fake.port)
    before = time.perf_counter()
    reply = await exchange.call(ECHO, b"hello")
    assert (reply.code, reply.message, reply.body) == (0, "", b"hello")
    measured = exchange.measured()
    assert before < reply.ended < time.perf_counter()
    assert set(measured.phases) == {"connect", "first_byte", "transfer"}
    assert all(seconds >= 0 for seconds in measured.phases.values())
    # What is ours to do between connecting and asking is in no duration.
    booked = sum(measured.phases.values())
    assert booked * 0.999 <= measured.duration <= booked * 1.5
    assert measured.duration < reply.ended - before
    assert (measured.address, measured.http_status) == ("127.0.0.1", None)
    assert measured.response_bytes == len(b"hello") + 5


async def test_time_of_the_server_is_first_byte(opened, fake):
    exchange = opened(scheme="grpc", port=fake.port)
    began = time.perf_counter()
    await exchange.call(SLEEP, b"0.3")
    whole = time.perf_counter() - began
    phases = exchange.measured().phases
    assert 0.3 <= phases["first_byte"] <= whole
    assert phases["first_byte"] > 10 * phases["transfer"]


@pytest.mark.parametrize("code", [code for code in grpc.StatusCode if code is not grpc.StatusCode.OK], ids=str)
async def test_every_status_of_a_server_is_returned(ask, code):
    reply = await ask(SAY, f"{code.name} because of {code.name}".encode())
    assert (reply.code, reply.message, reply.body) == (code.value[0], f"because of {code.name}", b"")


async def test_a_method_it_does_not_have(ask):
    assert (await ask("/test.Test/Nothing")).code == grpc.StatusCode.UNIMPLEMENTED.value[0]


async def test_calls_of_one_exchange_share_a_connection(opened, fake):
    exchange = opened(scheme="grpc", port=fake.port)
    first = await exchange.call(ECHO, b"1")
    connected = exchange.measured().phases["connect"]
    second = await exchange.call(SAY, b"NOT_FOUND no")
    third = await exchange.call(ECHO, b"3" * 100_000)
    assert (first.body, second.code, third.body) == (b"1", 5, b"3" * 100_000)
    assert len({call.context.peer() for call in fake.calls}) == 1
    assert exchange.measured().phases["connect"] == connected
    assert exchange.measured().response_bytes == 6 + 100_005


async def test_what_goes_with_a_call(ask, fake, monkeypatch):
    monkeypatch.setenv("GRPC_TEST_TOKEN", "s3cret-token")
    await ask(
        host="localhost",
        auth=Bearer(Secret("env", "GRPC_TEST_TOKEN")),
        headers=(("X-Tenant", Secret("inline", "blue")), ("Connection", Secret("inline", "close"))),
    )
    sent = fake.calls[-1].metadata
    assert sent["authorization"] == "Bearer s3cret-token"
    assert sent["x-tenant"] == "blue"
    assert sent["user-agent"].startswith("model-exporter/test grpc-python-asyncio/")
    assert sent["traceparent"].startswith("00-0af7651916cd43dd8448eb211c80319c-")
    assert not {"host", "connection", "accept-encoding"} & set(sent)
    assert fake.calls[-1].context.time_remaining() <= 5.0


@pytest.mark.parametrize(
    ("auth", "header", "value"),
    [
        (Basic("u", Secret("inline", "password")), "authorization", "Basic dTpwYXNzd29yZA=="),
        (HeaderAuth("X-API-Key", Secret("inline", "0123456789")), "x-api-key", "0123456789"),
    ],
)
async def test_credentials_and_their_echo(opened, fake, auth, header, value):
    fake.methods[SAY] = lambda call: call.refuse("UNAUTHENTICATED", f"bad: {call.metadata[header]}")
    exchange = opened(scheme="grpc", port=fake.port, auth=auth)
    reply = await exchange.call(SAY, b"")
    assert reply.message == f"bad: {value}"
    assert value.rpartition(" ")[2] not in exchange.redact(reply.message)


async def test_a_token_is_obtained_and_renewed(opened, fake):
    """UNAUTHENTICATED is what 401 is to HTTP: the token may have been too old, and another one is asked for, once."""
    tokens = TokenServer()
    await tokens.start()
    try:

        def guarded(call: Call) -> bytes:
            good = call.metadata["authorization"].removeprefix("Bearer ") in tokens.good
            return b"in" if good else call.refuse("UNAUTHENTICATED", "who are you?")

        fake.methods[SAY] = guarded
        auth = OAuth2(tokens.url, Secret("inline", "client"), Secret("inline", "secret"))
        assert (await opened(scheme="grpc", port=fake.port, auth=auth).call(SAY, b"")).body == b"in"
        tokens.good.clear()
        exchange = opened(scheme="grpc", port=fake.port, auth=auth)
        assert (await exchange.call(SAY, b"")).body == b"in"
        assert [call.metadata["authorization"] for call in fake.calls] == [f"Bearer token-{n}" for n in (1, 1, 2)]
        assert "token-2" not in exchange.redact("token-2 is yours")
    finally:
        await tokens.stop()


async def test_a_header_that_grpc_cannot_carry(ask):
    failure = await failure_of(ask(headers=(("X-Name", Secret("inline", "gr\u00fcn-secret")),)))
    assert failure.reason is Reason.AUTH
    assert "x-name" in failure.detail
    assert "secret" not in failure.detail


async def test_the_authority_is_the_hosts_name(opened, peer):
    """The name that was configured goes out, whatever address is connected to."""
    exchange = opened(scheme="grpc", host="models.example", port=peer.port, addresses=("127.0.0.1",))
    await failure_of(exchange.call(ECHO, b""))
    assert f"models.example:{peer.port}".encode() in peer.heard
    assert b"gzip" not in peer.heard


async def test_only_pinned_addresses_are_connected_to(opened, fake):
    exchange = opened(scheme="grpc", host="nobody.invalid", port=fake.port, addresses=("127.0.0.1",))
    assert (await exchange.call(ECHO, b"x")).code == 0
    other = opened(scheme="grpc", host="127.0.0.1", port=fake.port, addresses=("127.0.0.2",))
    # The server listens on 127.0.0.1 alone.
    assert (await failure_of(other.call(ECHO, b"x"))).reason is Reason.CONNECT_REFUSED
    assert other.measured().address == "127.0.0.2"


async def test_a_proxy_of_the_environment_is_not_used(ask, monkeypatch):
    for name in ("http_proxy", "https_proxy", "grpc_proxy", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    assert (await ask()).code == 0


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


# Limits.


async def test_too_large_an_answer_is_left(opened, fake):
    exchange = opened(scheme="grpc", port=fake.port, max_body=100_000)
    failure = await failure_of(exchange.call(ECHO, b"x" * 1_000_000))
    assert failure.reason is Reason.TOO_LARGE
    assert exchange.measured().response_bytes < 500_000
    assert (await opened(scheme="grpc", port=fake.port, max_body=100_000).call(ECHO, b"x" * 100_000)).code == 0


@pytest.mark.parametrize("compression", [grpc.Compression.Gzip, grpc.Compression.Deflate], ids=str)
async def test_compressed_answers_are_unfolded_under_the_bound(opened, compression):
    """Servers that are set to compress do so whatever they are told is understood."""
    with GrpcFake(METHODS, compression=compression) as fake:
        exchange = opened(scheme="grpc", port=fake.port, max_body=200_000)
        assert (await exchange.call(ECHO, b"x" * 100_000)).body == b"x" * 100_000
        assert exchange.measured().response_bytes < 10_000
        failure = await failure_of(exchange.call(ECHO, b"x" * 300_000))
        assert failure.reason is Reason.TOO_LARGE


async def test_the_deadline_ends_it(opened, fake):
    exchange = opened(scheme="grpc", port=fake.port, timeout=0.3)
    began = time.perf_counter()
    failure = await failure_of(exchange.call(SLEEP, b"3"))
    taken = time.perf_counter() - began
    assert failure.reason is Reason.TIMEOUT
    assert 0.3 * 0.9 < taken < 3 * 0.5
    assert exchange.measured().duration <= taken


async def test_a_call_may_have_less_time_than_the_attempt(opened, fake):
    exchange = opened(scheme="grpc", port=fake.port, timeout=10)
    began = time.perf_counter()
    failure = await failure_of(exchange.call(SLEEP, b"3", timeout=0.2))
    assert failure.reason is Reason.TIMEOUT
    assert time.perf_counter() - began < 1.5
    assert (await exchange.call(ECHO, b"on")).body == b"on"


async def test_no_time_is_left(opened, fake):
    failure = await failure_of(opened(scheme="grpc", port=fake.port, timeout=-1).call(ECHO, b""))
    assert (failure.reason, fake.calls) == (Reason.TIMEOUT, [])


async def test_a_grpcio_that_is_not_ready_is_no_news_of_the_server(opened, fake, monkeypatch):
    async def slow() -> Any:
        await asyncio.sleep(5)

    monkeypatch.setattr("exporter.transport.grpc._library", slow)
    failure = await failure_of(opened(scheme="grpc", port=fake.port, timeout=0.1).call(ECHO, b""))
    assert failure.reason is Reason.INCONCLUSIVE


async def test_cancelling_passes_through(opened, fake):
    task = asyncio.ensure_future(opened(scheme="grpc", port=fake.port).call(SLEEP, b"3"))
    while not fake.calls:
        await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_what_peers_say_is_not_written_to_the_log(talk, caplog):
    """grpcio would: it has a line for metadata that is no text."""
    reply = await talk(HEADERS, MESSAGE, trailers((b"grpc-status", b"0"), (b"x-echo", b"\xff s3cret")))
    assert reply.body == b"ok"
    assert not caplog.records


# Connections that are kept.


async def test_a_kept_connection_serves_the_next_run(opened, fake, transport):
    for number in range(3):
        exchange = opened(scheme="grpc", port=fake.port, keep_alive=True, keep=("t", "p"))
        assert (await exchange.call(ECHO, b"%d" % number)).body == b"%d" % number
        assert ("connect" in exchange.measured().phases) is (number == 0)
        assert exchange.measured().address == "127.0.0.1"
        await exchange.close()
    assert len({call.context.peer() for call in fake.calls}) == 1
    transport.forget(("t", "p"))
    assert (await opened(scheme="grpc", port=fake.port, keep_alive=True, keep=("t", "p")).call(ECHO, b"n")).code == 0
    assert len({call.context.peer() for call in fake.calls}) == 2


async def test_a_kept_connection_that_died_is_replaced(opened, fake):
    async def run(port: int) -> Reply:
        exchange = opened(scheme="grpc", port=port, keep_alive=True, keep=("t", "p"))
        try:
            return await exchange.call(ECHO, b"x")
        finally:
            await exchange.close()

    assert (await run(fake.port)).code == 0
    fake.stop()
    await asyncio.sleep(0.05)
    assert (await failure_of(run(fake.port))).reason is Reason.CONNECT_REFUSED


async def test_a_call_that_failed_is_not_kept(opened, fake):
    for number in range(2):
        exchange = opened(scheme="grpc", port=fake.port, keep_alive=True, keep=("t", "p"), timeout=0.3)
        await failure_of(exchange.call(SLEEP, b"1"))
        await exchange.close()
        assert "connect" in exchange.measured().phases, number


# TLS.


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tls")
    certificates.write(folder)
    return folder


def secure(folder, kind="good", client_ca=None):
    pem = (folder / f"{kind}.pem").read_bytes()
    key, _, rest = pem.partition(b"-----END PRIVATE KEY-----\n")
    key += b"-----END PRIVATE KEY-----\n"
    return GrpcFake(METHODS, credentials=grpc.ssl_server_credentials(
        [(key, rest)], client_ca, require_client_auth=client_ca is not None))  # fmt: skip


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


# Peers that are no gRPC servers, or bad ones.


def frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    return len(payload).to_bytes(3, "big") + bytes([kind, flags]) + stream.to_bytes(4, "big") + payload


def fields(*pairs: tuple[bytes, bytes], status: int = 200) -> bytes:
    """A header block without compression."""
    block = b"\x88" if status == 200 else b"\x08\x03%d" % status
    for name, value in pairs:
        block += b"\x00" + bytes([len(name)]) + name + bytes([len(value)]) + value
    return block


END_STREAM, END_HEADERS = frames.END_STREAM, frames.END_HEADERS
GREETING = frame(frames.SETTINGS, 0, 0)
GRPC = (b"content-type", b"application/grpc")
HEADERS = frame(frames.HEADERS, END_HEADERS, 1, fields(GRPC))
MESSAGE = frame(frames.DATA, 0, 1, b"\0\0\0\0\2ok")


def trailers(*pairs: tuple[bytes, bytes]) -> bytes:
    block = b"".join(b"\x00" + bytes([len(name)]) + name + bytes([len(value)]) + value for name, value in pairs)
    return frame(frames.HEADERS, END_HEADERS | END_STREAM, 1, block)


class Peer:
    """Greets, waits for a call, says its `script`: bytes, seconds to wait, or None to reset the connection."""

    def __init__(self) -> None:
        self.port = 0
        self.greeting: bytes = GREETING
        self.script: list[bytes | float | None] = []
        self.heard = b""
        self.over = asyncio.Event()
        self.going: set[asyncio.StreamWriter] = set()

    async def talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.going.add(writer)
        with suppress(ConnectionError, RuntimeError):  # uvloop has the latter for what is closed
            await self.converse(reader, writer)
        writer.close()
        self.going.discard(writer)

    async def converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(self.greeting)
        seen = frames.Frames(frames.PREFACE)
        called = not self.greeting
        while not called and (data := await reader.read(65536)):
            self.heard += data
            called = any(frame.kind == frames.HEADERS for frame in list(seen.feed(data)) if frame.whole)
        for step in self.script:
            if step is None:
                writer.transport.get_extra_info("socket").setsockopt(
                    socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0"
                )
                writer.transport.abort()
            elif isinstance(step, bytes):
                writer.write(step)
                await writer.drain()
            else:
                with suppress(TimeoutError):
                    await asyncio.wait_for(self.over.wait(), step)


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
    async def call(*script: bytes | float | None, greeting: bytes = GREETING, timeout: float = 5.0, **more: Any) -> Any:
        peer.greeting, peer.script = greeting, list(script)
        try:
            return await opened(scheme="grpc", port=peer.port, timeout=timeout, **more).call(ECHO, b"hello")
        except Failure as failure:
            return failure

    return call


async def test_frame_by_frame(talk):
    reply = await talk(HEADERS, MESSAGE, trailers((b"grpc-status", b"0")))
    assert (reply.code, reply.body) == (0, b"ok")


async def test_a_block_of_headers_in_two_frames(talk):
    block = fields(GRPC)
    begun, ended = frame(frames.HEADERS, 0, 1, block[:3]), frame(frames.CONTINUATION, END_HEADERS, 1, block[3:])
    reply = await talk(begun, 0.02, ended, MESSAGE, trailers((b"grpc-status", b"0")))
    assert reply.body == b"ok"


async def test_only_trailers(talk):
    reply = await talk(trailers_only := frame(frames.HEADERS, END_HEADERS | END_STREAM, 1, fields(
        GRPC, (b"grpc-status", b"14"), (b"grpc-message", b"no%20worker"))), greeting=GREETING)  # fmt: skip
    assert trailers_only
    assert (reply.code, reply.message) == (14, "no worker")


async def test_what_the_library_concludes_is_not_what_the_server_said(talk):
    """The same UNAVAILABLE, once from the server and once because the connection broke."""
    said = await talk(HEADERS, trailers((b"grpc-status", b"14"), (b"grpc-message", b"Socket closed")))
    assert isinstance(said, Reply)
    assert said.code == 14
    broke = await talk(HEADERS)
    assert isinstance(broke, Failure)
    assert broke.reason is Reason.DISCONNECTED


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        ([], Reason.DISCONNECTED),
        ([None], Reason.RESET),
        ([HEADERS, None], Reason.RESET),
        ([HEADERS, MESSAGE[:5]], Reason.DISCONNECTED),
        ([frame(frames.GOAWAY, 0, 0, bytes(8)), 0.5], Reason.DISCONNECTED),
        ([HEADERS, frame(frames.DATA, END_STREAM | 8, 1, b"\xff"), 0.5], Reason.PROTOCOL),  # padded beyond its end
        ([HEADERS, frame(frames.DATA, END_STREAM, 1, b"\0\0\0\0\2ok"), 0.5], Reason.PROTOCOL),
        ([frame(frames.HEADERS, END_HEADERS, 1, b"\xff\xff\xff\xff\xff\xff\xff\xff"), 0.5], Reason.PROTOCOL),
        ([frame(frames.SETTINGS, 0, 0, b"odd"), 0.5], Reason.PROTOCOL),
    ],
    ids=[
        "close",
        "reset",
        "reset-in-answer",
        "close-in-message",
        "goaway",
        "padding",
        "no-trailers",
        "bad-block",
        "bad-settings",
    ],
)
async def test_broken_conversations(talk, script, reason):
    began = time.perf_counter()
    failure = await talk(*script, timeout=4.0)
    assert isinstance(failure, Failure), failure
    assert failure.reason is reason, failure
    assert failure.detail
    assert time.perf_counter() - began < 2.0


@pytest.mark.parametrize("code", [0, 1, 2, 7, 8, 11])
async def test_a_stream_that_is_reset_is_what_the_server_said(talk, code):
    reply = await talk(HEADERS, frame(frames.RST_STREAM, 0, 1, code.to_bytes(4, "big")), 0.2)
    assert isinstance(reply, Reply)
    assert reply.code != 0


@pytest.mark.parametrize(
    "greeting",
    [
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
        b"220 mail.example ESMTP\r\n",
        b"\x16\x03\x01\0\5hello",
        frame(1, 4, 1, b"\x88"),
    ],
    ids=["http1", "smtp", "tls", "no-settings"],
)
async def test_peers_of_another_kind(talk, greeting):
    failure = await talk(0.5, greeting=greeting)
    assert failure.reason is Reason.PROTOCOL


@pytest.mark.parametrize(
    ("greeting", "script", "word"),
    [
        (b"", [3.0], "HTTP/2"),
        (GREETING, [3.0], "no answer"),
        (GREETING, [HEADERS, MESSAGE[:9], 3.0], "did not end"),
    ],
    ids=["no-greeting", "no-answer", "no-end"],
)
async def test_silence_lasts_as_long_as_the_deadline(talk, greeting, script, word):
    began = time.perf_counter()
    failure = await talk(*script, greeting=greeting, timeout=0.4)
    assert failure.reason is Reason.TIMEOUT
    assert word in failure.detail
    assert time.perf_counter() - began < 2.0


async def test_a_drip_lasts_as_long_as_the_deadline(talk):
    script: list[bytes | float] = [HEADERS, frame(frames.DATA, 0, 1, bytes(50))[:9]]
    for _ in range(40):
        script += [b"\0", 0.05]
    began = time.perf_counter()
    assert (await talk(*script, timeout=0.4)).reason is Reason.TIMEOUT
    assert time.perf_counter() - began < 1.8


async def test_floods_of_small_frames_are_bounded(talk):
    ping = frame(6, 0, 0, bytes(8))
    failure = await talk(*[ping * 1000] * 100, 1.0)
    assert failure.reason in (Reason.TOO_LARGE, Reason.RESET, Reason.DISCONNECTED, Reason.PROTOCOL)


async def test_a_message_without_end_is_left_at_the_bound(talk):
    part = frame(frames.DATA, 0, 1, bytes(16384))
    failure = await talk(HEADERS, *[part] * 4, 1.0, max_body=50_000)
    assert failure.reason is Reason.TOO_LARGE


async def test_http_errors_of_a_gateway(talk):
    reply = await talk(frame(frames.HEADERS, END_HEADERS | END_STREAM, 1, fields((b"server", b"x"), status=503)))
    assert isinstance(reply, Reply)
    assert reply.code == 14
    assert reply.message.endswith("503")


@pytest.mark.parametrize(
    ("script", "outcome"),
    [
        ([frame(frames.HEADERS, END_HEADERS | END_STREAM, 1, b"\xff" * 8)], 13),
        ([HEADERS, MESSAGE, trailers()], 2),
        ([HEADERS, MESSAGE, trailers((b"grpc-status", b"none"))], 13),
        ([HEADERS, trailers((b"grpc-status", b"0"))], Reason.PROTOCOL),
        # grpcio never comes to an end with these.
        ([HEADERS, MESSAGE, MESSAGE, trailers((b"grpc-status", b"0"))], Reason.TIMEOUT),
        ([frame(frames.HEADERS, END_HEADERS, 1, fields((b"content-type", b"text/html"))),
          frame(frames.DATA, END_STREAM, 1, b"<html>")], Reason.PROTOCOL),
        ([HEADERS, MESSAGE, trailers(*[(b"x-%d" % n, b"v" * 120) for n in range(110)], (b"grpc-status", b"0"))], 0),
        ([HEADERS, MESSAGE, trailers(*[(b"x-%d" % n, b"v" * 120) for n in range(200)], (b"grpc-status", b"0"))],
         Reason.PROTOCOL),
    ],
    ids=["bad-block", "no-status", "odd-status", "no-message", "two-messages", "html", "large-trailers",
         "huge-trailers"],
)  # fmt: skip
async def test_ends_of_other_kinds(talk, script, outcome):
    found = await talk(*script, 0.5, timeout=2.0)
    assert (found.code if isinstance(found, Reply) else found.reason) == outcome, found


# What stays.


async def test_nothing_stays_open(opened, fake, transport):
    await opened(scheme="grpc", port=fake.port).call(ECHO, b"first")
    await asyncio.sleep(0.1)
    before, tasks = descriptors(), len(asyncio.all_tasks())
    for _ in range(5):
        exchanges = [opened(scheme="grpc", port=fake.port, timeout=0.2 if n % 2 else 5) for n in range(20)]
        await asyncio.gather(
            *(each.call(SLEEP if n % 2 else ECHO, b"0.4") for n, each in enumerate(exchanges)), return_exceptions=True
        )
        for exchange in exchanges:
            await exchange.close()
    for _ in range(50):
        await asyncio.sleep(0.1)
        if descriptors() <= before + 2 and len(asyncio.all_tasks()) <= tasks:
            break
    assert descriptors() <= before + 2
    assert len(asyncio.all_tasks()) <= tasks


async def test_a_stranger_at_the_rendezvous_is_turned_away():
    class End(asyncio.Protocol):
        met = False

        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            self.met = True
            transport.close()

    end = End()
    with rendezvous() as (listener, address):
        assert address.startswith("unix-abstract:")
        meeting = asyncio.ensure_future(meet(listener, end))
        name = address.removeprefix("unix-abstract:")
        code = f"import socket; s = socket.socket(socket.AF_UNIX); s.connect('\\0{name}'); print(s.recv(1))"
        stranger = await asyncio.to_thread(
            subprocess.run, [sys.executable, "-c", code], capture_output=True, text=True, check=True
        )
        assert stranger.stdout == "b''\n"
        assert not end.met
        with socket.socket(socket.AF_UNIX) as ours:
            ours.connect(f"\0{name}")
            await meeting
            assert end.met


#: A process of its own that asks the port it is given.
PROGRAM = """
import asyncio, sys, time
from exporter.model.endpoint import Endpoint
from exporter.transport import Transport

async def main():
    transport = Transport(user_agent="x")
    endpoint = Endpoint(sys.argv[1], "127.0.0.1", int(sys.argv[2]), keep_alive=True)
    for _ in range(3):
        exchange = transport.exchange(
            endpoint, deadline=time.perf_counter() + 5, trace_id="0" * 32, memory={}, keep=("a", "b")
        )
        try:
            if sys.argv[1] == "grpc":
                print((await exchange.call("/test.Test/Echo", b"x")).code)
            else:
                await exchange.request("GET", "/")
        except Exception as error:
            print(error)
        await exchange.close()
    await transport.close()
    print("grpc" in sys.modules)

asyncio.run(main())
"""


def program(scheme: str, port: int) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-W", "error", "-X", "dev", "-c", PROGRAM, scheme, str(port)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def test_grpcio_is_imported_for_those_who_call(fake):
    assert program("http", fake.port).stdout.endswith("False\n")


def test_a_process_that_called_ends_by_itself(fake):
    done = program("grpc", fake.port)
    assert (done.returncode, done.stdout) == (0, "0\n0\n0\nTrue\n"), done.stderr
    assert "Error" not in done.stderr
    assert "Warning" not in done.stderr


async def test_without_the_extra_it_says_what_to_install(ask, monkeypatch):
    monkeypatch.setattr(thread, "_imported", {})
    monkeypatch.setitem(sys.modules, "grpc.aio", None)
    failure = await failure_of(ask())
    assert failure.reason is Reason.INTERNAL  # which changes no state
    assert "pip install 'model-exporter[grpc]'" in failure.detail


async def test_the_transport_may_close_while_connections_are_kept(fake):
    transport = Transport(user_agent="x")
    endpoint = Endpoint("grpc", "127.0.0.1", fake.port, keep_alive=True)
    exchange = transport.exchange(
        endpoint, deadline=time.perf_counter() + 5, trace_id="0" * 32, memory={}, keep=("a", "b")
    )
    assert (await exchange.call(ECHO, b"x")).code == 0
    await exchange.close()
    opened = descriptors()
    await transport.close()
    await asyncio.sleep(0.1)
    assert descriptors() < opened
