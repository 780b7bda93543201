"""Calls: what a server answers, what goes with a call, and what it took."""

import time

import pytest

from exporter.model.endpoint import Basic, Bearer, HeaderAuth, OAuth2
from exporter.model.failure import Reason
from exporter.model.secret import Secret
from tests.support.grpc_fake import Call, grpc
from tests.support.token_server import TokenServer
from tests.transport.grpc.service import ECHO, SAY, SLEEP, failure_of

pytestmark = pytest.mark.slow


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
        timeout=5.0,
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
