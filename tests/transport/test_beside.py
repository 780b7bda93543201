"""Another address of the same server: asked without the target's credentials, on the same account."""

from collections.abc import AsyncIterator

import pytest

from exporter.model.endpoint import Bearer, HeaderAuth
from exporter.model.failure import Failure, Reason
from exporter.model.secret import Secret
from tests.transport.conftest import Open, Server, answer, listening

TOKEN = Secret("inline", "s3cr3t-bearer-1")


@pytest.fixture
async def other() -> AsyncIterator[Server]:
    async with listening() as made:
        yield made


@pytest.mark.parametrize("by_port", [True, False])
async def test_it_is_asked_without_credentials(server: Server, other: Server, opened: Open, by_port: bool) -> None:
    exchange = opened(auth=Bearer(TOKEN), headers=(("X-Key", TOKEN),), path="/prefix")
    beside = exchange.beside(other.port if by_port else f"http://127.0.0.1:{other.port}")
    await exchange.request("GET", "/prefix/a")
    await beside.request("GET", "/models")
    assert server.header("Authorization") == "Bearer s3cr3t-bearer-1"
    assert other.requests[0].startswith(b"GET /models HTTP/1.1\r\n")
    assert (other.header("Authorization"), other.header("X-Key")) == (None, None)
    assert other.header("Host") == f"127.0.0.1:{other.port}"
    # One trace, and one account.
    assert (other.header("traceparent") or "")[:35] == (server.header("traceparent") or "")[:35]
    assert exchange.measured().response_bytes == 4


async def test_it_is_one_conversation_per_address(other: Server, opened: Open) -> None:
    exchange = opened()
    for _ in range(2):
        await exchange.beside(other.port).request("GET", "/")
    assert exchange.beside(other.port) is exchange.beside(other.port)
    assert other.connections == 1


async def test_a_credential_of_its_own_is_hidden_as_well(other: Server, opened: Open) -> None:
    exchange = opened(auth=HeaderAuth("X-Key", Secret("inline", "key-of-target")))
    other.script = [answer(b"no: s3cr3t-of-management")]
    headers = [("Authorization", "Bearer s3cr3t-of-management")]
    response = await exchange.beside(other.port).request("GET", "/", headers=headers)
    assert exchange.redact(response.body.decode()) == "no: <hidden>"


async def test_a_socket_file_has_no_ports(opened: Open) -> None:
    exchange = opened(scheme="unix", host="/no/such/socket", port=0)
    with pytest.raises(Failure) as caught:
        exchange.beside(8081)
    assert caught.value.reason is Reason.CONNECT
