import json
import threading

import pytest

from exporter.model.failure import Failure, Reason
from exporter.protocols.reading import LARGE, handle, kind, parse, parse_object


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


async def test_large_bodies_leave_the_loop():
    def where(_: bytes) -> int:
        return threading.get_ident()

    assert await handle(b"x" * LARGE, where) == threading.get_ident()
    assert await handle(b"x" * (LARGE + 1), where) != threading.get_ident()
    assert await handle(b"xx", where, large=1) != threading.get_ident()
