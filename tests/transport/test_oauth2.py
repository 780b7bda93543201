"""Tokens: asked for as RFC 6749 says, kept, renewed, and never the target's fault."""

import asyncio
import os
import ssl
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import trustme
from aiohttp import web

from exporter.model.endpoint import OAuth2, Proxy, Tls
from exporter.model.failure import Failure, Reason
from exporter.model.secret import Secret
from exporter.transport import Transport, lease, oauth2
from tests.support.token_server import TokenServer
from tests.transport.conftest import Open, Server, answer

pytestmark = pytest.mark.slow

SECRET = Secret("inline", "secret")


@pytest.fixture
async def tokens() -> AsyncIterator[TokenServer]:
    made = TokenServer()
    await made.start()
    yield made
    await made.stop()


@pytest.fixture(autouse=True)
def guarded(server: Server, tokens: TokenServer) -> None:
    """The target lets in who has a good token."""

    async def look(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        good = (server.header("Authorization") or "").removeprefix("Bearer ") in tokens.good
        writer.write(answer() if good else answer(b"who are you?", status="401 Unauthorized"))

    server.script = [look]


def settings(tokens: TokenServer, **more: Any) -> OAuth2:
    given: dict[str, Any] = {"client_id": Secret("inline", "client"), "client_secret": SECRET, **more}
    return OAuth2(tokens.url, **given)


async def test_the_request_is_as_the_standard_has_it(opened: Open, tokens: TokenServer, server: Server) -> None:
    auth = settings(
        tokens,
        scopes=("read", "write"),
        audience="https://models.example/",
        resource="urn:model",
        params=(("tenant", Secret("inline", "a&b=c")),),
    )
    assert (await opened(auth=auth).request("GET", "/v2/health/live")).status == 200
    assert server.header("Authorization") == "Bearer token-1"
    assert tokens.forms == [
        {
            "grant_type": "client_credentials",
            "scope": "read write",
            "audience": "https://models.example/",
            "resource": "urn:model",
            "tenant": "a&b=c",
        }
    ]
    assert tokens.methods == ["basic"]
    assert tokens.agents == ["model-exporter/test"]


@pytest.mark.parametrize("method", ["basic", "post"])
async def test_odd_credentials_arrive_as_they_are(opened: Open, tokens: TokenServer, method: str) -> None:
    tokens.client_id, tokens.client_secret = "a:b c", "p%+&=ü:/ €"
    auth = settings(
        tokens,
        client_id=Secret("inline", tokens.client_id),
        client_secret=Secret("inline", tokens.client_secret),
        auth_method=method,
    )
    assert (await opened(auth=auth).request("GET", "/")).status == 200
    assert tokens.methods == [method]


async def test_a_token_is_asked_for_once(opened: Open, tokens: TokenServer, server: Server) -> None:
    async def slow(request: web.Request) -> web.StreamResponse:
        tokens.answer = None
        await asyncio.sleep(0.05)
        return await tokens._token(request)

    tokens.answer = slow
    auth = settings(tokens)
    exchanges = [opened(auth=auth) for _ in range(20)]
    answers = await asyncio.gather(*(each.request("GET", "/") for each in exchanges))
    assert {each.status for each in answers} == {200}
    assert (await opened(auth=settings(tokens)).request("GET", "/")).status == 200
    assert len(tokens.forms) == 1
    other = settings(tokens, scopes=("more",))
    await opened(auth=other).request("GET", "/")
    assert len(tokens.forms) == 2


async def test_the_token_request_is_not_measured(opened: Open, tokens: TokenServer) -> None:
    async def slow(request: web.Request) -> web.StreamResponse:
        tokens.answer = None
        await asyncio.sleep(0.4)
        return await tokens._token(request)

    tokens.answer = slow
    began = time.perf_counter()
    asked = opened(auth=settings(tokens))
    await asked.request("GET", "/")
    took = time.perf_counter() - began
    measured = asked.measured()
    assert took > 0.4
    assert measured.duration is not None
    assert measured.duration < took / 2
    assert sum(measured.phases.values()) == pytest.approx(measured.duration, rel=0.5, abs=0.01)


async def test_what_is_good_for_long_is_renewed_in_time(
    opened: Open, tokens: TokenServer, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Shortly before its end a token is still used, while another one is on its way."""
    now = 1000.0
    for module in (lease, oauth2):
        monkeypatch.setattr(module, "perf_counter", lambda: now)
    auth = settings(tokens)

    async def run() -> str | None:
        assert (await opened(auth=auth).request("GET", "/")).status == 200
        return server.header("Authorization")

    assert await run() == "Bearer token-1"
    now += 3200
    assert await run() == "Bearer token-1"
    assert tokens.asked == 1
    now += 200  # within five minutes of the end
    assert await run() == "Bearer token-1"
    while tokens.asked < 2:
        await asyncio.sleep(0.005)
    while await run() != "Bearer token-2":
        await asyncio.sleep(0.005)
    now += 4000  # long past the end: whoever comes now has to wait
    assert await run() == "Bearer token-3"


async def test_a_token_outlives_a_token_endpoint_that_is_down(
    opened: Open, tokens: TokenServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 1000.0
    for module in (lease, oauth2):
        monkeypatch.setattr(module, "perf_counter", lambda: now)
    auth = settings(tokens)
    assert (await opened(auth=auth).request("GET", "/")).status == 200

    async def down(request: web.Request) -> web.StreamResponse:
        return web.Response(status=503, text="down")

    tokens.answer = down
    now += 3400
    for _ in range(5):
        assert (await opened(auth=auth).request("GET", "/")).status == 200
        await asyncio.sleep(0.01)
    assert tokens.asked == 2  # it failed, and is left alone for a moment
    now += 300
    with pytest.raises(Failure, match=r"refused \(503\)") as caught:
        await opened(auth=auth).request("GET", "/")
    assert caught.value.reason is Reason.AUTH


@pytest.mark.parametrize("expires_in", ["3600", 3600.0, None, "soon", True, [], float("inf")])
async def test_odd_lives(opened: Open, tokens: TokenServer, expires_in: Any) -> None:
    tokens.expires_in = expires_in
    for _ in range(3):
        assert (await opened(auth=settings(tokens)).request("GET", "/")).status == 200
    assert tokens.asked == 1


@pytest.mark.parametrize("kind", ["bearer", "BEARER", None])
async def test_types_of_tokens(opened: Open, tokens: TokenServer, server: Server, kind: str | None) -> None:
    async def say(request: web.Request) -> web.StreamResponse:
        tokens.good.add("given")
        return web.json_response({"access_token": "given", **({"token_type": kind} if kind else {})})

    tokens.answer = say
    assert (await opened(auth=settings(tokens)).request("GET", "/")).status == 200
    assert server.header("Authorization") == "Bearer given"


@pytest.mark.parametrize("expires_in", [0, -5, "0"])
async def test_a_token_that_is_good_for_nothing_is_used_once(
    opened: Open, tokens: TokenServer, expires_in: Any
) -> None:
    tokens.expires_in = expires_in
    for _ in range(3):
        assert (await opened(auth=settings(tokens)).request("GET", "/")).status == 200
    assert tokens.asked == 3


@pytest.mark.parametrize("streaming", [False, True])
async def test_a_token_that_was_withdrawn_fails_no_run(
    opened: Open, tokens: TokenServer, server: Server, streaming: bool
) -> None:
    auth = settings(tokens)
    await opened(auth=auth).request("GET", "/")
    tokens.good.clear()
    asked = opened(auth=auth)
    before = len(server.requests)
    if streaming:
        async with asked.stream("POST", "/", body=b"{}") as stream:
            assert (stream.status, await stream.body()) == (200, b"ok")
    else:
        assert (await asked.request("POST", "/", body=b"{}")).status == 200
    assert [server.header("Authorization", number) for number in range(before, len(server.requests))] == [
        "Bearer token-1", "Bearer token-2",
    ]  # fmt: skip
    measured = asked.measured()
    assert measured.http_status == 200
    assert measured.response_bytes == len(b"ok")
    assert set(measured.phases) == {"connect", "first_byte", "transfer"}
    assert measured.duration == pytest.approx(sum(measured.phases.values()), rel=0.5, abs=0.01)
    await asked.close()
    assert (await opened(auth=auth).request("GET", "/")).status == 200
    assert tokens.asked == 2


async def test_a_target_that_refuses_every_token_costs_few(opened: Open, tokens: TokenServer, server: Server) -> None:
    server.script = [answer(b"no", status="401 Unauthorized")]
    auth = settings(tokens)
    for _ in range(6):
        assert (await opened(auth=auth).request("GET", "/")).status == 401
    assert tokens.asked == 2  # at first, and once because the token may have been too old
    assert len(server.requests) == 7


async def test_many_runs_with_one_old_token_ask_for_one_new(opened: Open, tokens: TokenServer, server: Server) -> None:
    auth = settings(tokens)
    await opened(auth=auth).request("GET", "/")
    tokens.good.clear()
    answers = await asyncio.gather(*(opened(auth=auth).request("GET", "/") for _ in range(10)))
    assert {each.status for each in answers} == {200}
    assert tokens.asked == 2


@pytest.mark.parametrize("streaming", [False, True])
async def test_no_new_token_where_the_old_one_is_refused(
    opened: Open, tokens: TokenServer, server: Server, streaming: bool
) -> None:
    auth = settings(tokens)
    await opened(auth=auth).request("GET", "/")
    tokens.good.clear()
    tokens.client_secret = "changed at their end"
    asked = opened(auth=auth)
    with pytest.raises(Failure) as caught:
        await (asked.stream("GET", "/").__aenter__() if streaming else asked.request("GET", "/"))
    measured = asked.measured()
    assert measured.http_status == 401
    assert measured.duration == pytest.approx(sum(measured.phases.values()), rel=0.5, abs=0.01)
    assert caught.value.reason is Reason.AUTH
    assert caught.value.http_status == 401
    told = f"401, and there is no other credential to try: token endpoint {tokens.url}: 401 invalid_client"
    assert caught.value.detail.startswith(told)


async def test_a_rotated_secret_drops_the_token(opened: Open, tokens: TokenServer, tmp_path: Path) -> None:
    path = tmp_path / "secret"
    path.write_text("secret\n")
    auth = settings(tokens, client_secret=Secret("file", str(path)))
    phases = []
    for number in range(4):
        if number == 2:
            path.write_text("rotated\n")
            tokens.client_secret = "rotated"
        asked = opened(auth=auth, keep_alive=True, keep=("t", "p"))
        assert (await asked.request("GET", "/")).status == 200
        await asked.close()
        phases.append("connect" in asked.measured().phases)
    assert tokens.asked == 2
    assert phases == [True, False, True, False]


async def test_a_secret_that_cannot_be_read(opened: Open, tokens: TokenServer, tmp_path: Path) -> None:
    auth = settings(tokens, client_secret=Secret("file", str(tmp_path / "nowhere")))
    with pytest.raises(Failure, match=r"cannot read secret: .*nowhere") as caught:
        await opened(auth=auth).request("GET", "/")
    assert caught.value.reason is Reason.AUTH
    assert tokens.asked == 0


WRONG: dict[str, tuple[web.Response, str]] = {
    "not JSON": (web.Response(text="<html>s3cr3t"), "answered without the JSON object of a token (200)"),
    "list": (web.json_response(["s3cr3t"]), "answered without the JSON object of a token (200)"),
    "deep": (web.Response(text="[" * 60_000), "answered without the JSON object of a token (200)"),
    "empty": (web.Response(), "answered without the JSON object of a token (200)"),
    "no token": (web.json_response({"token_type": "Bearer"}), "its answer has no access_token that can be sent"),
    "odd token": (
        web.json_response({"access_token": "a\r\nX: y", "token_type": "Bearer"}),
        "its answer has no access_token that can be sent",
    ),
    "other type": (
        web.json_response({"access_token": "a", "token_type": "mac"}),
        "its answer has a token_type other than Bearer",
    ),
    "error": (web.json_response({"error": "invalid_scope"}, status=400), "400 invalid_scope"),
    "odd error": (
        web.json_response({"error": ["s"], "error_description": 5}, status=400), "refused (400)",
    ),
    "error with control characters": (
        web.json_response({"error": "a\nb\x1b", "error_description": "x"}, status=400), "400 a b : x",
    ),
    "redirect": (web.Response(status=302, headers={"Location": "http://127.0.0.1:1/"}), "refused (302)"),
    "status": (web.Response(status=404, text="nothing"), "refused (404)"),
    "limited": (web.Response(status=429, headers={"Retry-After": "7"}), "refused (429)"),
    "too large": (web.Response(text="x" * 70_000), "the answer is longer than 65536 bytes"),
    "encoded": (
        web.Response(text="x", headers={"Content-Encoding": "gzip"}),
        "a Content-Encoding, which was not asked for",
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", list(WRONG))
async def test_wrong_answers(opened: Open, tokens: TokenServer, server: Server, kind: str) -> None:
    given, told = WRONG[kind]

    async def wrong(request: web.Request) -> web.StreamResponse:
        return web.Response(status=given.status, body=given.body, headers=given.headers)

    tokens.answer = wrong
    asked = opened(auth=settings(tokens))
    with pytest.raises(Failure) as caught:
        await asked.request("GET", "/")
    assert (caught.value.reason, caught.value.detail) == (Reason.AUTH, f"token endpoint {tokens.url}: {told}")
    assert caught.value.retry_after is None  # it was not the target's
    assert asked.measured().duration is None
    assert server.connections == 0


async def test_what_is_down_is_the_token_endpoint(opened: Open, tokens: TokenServer) -> None:
    await tokens.stop()
    for _ in range(2):
        with pytest.raises(Failure) as caught:
            await opened(auth=settings(tokens)).request("GET", "/")
        assert caught.value.reason is Reason.AUTH
        assert caught.value.detail == f"token endpoint {tokens.url}: ECONNREFUSED"


async def test_a_token_endpoint_that_hangs_keeps_the_deadline(
    opened: Open, tokens: TokenServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    released = asyncio.Event()

    async def hang(request: web.Request) -> web.StreamResponse:
        await released.wait()
        tokens.answer = None
        return await tokens._token(request)

    tokens.answer = hang
    auth = settings(tokens)
    began = time.perf_counter()
    with pytest.raises(Failure) as caught:
        await opened(auth=auth, timeout=0.3).request("GET", "/")
    assert time.perf_counter() - began < 3
    assert (caught.value.reason, caught.value.detail) == (
        Reason.AUTH, f"token endpoint {tokens.url}: no token in time",
    )  # fmt: skip
    released.set()
    # The request that was under way serves the next run.
    assert (await opened(auth=auth).request("GET", "/")).status == 200
    assert len(tokens.forms) == 1


async def test_its_own_time_limit(opened: Open, tokens: TokenServer, monkeypatch: pytest.MonkeyPatch) -> None:
    async def hang(request: web.Request) -> web.StreamResponse:
        await asyncio.sleep(30)
        return web.Response()

    monkeypatch.setattr(oauth2, "TIMEOUT", 0.2)
    tokens.answer = hang
    with pytest.raises(Failure, match=r"no whole answer within 0\.2 s") as caught:
        await opened(auth=settings(tokens)).request("GET", "/")
    assert caught.value.reason is Reason.AUTH


async def test_nothing_secret_is_quoted(opened: Open, tokens: TokenServer) -> None:
    own = "s3cr3t-own-7Q"

    async def throw_back(request: web.Request) -> web.StreamResponse:
        text = (await request.read()).decode() + request.headers.get("Authorization", "")
        return web.json_response({"error": "invalid_client", "error_description": text}, status=401)

    tokens.answer = throw_back
    for method in ("basic", "post"):
        auth = settings(
            tokens,
            client_secret=Secret("inline", own),
            params=(("extra", Secret("inline", "s3cr3t-extra-7Q")),),
            auth_method=method,
        )
        with pytest.raises(Failure) as caught:
            await opened(auth=auth).request("GET", "/")
        assert "invalid_client" in caught.value.detail
        assert "s3cr3t" not in caught.value.detail
        assert "czNjcjN0" not in caught.value.detail  # the beginning of the same in base64
        assert "<hidden>" in caught.value.detail


async def test_the_target_throws_the_token_back(opened: Open, tokens: TokenServer, server: Server) -> None:
    tokens.prefix = "s3cr3t-token-"
    asked = opened(auth=settings(tokens))
    await asked.request("GET", "/")
    assert asked.redact("you sent s3cr3t-token-1, and s3cr3t-to") == "you sent <hidden>, and <hidden>"


async def test_over_tls_and_a_proxy_of_its_own(
    opened: Open, tokens: TokenServer, server: Server, tmp_path: Path
) -> None:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    await tokens.stop()
    await tokens.start(context)
    with pytest.raises(Failure, match="token endpoint https://") as caught:
        await opened(auth=settings(tokens)).request("GET", "/")
    assert caught.value.reason is Reason.AUTH
    trusting = settings(tokens, tls=Tls(ca_file=str(tmp_path / "ca.pem")))
    assert (await opened(auth=trusting).request("GET", "/")).status == 200
    lost = settings(tokens, tls=Tls(ca_file=str(tmp_path / "ca.pem")), proxy=Proxy("127.0.0.1", 1))
    with pytest.raises(Failure, match=r": proxy 127\.0\.0\.1:1: ECONNREFUSED"):
        await opened(auth=lost).request("GET", "/")


async def test_the_environment_decides_nothing(
    opened: Open, tokens: TokenServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    assert (await opened(auth=settings(tokens)).request("GET", "/")).status == 200


async def test_closing_gives_up_what_is_asked_for(transport: Transport, opened: Open, tokens: TokenServer) -> None:
    async def hang(request: web.Request) -> web.StreamResponse:
        await asyncio.sleep(30)
        return web.Response()

    tokens.answer = hang
    with pytest.raises(Failure):
        await opened(auth=settings(tokens), timeout=0.1).request("GET", "/")
    fetching = [task for task in asyncio.all_tasks() if "Lease" in repr(task.get_coro())]
    assert len(fetching) == 1
    await transport.close()
    await asyncio.wait(fetching, timeout=10)
    assert fetching[0].done()


async def test_without_the_extra(opened: Open, tokens: TokenServer, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] == "authlib"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "authlib", None)
    with pytest.raises(Failure) as caught:
        await opened(auth=settings(tokens)).request("GET", "/")
    assert caught.value.reason is Reason.AUTH
    assert caught.value.detail == "oauth2 needs an extra that is not installed: pip install 'model-exporter[oauth2]'"


def test_libraries_are_imported_by_those_who_use_them() -> None:
    script = (
        "import sys, exporter.app, exporter.transport, exporter.transport.http\n"
        "print([name for name in ('authlib', 'botocore', 'cryptography') if name in sys.modules])"
    )
    environment = {**os.environ, "PYTHONPATH": str(Path.cwd())}
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60, env=environment
    )
    assert done.stdout.strip() == "[]"
