"""What the hostile server says to a gRPC call, by port: HTTP/2 that goes wrong, and answers that are none."""

import gzip
from collections.abc import Iterator, Mapping
from itertools import chain, repeat

from exporter.transport import frames
from tests.hostile.ways import BURST, PAUSE, SECRET
from tests.support.http2 import END_HEADERS, END_STREAM, GRPC, HEADERS, Peer, Step, fields, frame, trailers

#: Longer than anybody waits.
FOREVER = 3600.0
OK = trailers((b"grpc-status", b"0"))
#: HealthCheckResponse: SERVING.
SERVING = b"\x08\x01"


class Endless:
    """First this, then that for ever, a burst at a time."""

    def __init__(self, first: bytes, unit: bytes) -> None:
        self._first = first
        self._burst = unit * max(1, BURST // len(unit))

    def __iter__(self) -> Iterator[Step]:
        return chain((self._first,), chain.from_iterable(repeat((self._burst, PAUSE))))


class Drip:
    """First this, then its byte over and over: no read ever times out."""

    def __init__(self, first: bytes, byte: bytes) -> None:
        self._first, self._byte = first, byte

    def __iter__(self) -> Iterator[Step]:
        return chain((self._first,), chain.from_iterable(repeat((self._byte, 0.02))))


def message(body: bytes, *, packed: bool = False) -> bytes:
    """A whole message, in as many frames as it takes."""
    whole = bytes([packed]) + len(body).to_bytes(4, "big") + body
    return b"".join(frame(frames.DATA, 0, 1, whole[at : at + 16384]) for at in range(0, len(whole), 16384))


def failing(code: int, text: bytes) -> bytes:
    """An answer that is only trailers."""
    pairs = (GRPC, (b"grpc-status", b"%d" % code), (b"grpc-message", text))
    return frame(frames.HEADERS, END_HEADERS | END_STREAM, 1, fields(*pairs))


def _gateway(status: int) -> list[Step]:
    """A page, from somebody who has never heard of gRPC."""
    head = fields((b"content-type", b"text/html"), status=status)
    return [frame(frames.HEADERS, END_HEADERS, 1, head), frame(frames.DATA, END_STREAM, 1, b"<html>"), FOREVER]


def _packed_as(coding: bytes) -> bytes:
    return frame(frames.HEADERS, END_HEADERS, 1, fields(GRPC, (b"grpc-encoding", coding)))


_PACKED = _packed_as(b"gzip")
#: The beginning of a block of headers, the last of which is long.
_HEAD = frame(frames.HEADERS, END_HEADERS, 1, (b"\x88\x00\x01x\x7f\xff\x7a").ljust(16000, b"v"))[:20]
#: More is to come.
_INTERIM = frame(frames.HEADERS, END_HEADERS, 1, fields(status=103))
#: No call after the first.
_GONE = frame(frames.GOAWAY, 0, 0, b"\0\0\0\1\0\0\0\0")
#: The beginning of a message of nearly four gigabytes.
_HUGE = frame(frames.DATA, 0, 1, b"\0\xff\xff\xff\xff")

#: What is said after the greeting of HTTP/2 and a call; then the connection is closed.
CALLS: Mapping[str, Peer] = {
    "h2_serving": Peer([HEADERS, message(SERVING), OK, FOREVER]),
    "h2_served_and_closed": Peer([HEADERS, message(SERVING), OK]),
    "h2_served_and_left": Peer([HEADERS, message(SERVING), OK, _GONE, FOREVER]),
    "h2_no_greeting": Peer([FOREVER], greeting=b""),
    "h2_silence": Peer([FOREVER]),
    "h2_stall": Peer([HEADERS, message(SERVING)[:9], FOREVER]),
    "h2_no_end": Peer([HEADERS, message(SERVING), FOREVER]),
    "h2_drip": Peer(Drip(HEADERS + frame(frames.DATA, 0, 1, b"\0\0\0\x3f\0" + bytes(16000))[:14], b"\0")),
    "h2_head_drip": Peer(Drip(_HEAD, b"v")),
    "h2_message_endless": Peer(Endless(HEADERS + _HUGE, frame(frames.DATA, 0, 1, bytes(16384)))),
    "h2_ping_flood": Peer(Endless(b"", frame(6, 0, 0, bytes(8)))),
    "h2_settings_flood": Peer(Endless(b"", frame(frames.SETTINGS, 0, 0))),
    "h2_empty_flood": Peer(Endless(HEADERS, frame(frames.DATA, 0, 1))),
    "h2_headers_endless": Peer(
        Endless(frame(frames.HEADERS, 0, 1, fields(GRPC)), frame(frames.CONTINUATION, 0, 1, fields((b"x", b"v" * 100))))
    ),
    "h2_huge_frame": Peer([HEADERS, frame(frames.DATA, 0, 1, bytes(100_000)), FOREVER]),
    "h2_huge_trailers": Peer(
        [HEADERS, message(SERVING), trailers(*[(b"x-%d" % n, b"v" * 120) for n in range(200)]), FOREVER]
    ),
    "h2_bad_block": Peer([frame(frames.HEADERS, END_HEADERS, 1, b"\xff" * 8), FOREVER]),
    "h2_bad_settings": Peer([frame(frames.SETTINGS, 0, 0, b"odd"), FOREVER]),
    "h2_goaway": Peer([frame(frames.GOAWAY, 0, 0, bytes(8)), FOREVER]),
    "h2_close": Peer(),
    "h2_reset": Peer([None]),
    "h2_close_in_message": Peer([HEADERS, message(SERVING)[:9]]),
    "h2_reset_in_message": Peer([HEADERS, message(SERVING)[:9], 0.02, None]),
    "h2_two_messages": Peer([HEADERS, message(SERVING), message(SERVING), OK, FOREVER]),
    "h2_no_message": Peer([HEADERS, OK, FOREVER]),
    "h2_short_message": Peer([HEADERS, frame(frames.DATA, 0, 1, b"\0\0\0\0\x40\x08\x01"), OK, FOREVER]),
    "h2_no_trailers": Peer([HEADERS, frame(frames.DATA, END_STREAM, 1, b"\0\0\0\0\2\x08\x01"), FOREVER]),
    "h2_html": Peer([frame(frames.HEADERS, END_HEADERS, 1, fields((b"content-type", b"text/html"))),
                     frame(frames.DATA, END_STREAM, 1, b"<html>"), FOREVER]),
    "h2_gateway_401": Peer(_gateway(401)),
    "h2_gateway_503": Peer(_gateway(503)),
    "h2_zip_bomb": Peer([_PACKED, message(gzip.compress(bytes(16 << 20), 9), packed=True), OK, FOREVER]),
    "h2_packed": Peer([_PACKED, message(gzip.compress(SERVING), packed=True), OK, FOREVER]),
    "h2_packed_lie": Peer([_PACKED, message(SERVING, packed=True), OK, FOREVER]),
    "h2_packed_unknown": Peer([_packed_as(b"rot13"), 0.05, message(SERVING, packed=True), OK, FOREVER]),
    "h2_header_nul": Peer(
        [frame(frames.HEADERS, END_HEADERS, 1, fields(GRPC, (b"x", b"a\0b"))), message(SERVING), OK, FOREVER]
    ),
    "h2_interim_one": Peer([_INTERIM, HEADERS, message(SERVING), OK, FOREVER]),
    "h2_interim_endless": Peer(Endless(b"", _INTERIM)),
    "h2_nonsense": Peer([HEADERS, message(b"\xff" * 100), OK, FOREVER]),
    "h2_not_serving": Peer([HEADERS, message(b"\x08\x02"), OK, FOREVER]),
    "h2_injection": Peer([failing(13, b'"} 1%0Aevil{a="%5C%FF <img onerror=x>'), FOREVER]),
    "h2_no_status": Peer([HEADERS, message(SERVING), trailers((b"x", b"y")), FOREVER]),
    "h2_bad_name": Peer(
        [frame(frames.HEADERS, END_HEADERS, 1, fields(GRPC, (b"X-Upper", b"y"))), message(SERVING), OK, FOREVER]
    ),
    "h2_broken_off": Peer([HEADERS, message(SERVING), frame(frames.RST_STREAM, 0, 1, b"\0\0\0\2"), FOREVER]),
    "h2_status_no_number": Peer([HEADERS, message(SERVING), trailers((b"grpc-status", b"fine")), FOREVER]),
    "h2_status_unknown": Peer([HEADERS, message(SERVING), trailers((b"grpc-status", b"99")), FOREVER]),
    "h2_unauthenticated": Peer([failing(16, b"who are you"), FOREVER]),
    "h2_echo": Peer([failing(16, b"nobody is known as " + SECRET.encode()), FOREVER]),
    "h2_busy": Peer([failing(8, b"queue is full"), FOREVER]),
}  # fmt: skip
