"""What goes out."""

import re
from pathlib import Path

import pytest

from exporter.model.endpoint import Basic, Bearer, Endpoint, HeaderAuth
from exporter.model.failure import Failure, Reason
from exporter.model.secret import Secret
from exporter.transport.request import Outgoing
from tests.transport.conftest import Open, Server

TOKEN = Secret("inline", "s3cr3t-bearer-1")


async def test_the_plain_request(server: Server, opened: Open) -> None:
    await opened().request("GET", "/v2/health/live?x=1")
    head = server.requests[0].decode()
    span = re.search(r"-([0-9a-f]{16})-01", head)
    assert span is not None
    assert head == (
        "GET /v2/health/live?x=1 HTTP/1.1\r\n"
        f"Host: 127.0.0.1:{server.port}\r\n"
        "User-Agent: model-exporter/test\r\n"
        "Accept-Encoding: identity\r\n"
        f"traceparent: 00-0af7651916cd43dd8448eb211c80319c-{span[1]}-01\r\n"
        "\r\n"
    )


def test_a_host_is_no_way_to_say_more() -> None:
    outgoing = Outgoing(Endpoint("http", "h\r\nX-Injected: 1", 80), "test")
    with pytest.raises(Failure) as caught:
        outgoing.head("GET", "/", (), None, "0" * 32, set())
    assert caught.value.reason is Reason.AUTH


async def test_each_request_is_a_span_of_one_trace(server: Server, opened: Open) -> None:
    exchange = opened()
    for _ in range(3):
        await exchange.request("GET", "/")
    parents = [server.header("traceparent", number) or "" for number in range(3)]
    assert len({parent[:35] for parent in parents}) == 1
    assert len(set(parents)) == 3
    assert all("0" * 16 not in parent[36:52] for parent in parents)


@pytest.mark.parametrize(
    ("method", "body", "length"),
    [("POST", b'{"a": 1}', "8"), ("POST", b"", "0"), ("POST", None, "0"), ("PUT", None, "0"), ("GET", None, None)],
)
async def test_bodies(server: Server, opened: Open, method: str, body: bytes | None, length: str | None) -> None:
    await opened().request(method, "/", headers=[("Content-Type", "application/json")], body=body)
    assert server.header("content-length") == length
    assert server.header("content-type") == "application/json"
    assert server.requests[0].endswith(body or b"\r\n\r\n")


@pytest.mark.parametrize(
    ("auth", "name", "value"),
    [
        (Bearer(TOKEN), "Authorization", "Bearer s3cr3t-bearer-1"),
        (Basic("user", TOKEN), "Authorization", "Basic dXNlcjpzM2NyM3QtYmVhcmVyLTE="),
        (HeaderAuth("X-Api-Key", TOKEN), "X-Api-Key", "s3cr3t-bearer-1"),
    ],
)
async def test_the_credential_beats_everything(
    server: Server, opened: Open, auth: Bearer | Basic | HeaderAuth, name: str, value: str
) -> None:
    exchange = opened(auth=auth, headers=((name.upper(), Secret("inline", "the-endpoint's")),))
    await exchange.request("GET", "/", headers=[(name.lower(), "the-probe's")])
    assert server.header(name) == value
    assert server.requests[0].lower().count(name.lower().encode() + b":") == 1


async def test_who_wins_for_other_headers(server: Server, opened: Open) -> None:
    mine = tuple((name, Secret("inline", f"endpoint-{name}")) for name in ("Host", "X-A", "X-B", "Accept-Encoding"))
    await opened(headers=mine).request("GET", "/", headers=[("x-b", "probe"), ("User-Agent", "probe")])
    assert server.header("host") == "endpoint-Host"
    assert server.header("x-a") == "endpoint-X-A"
    assert server.header("x-b") == "probe"
    assert server.header("user-agent") == "probe"
    assert server.header("accept-encoding") == "endpoint-Accept-Encoding"


@pytest.mark.parametrize("name", ["Content-Length", "transfer-encoding", "Connection", "Expect", "Upgrade"])
async def test_framing_is_ours(server: Server, opened: Open, name: str) -> None:
    await opened().request("POST", "/", headers=[(name, "100")], body=b"abc")
    assert server.header("content-length") == "3"
    assert name == "Content-Length" or server.header(name) is None


@pytest.mark.parametrize("bad", ["a\r\nX: y", "a\nX: y", "a\0", "a\r"])
async def test_no_line_gets_in_through_a_value(server: Server, opened: Open, bad: str) -> None:
    with pytest.raises(Failure) as caught:
        await opened().request("GET", "/", headers=[("X-A", bad)])
    assert caught.value.reason is Reason.AUTH
    assert not server.requests


@pytest.mark.parametrize(
    ("path", "sent"),
    [
        ("/v2/models/m 1", "/v2/models/m%201"),
        ("/v2/models/\u00e9", "/v2/models/%C3%A9"),
        ("/a\r\nX: y", "/a%0D%0AX:%20y"),
        ("/a%20b", "/a%20b"),
    ],
)
async def test_no_line_gets_in_through_a_path(server: Server, opened: Open, path: str, sent: str) -> None:
    await opened().request("GET", path)
    assert server.requests[0].split(b"\r\n")[0].decode() == f"GET {sent} HTTP/1.1"


async def test_a_secret_that_cannot_be_read(server: Server, opened: Open, tmp_path: Path) -> None:
    exchange = opened(auth=Bearer(Secret("file", str(tmp_path / "gone"))))
    with pytest.raises(Failure) as caught:
        await exchange.request("GET", "/")
    assert caught.value.reason is Reason.AUTH
    assert "cannot read secret" in caught.value.detail
    assert exchange.measured().duration is None
    assert not server.connections


async def test_a_rotated_secret_is_used_by_the_next_request(server: Server, opened: Open, tmp_path: Path) -> None:
    path = tmp_path / "token"
    path.write_text("old-token")
    exchange = opened(auth=Bearer(Secret("file", str(path))))
    await exchange.request("GET", "/")
    path.write_text("new-token-2")
    await exchange.request("GET", "/")
    assert server.header("authorization", 0) == "Bearer old-token"
    assert server.header("authorization", 1) == "Bearer new-token-2"


async def test_what_was_sent_can_be_hidden(opened: Open) -> None:
    exchange = opened(auth=Bearer(TOKEN), headers=(("X-Org", Secret("inline", "s3cr3t-org-22")),))
    assert exchange.redact("s3cr3t-bearer-1") == "s3cr3t-bearer-1"  # nothing was sent yet
    await exchange.request("GET", "/", headers=[("X-Mine", "s3cr3t-mine-3"), ("Content-Type", "application/json")])
    text = "s3cr3t-bearer-1 s3cr3t-org-22 s3cr3t-mine-3 application/json Bearer s3cr3t-be"
    assert exchange.redact(text) == "<hidden> <hidden> <hidden> application/json Bearer <hidden>"


async def test_secrets_are_in_no_representation(server: Server, opened: Open) -> None:
    exchange = opened(auth=Basic("user", TOKEN), headers=(("X-Org", Secret("inline", "s3cr3t-org-22")),))
    await exchange.request("GET", "/")
    assert server.header("x-org") == "s3cr3t-org-22"
    shown = repr(exchange) + repr(exchange.endpoint) + str(exchange.memory) + repr(exchange.measured())
    assert "s3cr3t" not in shown


@pytest.mark.parametrize(
    ("endpoint", "host"),
    [
        (Endpoint("http", "h.test", 80), "h.test"),
        (Endpoint("http", "h.test", 8080), "h.test:8080"),
        (Endpoint("http", "::1", 8080), "[::1]:8080"),
        (Endpoint("unix", "/run/x.sock", 0), "localhost"),
    ],
)
def test_host(endpoint: Endpoint, host: str) -> None:
    from exporter.transport.request import Outgoing

    head = Outgoing(endpoint, "x").head("GET", "/", (), None, "0" * 32, set())
    assert f"\r\nHost: {host}\r\n".encode() in head
