"""What is told of an attempt that failed: what was said, when, and none of what must not be repeated."""

import asyncio
import base64
import html
import json
import re
import time
from contextlib import suppress
from urllib.parse import quote

import pytest

from exporter.model.endpoint import Basic, Bearer
from exporter.model.failure import Failure
from exporter.model.secret import Secret
from exporter.transport import wire
from tests.support.grpc_fake import Call, GrpcFake
from tests.transport.conftest import Open, Server, answer

Reader, Writer = asyncio.StreamReader, asyncio.StreamWriter
BEARER = Bearer(Secret("inline", "s3cr3t-token-7Q"))
PROMPT = {"model": "llama-3", "messages": [{"role": "user", "content": "a s3cr3t-prompt, and more"}]}
ASKED = json.dumps(PROMPT).encode()


def lines(text: str) -> list[str]:
    """Without their times."""
    return [line[10:] for line in text.split("\n")]


def times(text: str) -> list[float]:
    return [float(line[:8]) for line in text.split("\n") if line[:8].strip()]


async def told(exchange, path="/x", body=None, **more) -> str:
    """The account of one request, however it ended."""
    began = time.perf_counter()
    with suppress(Failure):
        await exchange.request("POST" if body else "GET", path, body=body, **more)
    await exchange.close()
    return exchange.told(began)


async def test_it_tells_what_was_said_and_when(server: Server, opened: Open) -> None:
    server.script = [answer(b"out of\nmemory", "Content-Type: text/plain", "X-Key: s3cr3t", status="500 Oh")]
    text = await told(opened(auth=BEARER), "/v1/x?key=s3cr3t-param")
    assert lines(text) == [
        "* connected to 127.0.0.1",
        "> GET /v1/x?<hidden> HTTP/1.1",
        f"> Host: 127.0.0.1:{server.port}",
        "> User-Agent: model-exporter/test",
        "> Accept-Encoding: identity",
        "> Authorization: <hidden>",
        f"> traceparent: {server.header('traceparent')}",
        "< 500",
        "< Content-Length: 13",
        "< Content-Type: text/plain",
        "< X-Key: <hidden>",
        "| out of",
        "| memory",
        "* the answer is whole, 13 bytes of body",
    ]
    assert times(text) == sorted(times(text))
    assert len(times(text)) == 4


async def test_a_prompt_is_not_shown_and_an_answer_only_by_its_shape(server: Server, opened: Open) -> None:
    said = {"choices": [{"message": {"content": "what the model said"}}], "usage": {"prompt_tokens": 7}}
    server.script = [answer(json.dumps(said).encode(), "Content-Type: application/json")]
    text = await told(opened(), body=ASKED)
    assert f"> ({len(ASKED)} bytes of body, not shown)" in lines(text)
    assert "| (without what it says: …(5) is a text of 5 characters)" in lines(text)
    assert '"content":"…(19)"' in text
    assert '{"prompt_tokens":7}' in text
    assert "s3cr3t" not in text
    assert "what the model said" not in text


async def test_a_page_in_place_of_an_answer_is_shown(server: Server, opened: Open) -> None:
    server.script = [answer(b"<h1>Please log in</h1>", "Content-Type: text/html; charset=utf-8")]
    assert "| <h1>Please log in</h1>" in lines(await told(opened(), body=ASKED))


@pytest.mark.parametrize("how", ["raw", "json", "percent", "lower", "html", "base64"])
async def test_a_peer_that_echoes_gives_nothing_away(server: Server, opened: Open, how: str) -> None:
    password = 's3cr3t pass/&"<ü>word-end'
    forms = {
        "raw": lambda text: text,
        "json": lambda text: json.dumps(text),
        "percent": lambda text: quote(text, safe=""),
        "lower": lambda text: re.sub("%..", lambda found: found[0].lower(), quote(text, safe="")),
        "html": html.escape,
        "base64": lambda text: base64.b64encode(text.encode()).decode(),
    }  # fmt: skip
    secrets = [
        password,
        base64.b64encode(f"user:{password}".encode()).decode(),
        "s3cr3t/param",
        "a s3cr3t-prompt, and more",
    ]
    echo = [forms[how](secret) for secret in secrets]
    server.script = [
        answer(" and ".join(echo).encode(), f"Server: {echo[1]}", "Content-Type: text/plain", status="422 X")
    ]
    exchange = opened(auth=Basic("user", Secret("inline", password)))
    text = await told(exchange, f"/x?key={quote('s3cr3t/param', safe='')}", ASKED)
    assert text.count("<hidden>") >= 2 + len(secrets)  # in the request, and what came back
    for piece in (*echo, *secrets, "s3cr3t", "word-end", "and more"):
        assert piece not in text


async def test_a_secret_at_the_cut_is_none_the_less_one(server: Server, opened: Open) -> None:
    for length in range(wire.BODY - 20, wire.BODY):
        server.script = [answer(b"." * length + b"s3cr3t-token-7Q", status="500 X")]
        text = await told(opened(auth=BEARER))
        assert "s3cr3t-t" not in text, length


async def test_it_is_bounded(server: Server, opened: Open) -> None:
    many = [f"Vary: {'v' * 300}-{number}" for number in range(200)]
    server.script = [answer(b"y" * 100_000, "Server: " + "s" * 3000, *many, status="500 X")]
    text = await told(opened())
    assert len(text) == wire.MOST + 1
    assert max(map(len, text.split("\n"))) <= wire.LINE + 12


async def test_the_requests_before_the_last_are_named(server: Server, opened: Open) -> None:
    server.script = [answer(b"", f"Location: /{step}?key=s3cr3t", status="302 Found") for step in range(3)]
    server.script += [answer(b"lost", status="404 X")]
    shown = lines(await told(opened(follow_redirects=True)))
    assert [line for line in shown if "302" in line] == [
        "> GET /x HTTP/1.1: 302, 0 bytes of body",
        "> GET /0?<hidden> HTTP/1.1: 302, 0 bytes of body",
        "> GET /1?<hidden> HTTP/1.1: 302, 0 bytes of body",
    ]
    assert shown[-1] == "* the answer is whole, 4 bytes of body"


async def test_another_port_of_the_server_is_in_it(server: Server, opened: Open) -> None:
    exchange, began = opened(auth=BEARER), time.perf_counter()
    await exchange.request("GET", "/first")
    await exchange.beside(server.port).request("GET", "/second")
    shown = lines(exchange.told(began))
    assert "> GET /first HTTP/1.1: 200, 2 bytes of body" in shown
    assert "> GET /second HTTP/1.1" in shown


async def test_a_stream_is_told_by_its_events(server: Server, opened: Open) -> None:
    async def events(reader: Reader, writer: Writer) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")
        for event in (b'data: {"choices": [{"delta": {"content": "Hel"}}]}\n\n', b'data: {"error": "boom"}\n\n'):
            await asyncio.sleep(0.05)
            writer.write(b"%x\r\n%s\r\n" % (len(event), event))
        await reader.read()

    server.script = [events]
    for _ in range(5):  # a machine that stood still may have been late with the second
        exchange, began = opened(timeout=0.4), time.perf_counter()
        with suppress(Failure):
            async with exchange.stream("POST", "/x", body=ASKED) as stream:
                while await stream.next(exchange.deadline):
                    pass
        text = exchange.told(began)
        if "boom" in text:
            break
    shown = [line for line in text.split("\n") if "data:" in line]
    assert [line[10:] for line in shown] == [
        '| data: {"choices":[{"delta":{"content":"…(3)"}}]}',
        '| data: {"error":"boom"}',
    ]
    first, second = (float(line[:8]) for line in shown)
    assert second - first > 25
    assert lines(text)[-2:] == ["* the last that came: 77 bytes of body, not at its end", "* over"]
    assert times(text)[-1] > 390


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        (b"SSH-2.0-OpenSSH_9.2\r\n", "< no HTTP: 'SSH-2.0-OpenSSH_9.2\\r\\n'"),
        (b"HTTP/1.1 101 Switching\r\nSet-Cookie: s3cr3t\r\n\r\n", "< no HTTP: 'HTTP/1.1 101 Switching'"),
        (b"\x15\x03\x01\x00\x02\x02", "< no HTTP: '\\x15\\x03\\x01\\x00\\x02\\x02'"),
        (b"HTTP/1.1 200 OK\r\nX-Slow: s3cr3t\r\n", "< a head that did not end (33 bytes)"),
        (b"", "* nothing came back"),
    ],
)
async def test_what_is_no_answer(server: Server, opened: Open, said: bytes, shown: str) -> None:
    async def say(reader: Reader, writer: Writer) -> None:
        writer.write(said)
        await reader.read()

    server.script = [say]
    text = await told(opened(timeout=0.3))
    assert shown in lines(text)
    assert "s3cr3t" not in text


async def test_what_could_not_be_sent(opened: Open) -> None:
    not_sent = ["* not sent: GET /x HTTP/1.1", "* over"]
    assert lines(await told(opened(port=9, auth=BEARER))) == ["* not connected: 127.0.0.1", *not_sent]
    assert lines(await told(opened(host="none.invalid"))) == ["* no address was found", *not_sent]
    assert lines(await told(opened(auth=Bearer(Secret("env", "NO_SUCH_VARIABLE"))))) == ["* over"]


async def test_a_kept_connection_is_called_one(server: Server, opened: Open) -> None:
    first = opened(keep=("a", "b"), keep_alive=True)
    await first.request("GET", "/")
    await first.close()
    text = await told(opened(keep=("a", "b"), keep_alive=True))
    assert lines(text)[0] == "* on a connection that was kept, to 127.0.0.1"


@pytest.mark.slow
async def test_a_call_by_grpc(opened: Open) -> None:
    def refuse(call: Call) -> bytes:
        return call.refuse("NOT_FOUND", f"no model for {call.message.decode()} and s3cr3t-token-7Q")

    with GrpcFake({"/test.Test/Ask": refuse}) as fake:
        exchange, began = opened(scheme="grpc", port=fake.port, auth=BEARER), time.perf_counter()
        await exchange.call("/test.Test/Ask", b"a s3cr3t-prompt")
        shown = lines(exchange.told(began))
        await exchange.close()
    assert "> call /test.Test/Ask" in shown
    assert "> metadata: authorization, traceparent (values not shown)" in shown
    assert "> (15 bytes of message, not shown)" in shown
    assert "< status 5 NOT_FOUND: no model for <hidden> and <hidden>" in shown
