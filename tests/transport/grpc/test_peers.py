"""Peers that are no gRPC servers, or bad ones: frame by frame."""

import asyncio
import gc
import time

import pytest

from exporter.contracts import Reply
from exporter.model.endpoint import Endpoint
from exporter.model.failure import Failure, Reason
from exporter.transport import Transport, frames
from exporter.transport.connection import Connection
from exporter.transport.relay import Relay
from tests.support.http2 import END_HEADERS, END_STREAM, GREETING, GRPC, HEADERS, MESSAGE, fields, frame, trailers
from tests.transport.grpc.service import ECHO, failure_of

pytestmark = pytest.mark.slow

#: Seconds that a peer says nothing more, and does not hang up: nobody waits for their end.
LONG = 30.0


async def test_the_authority_is_the_hosts_name(opened, peer):
    """The name that was configured goes out, whatever address is connected to."""
    exchange = opened(scheme="grpc", host="models.example", port=peer.port, addresses=("127.0.0.1",))
    await failure_of(exchange.call(ECHO, b""))
    assert f"models.example:{peer.port}".encode() in peer.heard


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
        ([frame(frames.GOAWAY, 0, 0, bytes(8)), LONG], Reason.DISCONNECTED),
        ([HEADERS, frame(frames.DATA, END_STREAM | 8, 1, b"\xff"), LONG], Reason.PROTOCOL),  # padded beyond its end
        ([HEADERS, frame(frames.DATA, END_STREAM, 1, b"\0\0\0\0\2ok"), LONG], Reason.PROTOCOL),
        ([frame(frames.HEADERS, END_HEADERS, 1, b"\xff\xff\xff\xff\xff\xff\xff\xff"), LONG], Reason.PROTOCOL),
        ([frame(frames.SETTINGS, 0, 0, b"odd"), LONG], Reason.PROTOCOL),
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
    failure = await talk(*script, timeout=20.0)
    assert isinstance(failure, Failure), failure
    assert failure.reason is reason, failure
    assert failure.detail
    assert time.perf_counter() - began < 10.0


@pytest.mark.parametrize("code", [0, 1, 2, 7, 8, 11])
async def test_a_stream_that_is_reset_is_what_the_server_said(talk, code):
    reply = await talk(HEADERS, frame(frames.RST_STREAM, 0, 1, code.to_bytes(4, "big")), LONG)
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
    failure = await talk(LONG, greeting=greeting)
    assert failure.reason is Reason.PROTOCOL


@pytest.mark.parametrize(
    ("greeting", "script", "word"),
    [
        (b"", [LONG], "HTTP/2"),
        (GREETING, [LONG], "no answer"),
        (GREETING, [HEADERS, MESSAGE[:9], LONG], "did not end"),
    ],
    ids=["no-greeting", "no-answer", "no-end"],
)
async def test_silence_lasts_as_long_as_the_deadline(talk, greeting, script, word):
    for _ in range(5):  # a machine that stood still may have been late with what the peer did say
        began = time.perf_counter()
        failure = await talk(*script, greeting=greeting, timeout=0.4)
        if word in failure.detail:
            break
    assert failure.reason is Reason.TIMEOUT
    assert word in failure.detail
    assert time.perf_counter() - began < LONG / 2


async def test_a_drip_lasts_as_long_as_the_deadline(talk):
    script: list[bytes | float] = [HEADERS, frame(frames.DATA, 0, 1, bytes(50))[:9]]
    for _ in range(49):
        script += [b"\0", 0.5]
    began = time.perf_counter()
    assert (await talk(*script, timeout=0.4)).reason is Reason.TIMEOUT
    assert time.perf_counter() - began < 0.9 * 49 * 0.5


async def test_floods_of_small_frames_are_bounded(talk):
    ping = frame(6, 0, 0, bytes(8))
    failure = await talk(*[ping * 1000] * 100, LONG)
    assert failure.reason is Reason.TOO_LARGE
    assert "more frames" in failure.detail


async def test_a_message_may_come_in_many_small_frames(talk):
    whole = b"\0" + (30_000).to_bytes(4, "big") + bytes(30_000)
    parts = [frame(frames.DATA, 0, 1, whole[at : at + 50]) for at in range(0, len(whole), 50)]
    reply = await talk(HEADERS, b"".join(parts), trailers((b"grpc-status", b"0")))
    assert reply.body == bytes(30_000)


async def test_a_message_without_end_is_left_at_the_bound(talk):
    begun, more = b"\0\0\1\0\0".ljust(16384, b"x"), bytes(16384)
    failure = await talk(
        HEADERS, *(frame(frames.DATA, 0, 1, part) for part in (begun, more, more, more)), LONG, max_body=50_000
    )
    assert failure.reason is Reason.TOO_LARGE


@pytest.mark.parametrize("body", [b"", b"<html>"])
async def test_http_errors_of_a_gateway(talk, body):
    head = frame(frames.HEADERS, END_HEADERS | (0 if body else END_STREAM), 1, fields((b"server", b"x"), status=503))
    reply = await talk(head, *([frame(frames.DATA, END_STREAM, 1, body)] if body else []))
    assert isinstance(reply, Reply)
    assert reply.ended
    assert reply.code == 14
    assert reply.message.endswith("503")


@pytest.mark.parametrize(
    ("script", "outcome"),
    [
        ([frame(frames.HEADERS, END_HEADERS | END_STREAM, 1, b"\xff" * 8)], Reason.PROTOCOL),
        ([HEADERS, MESSAGE, trailers()], Reason.PROTOCOL),
        ([HEADERS, MESSAGE, trailers((b"grpc-status", b"none"))], Reason.PROTOCOL),
        ([HEADERS, MESSAGE, trailers((b"grpc-status", b"99"))], 2),
        # The server's own words, though they are like what grpcio says.
        ([HEADERS, trailers((b"grpc-status", b"13"), (b"grpc-message", b"Error parsing 'inputs'"))], 13),
        ([HEADERS, trailers((b"grpc-status", b"14"), (b"grpc-message", b"Stream removed"))], 14),
        ([HEADERS, trailers((b"grpc-status", b"0"))], Reason.PROTOCOL),
        # grpcio never comes to an end with these: we do.
        ([HEADERS, MESSAGE, MESSAGE, trailers((b"grpc-status", b"0"))], Reason.PROTOCOL),
        ([HEADERS, MESSAGE + MESSAGE, LONG], Reason.PROTOCOL),
        ([HEADERS, frame(frames.DATA, 0, 1, b"\0\0"), frame(frames.DATA, 0, 1, b"\0\0\2ok\0"), LONG], Reason.PROTOCOL),
        ([frame(frames.HEADERS, END_HEADERS, 1, fields((b"content-type", b"text/html"))),
          frame(frames.DATA, END_STREAM, 1, b"<html>")], Reason.PROTOCOL),
        ([HEADERS, MESSAGE, trailers(*[(b"x-%d" % n, b"v" * 120) for n in range(110)], (b"grpc-status", b"0"))], 0),
        ([HEADERS, MESSAGE, trailers(*[(b"x-%d" % n, b"v" * 120) for n in range(200)], (b"grpc-status", b"0"))],
         Reason.PROTOCOL),
    ],
    ids=["bad-block", "no-status", "odd-status", "unknown-status", "like-grpcio", "like-grpcio-too",
         "no-message", "two-messages", "two-in-a-read",
         "more-in-a-frame", "html", "large-trailers",
         "huge-trailers"],
)  # fmt: skip
async def test_ends_of_other_kinds(talk, script, outcome):
    found = await talk(*script, LONG, timeout=20.0)
    assert (found.code if isinstance(found, Reply) else found.reason) == outcome, found


async def test_what_peers_say_is_not_written_to_the_log(talk, caplog):
    """grpcio would: it has a line for metadata that is no text."""
    reply = await talk(HEADERS, MESSAGE, trailers((b"grpc-status", b"0"), (b"x-echo", b"\xff s3cret")))
    assert reply.body == b"ok"
    assert not caplog.records


async def test_nothing_of_a_call_is_left_to_the_collector(transport: Transport, peer) -> None:
    """A peer that greets and says no more: all of it was old when the deadline came."""
    peer.greeting, peer.script = GREETING, [LONG]

    async def run() -> None:
        deadline = time.perf_counter() + 0.3
        exchange = transport.exchange(
            Endpoint("grpc", "127.0.0.1", peer.port), deadline=deadline, trace_id="0" * 32, memory={}
        )
        with pytest.raises(Failure):
            await exchange.call(ECHO, b"hello")
        await exchange.close()

    gc.collect()
    gc.disable()
    try:
        await run()
        await asyncio.sleep(0.1)
        assert not [each for each in gc.get_objects() if type(each) in (Relay, Connection)]
    finally:
        gc.enable()
