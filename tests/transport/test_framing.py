import json
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.model.failure import Failure, Reason
from exporter.transport.framing import Event, NdjsonParser, SseParser

Parser = SseParser | NdjsonParser


def parse(parser: Parser, *reads: bytes) -> list[Event]:
    events = []
    for at, data in enumerate(reads):
        parser.feed(float(at), data)
        events += list(parser)
    last = parser.finish(float(len(reads)))
    return [*events, last] if last else events


def said(events: list[Event]) -> list[tuple[str, str, str]]:
    return [(event.name, event.data, event.id) for event in events]


def cut(data: bytes, places: list[int]) -> list[bytes]:
    edges = [0, *sorted(place % (len(data) + 1) for place in places), len(data)]
    return [data[start:end] for start, end in pairwise(edges)]


@pytest.mark.parametrize(
    ("text", "events"),
    [
        (b"data: a\n\n", [("", "a", "")]),
        (b"data:a\n\n", [("", "a", "")]),
        (b"data:  a\n\n", [("", " a", "")]),
        (b"data: a\r\n\r\n", [("", "a", "")]),
        (b"data: a\r\r", [("", "a", "")]),
        (b"data: a\r\r\ndata: b\n\n", [("", "a", ""), ("", "b", "")]),
        (b"data: a\ndata: b\ndata:\n\n", [("", "a\nb\n", "")]),
        (b"data\n\n", [("", "", "")]),
        (b": comment\n\ndata: a\n: more\n\n", [("", "a", "")]),
        (b"event: ping\n\ndata: a\n\n", [("", "a", "")]),
        (b"event: error\ndata: a\n\ndata: b\n\n", [("error", "a", ""), ("", "b", "")]),
        (b"id: 7\ndata: a\n\ndata: b\n\n", [("", "a", "7"), ("", "b", "7")]),
        (b"retry: 100\nfoo: bar\nnonsense\ndata: a\n\n", [("", "a", "")]),
        (b"\xef\xbb\xbfdata: a\n\n", [("", "a", "")]),
        (b"data: \xef\xbb\xbfa\n\n", [("", "\ufeffa", "")]),
        (b"\n\n\n", []),
        (b"", []),
        (b"data: [DONE]\n", [("", "[DONE]", "")]),
        (b"data: [DONE]", [("", "[DONE]", "")]),
        ("data: \U0001f600\n\n".encode(), [("", "\U0001f600", "")]),
    ],
)
def test_sse(text: bytes, events: list[tuple[str, str, str]]) -> None:
    assert said(parse(SseParser(), text)) == events
    assert said(parse(SseParser(), *(bytes([byte]) for byte in text))) == events


_PLAIN = st.characters(codec="utf-8", exclude_characters="\r\n")
_LINE = st.one_of(
    st.builds(lambda value: b"data: " + value.encode(), st.text(_PLAIN, max_size=8)),
    st.sampled_from([b"", b"", b":", b": x", b"event: e", b"id: 1", b"data", b"data:", b"\xef\xbb\xbfdata: b", b"x"]),
)
_STREAM = st.lists(st.tuples(_LINE, st.sampled_from([b"\n", b"\r\n", b"\r"])), max_size=20).map(
    lambda lines: b"".join(line + end for line, end in lines)
)
_CUTS = st.lists(st.integers(0, 400), max_size=30)


@given(_STREAM, _CUTS)
def test_sse_is_the_same_however_it_is_cut(text: bytes, cuts: list[int]) -> None:
    assert said(parse(SseParser(), *cut(text, cuts))) == said(parse(SseParser(), text))


@given(_STREAM)
def test_sse_lines_end_as_in_the_standard(text: bytes) -> None:
    """All three ends of a line are one and the same."""
    plain = text.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    assert said(parse(SseParser(), text)) == said(parse(SseParser(), plain))


@given(st.lists(st.text(_PLAIN, min_size=1), max_size=10), _CUTS)
def test_sse_brings_back_what_was_sent(texts: list[str], cuts: list[int]) -> None:
    wire = b"".join(b"data: " + json.dumps(text).encode() + b"\n\n" for text in texts)
    assert [json.loads(event.data) for event in parse(SseParser(), *cut(wire, cuts))] == texts


@given(st.lists(st.sampled_from([b"{}", b'{"a": "\xc3\xa9"}', b"", b" ", b"[1]\r"]), max_size=12), _CUTS, st.booleans())
def test_ndjson_is_the_same_however_it_is_cut(lines: list[bytes], cuts: list[int], ended: bool) -> None:
    wire = b"\n".join(lines) + (b"\n" if ended else b"")
    found = [json.loads(event.data) for event in parse(NdjsonParser(), *cut(wire, cuts))]
    assert found == [json.loads(line) for line in lines if line.strip()]


def test_ndjson_bom_and_lone_carriage_return() -> None:
    assert [event.data for event in parse(NdjsonParser(), b'\xef\xbb\xbf{"a":\r1}\n')] == ['{"a":\r1}']


def test_the_stamp_is_that_of_the_read_that_completed_the_event() -> None:
    parser = SseParser()
    for at, data in ((1.0, b"data: a"), (2.0, b"\n"), (3.0, b"\ndata: b\n\nda"), (4.0, b"ta: c\r\n\r"), (5.0, b"\n")):
        parser.feed(at, data)
    assert [(event.at, event.data) for event in parser] == [(3.0, "a"), (3.0, "b"), (4.0, "c")]


@pytest.mark.parametrize(("make", "lead", "end"), [(SseParser, b"data: ", b"\n\n"), (NdjsonParser, b"", b"\n")])
@given(texts=st.lists(st.text(_PLAIN, min_size=1, max_size=6), max_size=10), cuts=_CUTS)
def test_stamps_are_those_of_the_last_byte(
    make: type[Parser], lead: bytes, end: bytes, texts: list[str], cuts: list[int]
) -> None:
    wire, ends = b"", []
    for text in texts:
        wire += lead + json.dumps(text).encode() + end
        ends.append(len(wire))
    pieces = cut(wire, cuts)
    edges = [sum(map(len, pieces[: place + 1])) for place in range(len(pieces))]
    read_of = [next(place for place, edge in enumerate(edges) if edge >= last) for last in ends]
    events = parse(make(), *pieces)
    assert [json.loads(event.data) for event in events] == texts
    assert [event.at for event in events] == read_of


def test_a_caller_may_stop_and_go_on() -> None:
    parser = SseParser()
    parser.feed(1.0, b"data: a\n\ndata: b\n\n")
    assert next(iter(parser)).data == "a"
    parser.feed(2.0, b"data: c\n\n")
    assert [event.data for event in parser] == ["b", "c"]


@pytest.mark.parametrize("parser", [SseParser(100), NdjsonParser(100)])
@pytest.mark.parametrize("size", [10, 200])
def test_an_event_is_bounded(parser: Parser, size: int) -> None:
    with pytest.raises(Failure) as caught:
        parse(parser, *[b"data: " + b"x" * size] * 60)
    assert caught.value.reason is Reason.TOO_LARGE


def test_many_small_lines_of_one_event_are_bounded() -> None:
    with pytest.raises(Failure) as caught:
        parse(SseParser(100), b"data:\n" * 50)
    assert caught.value.reason is Reason.TOO_LARGE


def test_the_bound_is_of_one_event_not_of_the_stream() -> None:
    assert len(parse(SseParser(100), b"data: abc\n\n: comment\n\n" * 100)) == 100
    assert len(parse(NdjsonParser(100), b"{}\n" * 100)) == 100


@pytest.mark.parametrize(("parser", "text"), [(SseParser(), b"data: \xff\n\n"), (NdjsonParser(), b"\xff\n")])
def test_what_is_no_text_is_malformed(parser: Parser, text: bytes) -> None:
    with pytest.raises(Failure) as caught:
        parse(parser, text)
    assert caught.value.reason is Reason.MALFORMED


def test_a_bad_comment_hurts_nobody() -> None:
    assert said(parse(SseParser(), b": \xff\n\ndata: a\n\n")) == [("", "a", "")]
