import asyncio
import gc
import json
import threading
import time
import tracemalloc
from itertools import pairwise

import pytest

from exporter.model.failure import Failure, Reason
from exporter.protocols import reading
from exporter.protocols.reading import LARGE, handle, json_or_none, kind, parse, parse_object


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"  \n",
        b"{",
        b"<html>",
        b'{"a": NaN}',
        b'{"a": Infinity}',
        b'{"a": -Infinity}',
        b"[" * 200_000,
        b'{"a":' * 200_000,
        b'{"a": ' + b"9" * 5000 + b"}",
        b'\xef\xbb\xbf{"a": 1}',
        b'{"a": "\xff"}',
        '{"a": 1}'.encode("utf-16"),
        b'{"a": 1} x',
    ],
    ids=lambda body: repr(body[:12]),
)
def test_what_is_not_plain_json_is_malformed(body):
    with pytest.raises(Failure) as caught:
        parse(body)
    assert caught.value.reason is Reason.MALFORMED
    assert len(caught.value.detail) <= 250


@pytest.mark.parametrize("value", [{}, {"a": [1, 2.5, None, True, "\u2028"]}, [], "x", 0, None])
def test_plain_json_is_read(value):
    assert parse(json.dumps(value).encode()) == value


@pytest.mark.parametrize("body", [b"[]", b"null", b"1", b'"x"', b"true"])
def test_an_object_is_an_object(body):
    with pytest.raises(Failure, match="a JSON object was expected"):
        parse_object(body)


def test_kind_names_types():
    values = (None, True, 1, 1.5, "", [], {})
    assert [kind(value) for value in values] == [
        "null", "a boolean", "a number", "a number", "a string", "a list", "an object",
    ]  # fmt: skip


BIG = b" " * LARGE


@pytest.mark.parametrize(
    "body",
    [
        b"", b"{", b"[NaN]", b"[Infinity]", b"[-Infinity]", b"[" * 300, b"9" * 5000, b'["\xff"]', b"[1] x", b"[01]",
        b'["\\ud800"]', b'["a\nb"]',
    ],
    ids=lambda body: repr(body[:12]),
)  # fmt: skip
def test_large_bodies_are_read_as_strictly(body):
    with pytest.raises(Failure) as caught:
        parse(BIG + body)
    assert caught.value.reason is Reason.MALFORMED
    assert "the body is" in caught.value.detail
    with pytest.raises(Failure):
        parse(body.join([b"\xef\xbb\xbf", BIG]))


@pytest.mark.parametrize(
    "text",
    ['{"a": [1, 2.5, null, true, "\u2028", "\\ud83d\\ude00"]}', '{"a": 1, "a": 2}', "1e999", "-0.0", "9" * 4000, '"x"'],
    ids=lambda text: text[:12],
)
def test_large_bodies_are_read_alike(text):
    for body in (text.encode() + BIG, BIG.decode() + text):
        assert repr(parse(body)) == repr(json.loads(body))


def taken(body: bytes, length: int) -> int:
    """Bytes of memory that it takes to parse a body, at the peak."""
    tracemalloc.start()
    try:
        assert len(parse(body)) == length
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.slow
@pytest.mark.parametrize("wide", ["\u4e2d", "\U0001f600", "\\ud83d\\ude00"])
def test_one_wide_character_makes_a_whole_text_wide(wide):
    most, more = int(reading.MEMORY * 0.99) // 5, reading.MEMORY // 5 + 1000
    assert taken(f'"{"x" * most}{wide}"'.encode(), most + 1) <= reading.MEMORY
    with pytest.raises(Failure, match="MB of memory") as caught:
        parse(f'"{"x" * more}{wide}"'.encode())
    assert caught.value.reason is Reason.TOO_LARGE
    assert len(parse(f'"{"x" * more}"'.encode())) == more


@pytest.mark.slow
@pytest.mark.parametrize("unit", [b"1", b"1.5", b"[]", b"{}", b'{"a":1}', b'"x"', b"[[1,2],[3,4]]"])
def test_more_than_memory_holds_is_not_parsed(unit):
    """The most that is let through takes no more than it may."""
    one = sum(weight * (unit + b",").count(mark) for mark, weight in reading._WEIGHTS.items())
    most = int(reading.MEMORY * 0.99) // one
    collected = gc.isenabled()
    assert taken(b"[" + b",".join([unit] * most) + b"]" + BIG, most) <= reading.MEMORY
    assert gc.isenabled() is collected
    for more in (b"[" + b",".join([unit] * (2 * most)) + b"]", b"[" + b",".join([unit] * (2 * most))):
        with pytest.raises(Failure) as caught:
            parse(more + BIG)
        assert caught.value.reason is Reason.TOO_LARGE
        with pytest.raises(Failure, match="MB of memory"):
            parse((more + BIG).decode())


def test_what_is_no_json_from_its_beginning_is_malformed_however_much_there_is():
    for body in (b"[" * 10_000_000, b"[nope" + b",1" * 5_000_000):
        with pytest.raises(Failure) as caught:
            parse(body)
        assert caught.value.reason is Reason.MALFORMED


def test_nothing_of_a_large_body_is_kept_for_the_next():
    body = b"{" + b",".join(b'"a key nobody had before, %d": 1' % number for number in range(20_000)) + b"}"
    parse(body)
    tracemalloc.start()
    try:
        assert len(parse(body.replace(b"before", b"either"))) == 20_000
        assert tracemalloc.get_traced_memory()[0] < 20_000
    finally:
        tracemalloc.stop()


async def test_one_large_body_at_a_time_and_the_loop_has_half_of_it():
    busy: list[tuple[float, float]] = []

    def work(_: bytes) -> None:
        began = time.perf_counter()
        while time.perf_counter() < began + 0.02:
            pass
        busy.append((began, time.perf_counter()))

    await asyncio.gather(*(handle(BIG + b" ", work) for _ in range(10)))
    for (began, ended), (again, _) in pairwise(busy):
        assert again - ended >= 0.9 * min(ended - began, reading._LONGEST_REST)


async def test_a_huge_body_does_not_hold_up_a_large_one():
    go_on = threading.Event()
    huge = asyncio.ensure_future(handle(b" " * (reading.HUGE + 1), lambda _: go_on.wait(20)))
    try:
        assert await asyncio.wait_for(handle(BIG + b" ", len), 10) == LARGE + 1
        assert not huge.done()
    finally:
        go_on.set()
    assert await huge


async def test_a_large_body_that_nobody_waits_for_any_more_is_left_alone():
    read: list[str] = []
    first = asyncio.ensure_future(handle(BIG + b" ", lambda _: (time.sleep(0.05), read.append("first"))))
    second = asyncio.ensure_future(handle(BIG + b" ", lambda _: read.append("second")))
    await asyncio.sleep(0.01)
    second.cancel()
    await first
    await handle(BIG + b" ", lambda _: read.append("third"))
    assert read == ["first", "third"]


async def test_large_bodies_leave_the_loop():
    def where(_: bytes) -> int:
        return threading.get_ident()

    assert await handle(b"x" * LARGE, where) == threading.get_ident()
    assert await handle(b"x" * (LARGE + 1), where) != threading.get_ident()
    assert await handle(b"xx", where, large=1) != threading.get_ident()


def test_where_none_will_do_nothing_is_malformed():
    assert json_or_none(b'{"a": 1}', 8) == {"a": 1}
    assert json_or_none(b'{"a": 1}', 7) is None, "too long to be looked at"
    assert json_or_none(b"<html>") is None
    assert json_or_none(b'{"a": NaN}') is None
