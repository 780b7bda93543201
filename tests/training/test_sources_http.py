"""Logs over HTTP: events, lines, documents that grow; reconnects that count nothing twice."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any

import pytest

from exporter.model.endpoint import Bearer, Service
from exporter.model.secret import Secret
from exporter.training.sources import Anew, Gap, Open, Pause, backoff, http
from exporter.training.sources.http import Http
from tests.support.ports import free_port
from tests.training.reading import reading
from tests.transport.conftest import Server, listening

Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Coroutine[Any, Any, None]]


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    async with listening() as made:
        yield made


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backoff.Backoff.__init__, "__defaults__", (0.02, 0.05))
    monkeypatch.setattr(http, "AGAIN", 0.02)


def source(server: Server, **more: Any) -> Http:
    url = f"http://127.0.0.1:{server.port}/log?key=s3cr3t"
    return Http(Service(url, **more))


def head(*lines: str, status: str = "200 OK") -> bytes:
    return "\r\n".join((f"HTTP/1.1 {status}", *lines, "", "")).encode()


def chunked(*pieces: bytes, kind: str = "text/plain", end: bool = True) -> bytes:
    body = b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces)
    return head(f"Content-Type: {kind}", "Transfer-Encoding: chunked") + body + (b"0\r\n\r\n" if end else b"")


def document(body: bytes, *more: str, status: str = "200 OK") -> bytes:
    return head("Content-Type: text/plain", f"Content-Length: {len(body)}", *more, status=status) + body


def then_silence(answer: bytes) -> Talk:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(answer)
        await asyncio.sleep(60)

    return talk


def then_closed(answer: bytes) -> Talk:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(answer)
        await writer.drain()
        writer.close()

    return talk


async def test_events(server: Server) -> None:
    body = b': hello\n\nid: 7\ndata: {"loss": 0.5}\n\ndata: two\ndata: lines\n\nid: 8\ndata: last'
    server.script = [
        chunked(body[:20], body[20:], b"\n\n", kind="text/event-stream; charset=utf-8"),
        then_silence(chunked(b"data: more\n\n", kind="text/event-stream", end=False)),
    ]
    async with reading(source(server)) as told:
        await told.until(lambda told: "more" in told.lines)
        assert told.lines == ['{"loss": 0.5}', "two", "lines", "last", "more"]
        assert told.pauses == ["the stream ended"]
        assert told.events[0] == Open()
    assert server.requests[0].startswith(b"GET /log?key=s3cr3t HTTP/1.1")
    assert server.header("Accept") == "text/event-stream, */*;q=0.9"
    assert [server.header("Last-Event-ID", at) for at in (0, 1)] == [None, "8"]


async def test_lines(server: Server) -> None:
    """NDJSON is lines too. An end that is announced ends a line; one that is not may have cut it."""
    server.script = [
        chunked(b'{"loss": 0.5}\n{"lo', b'ss": 0.25}', kind="application/x-ndjson"),
        then_closed(head("Content-Type: text/plain") + b"loss: 0.125\nloss: 0.06"),
        then_closed(chunked(b"loss: 0.03\nloss: 0.0", end=False)),
        then_silence(chunked(b"loss: 0.01\n", end=False)),
    ]
    async with reading(source(server)) as told:
        await told.until(lambda told: "0.01\n" in told.text)
        texts = [event for event in told.events if not isinstance(event, Open)]
        # Each unfinished line is followed by a gap.
        at = [index for index, event in enumerate(texts) if isinstance(event, Gap)]
        assert [getattr(texts[index - 1], "data", b"")[-4:] for index in at] == [b"0.06", b" 0.0"]
        assert told.lines[:2] == ['{"loss": 0.5}', '{"loss": 0.25}']
        assert told.pauses == ["the stream ended", "the stream ended", "truncated: the answer was cut short"]


async def test_a_document_that_grows_is_read_once(server: Server) -> None:
    """As `python -m http.server` serves a file: whole, each time it is asked for."""
    server.script = [document(b"one\ntw"), document(b"one\ntw"), document(b"one\ntwo\nthree\n"), document(b"new\n")]
    async with reading(source(server)) as told:
        await told.until(lambda told: "new" in told.lines)
        assert told.lines == ["one", "two", "three", "new"]
        assert told.of(Anew) == [Anew(sure=False)]
        assert not told.of(Pause)


async def test_a_document_in_ranges(server: Server) -> None:
    server.script = [
        document(b"one\n", "Accept-Ranges: bytes"),
        document(b"", "Content-Range: bytes */4", status="416 Range Not Satisfiable"),
        document(b"two\n", "Content-Range: bytes 4-7/8", status="206 Partial Content"),
        document(b"", "Content-Range: bytes */2", status="416 Range Not Satisfiable"),
        document(b"x\n", "Accept-Ranges: bytes"),
    ]
    async with reading(source(server)) as told:
        await told.until(lambda told: "x" in told.lines)
        assert told.lines == ["one", "two", "x"]
        assert told.of(Anew) == [Anew(sure=False)]
    asked = [server.header("Range", at) for at in range(5)]
    assert asked == [None, "bytes=4-", "bytes=4-", "bytes=8-", None]


async def test_troubles(server: Server) -> None:
    server.script = [
        head("Content-Length: 0", status="503 Service Unavailable"),
        chunked(b"\xff\xfe data: x\n\ndata: \xff\n\n", kind="text/event-stream"),
        document(b"x", "Content-Encoding: gzip"),
        then_silence(chunked(b"at last\n", end=False)),
    ]
    async with reading(source(server)) as told:
        await told.until(lambda told: told.lines)
        assert told.pauses == [
            "http_status: the server answers 503",
            "malformed: an event is not valid UTF-8",
            "encoding: a Content-Encoding, which was not asked for",
        ]
        assert all(pause.reconnects for pause in told.events if isinstance(pause, Pause))


async def test_nobody_there() -> None:
    url = f"http://127.0.0.1:{free_port()}/log"
    async with reading(Http(Service(url))) as told:
        await told.until(lambda told: len(told.pauses) >= 3)
        assert set(told.pauses) == {"connect_refused: ECONNREFUSED"}


async def test_credentials(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """They are read for each connection, and what cannot be read is told without them."""
    server.script = [then_silence(chunked(b"x\n", end=False))]
    way = {"auth": Bearer(Secret("env", "LOG_TOKEN")), "headers": (("X-Team", Secret("inline", "red")),)}
    monkeypatch.delenv("LOG_TOKEN", raising=False)
    async with reading(source(server, **way)) as told:
        await told.until(lambda told: told.pauses)
        assert told.pauses[0] == "auth: cannot read secret: environment variable LOG_TOKEN is not set or empty"
        assert not server.requests
        monkeypatch.setenv("LOG_TOKEN", "s3cr3t")
        await told.until(lambda told: told.lines)
        assert server.header("Authorization") == "Bearer s3cr3t"
        assert server.header("X-Team") == "red"
        assert "s3cr3t" not in repr(told.events)
    assert source(server).shown.endswith("/log")


@pytest.mark.parametrize(("lasted", "reset"), [(30.0, False), (0.0, True)])
async def test_waits_grow_until_a_stream_lasted(
    server: Server, monkeypatch: pytest.MonkeyPatch, lasted: float, reset: bool
) -> None:
    waits: list[float] = []
    following = backoff.Backoff.next

    def noted(self: backoff.Backoff) -> float:
        waits.append(following(self))
        return 0.0

    monkeypatch.setattr(backoff.Backoff, "next", noted)
    monkeypatch.setattr(backoff.Backoff.__init__, "__defaults__", (1.0, 60.0))
    monkeypatch.setattr(http, "_LASTED", lasted)
    server.script = [then_closed(head())]
    async with reading(source(server)) as told:
        await told.until(lambda told: len(waits) >= 10)
    bounds = [1.0 if reset else min(60.0, 2.0**at) for at in range(10)]
    assert all(bound / 2 <= wait <= bound for wait, bound in zip(waits, bounds, strict=False)), waits
    assert len(set(waits)) == len(waits)  # what was cut off together does not come back together
