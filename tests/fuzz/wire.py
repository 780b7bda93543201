"""Answers over HTTP, and streams: cut anywhere they are the same, and within their bounds."""
# ruff: noqa: PT017 - what is raised here is an answer, and what it says is looked at

import gzip
import re
import struct
import zlib
from collections.abc import Iterator, Sequence
from typing import Any

from exporter.model.failure import Failure, Reason
from exporter.transport.content import STEP, Decoder
from exporter.transport.framing import Event, NdjsonParser, SseParser
from exporter.transport.message import Answer

LIMIT = 4096


def cuts(data: bytes) -> Iterator[bytes]:
    """The same bytes in pieces; where they are cut is in the bytes."""
    step = 1 + sum(data[:2]) % 7
    for start in range(0, len(data), step):
        yield data[start : start + step]


def http(data: bytes) -> None:
    """An answer: cut anywhere it is the same answer, within its bounds, and nothing but a Failure stops it."""

    def read(pieces: Sequence[bytes]) -> Answer:
        answer = Answer(max_body=LIMIT)
        for at, piece in enumerate(pieces):
            if piece and not answer.done and answer.failure is None:
                answer.feed(float(at), piece)
        answer.eof(float(len(pieces)))
        assert answer.done or isinstance(answer.failure, Failure)
        assert answer.failure is None or answer.failure.reason is not Reason.INTERNAL
        assert len(answer.content()) <= LIMIT
        return answer

    def seen(answer: Answer) -> tuple[Any, ...]:
        reason = answer.failure.reason if answer.failure else None
        return (answer.done, answer.status, reason, answer.content() if answer.done else b"")

    whole, pieces = read([data]), read(list(cuts(data)))
    if whole.done and pieces.done:
        assert seen(whole) == seen(pieces)
    assert whole.done == pieces.done, (seen(whole), seen(pieces))


def encoding(data: bytes) -> None:
    """A compressed body: never more than the bound, and what zlib makes of it."""
    for coding in ("gzip", "deflate"):
        decoder, total = Decoder(coding, LIMIT), b""
        try:
            for piece in cuts(data):
                for part in decoder.feed(piece):
                    assert len(part) <= STEP
                    total += part
                    assert len(total) <= LIMIT
        except Failure as failure:
            assert failure.reason in (Reason.ENCODING, Reason.TOO_LARGE)
            continue
        if coding == "gzip" and data[:2] == b"\x1f\x8b":
            try:
                expected = gzip.decompress(data)
            except (OSError, EOFError, zlib.error, struct.error):
                continue
            assert total == expected


def _events(parser: SseParser | NdjsonParser, pieces: Sequence[bytes]) -> list[tuple[str, str]] | Reason:
    found: list[Event] = []
    try:
        for at, piece in enumerate(pieces):
            parser.feed(float(at), piece)
            found += parser
        if (last := parser.finish(99.0)) is not None:
            found.append(last)
    except Failure as failure:
        assert failure.reason in (Reason.TOO_LARGE, Reason.MALFORMED)
        return failure.reason
    return [(event.name, event.data) for event in found]


def sse(data: bytes) -> None:
    """Server-sent events: the same in any cut, and what the specification reads in them."""
    found = _events(SseParser(LIMIT), list(cuts(data)))
    whole = _events(SseParser(LIMIT), [data])
    assert isinstance(found, Reason) == isinstance(whole, Reason)
    if isinstance(found, Reason):
        return
    assert found == whole
    try:
        lines = re.split("\r\n|\r|\n", data.removeprefix(b"\xef\xbb\xbf").decode())
    except UnicodeDecodeError:
        return
    events, name, parts = [], "", []
    for line in [*lines, ""]:
        field, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if not line:
            if parts:
                events.append((name, "\n".join(parts)))
            name, parts = "", []
        elif field == "data":
            parts.append(value)
        elif field == "event":
            name = value
    assert found == events


def ndjson(data: bytes) -> None:
    """Lines: the same in any cut, and what splitting at line breaks gives."""
    found = _events(NdjsonParser(LIMIT), list(cuts(data)))
    whole = _events(NdjsonParser(LIMIT), [data])
    assert isinstance(found, Reason) == isinstance(whole, Reason)
    if not isinstance(found, Reason):
        lines = [line.removesuffix(b"\r") for line in data.removeprefix(b"\xef\xbb\xbf").split(b"\n")]
        assert [text for _, text in found] == [text for _, text in whole]
        assert len(found) == len([line for line in lines if line.strip()])
