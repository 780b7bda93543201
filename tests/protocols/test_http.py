import json

import pytest
from pydantic import ValidationError

from exporter.model.failure import Reason
from exporter.model.job import Kind
from exporter.model.stream import Outcome
from tests.protocols.scripted import FakeExchange, build


@pytest.mark.parametrize(
    ("path", "query", "own", "asked"),
    [
        ("", "", {}, "GET /health"),
        ("/alive", "", {}, "GET /alive"),
        ("/alive", "a=1", {}, "GET /alive?a=1"),
        ("/alive", "a=1", {"path": "/other"}, "GET /other?a=1"),
        ("", "", {"method": "HEAD"}, "HEAD /health"),
        ("", "", {"body": {"a": 1}}, "POST /health"),
        ("", "", {"body": "x", "method": "PUT"}, "PUT /health"),
    ],
)
async def test_what_is_asked(ask, path, query, own, asked):
    fake = FakeExchange({asked: (200, "")})
    assert (await ask("http", "health", fake, own, path=path, query=query)).failure is None
    assert fake.asked == [asked]


async def test_body_and_headers(ask):
    fake = FakeExchange({"POST /health": (200, "")})
    await ask("http", "infer", fake, {"body": {"ä": [1]}, "headers": {"X-Key": "k"}})
    await ask("http", "infer", fake, {"body": "plain ä"})
    await ask("http", "infer", fake, {"body": "<a/>", "headers": {"content-type": "text/xml"}})
    assert json.loads(fake.bodies[0]) == {"ä": [1]}
    assert fake.headers[0] == [("X-Key", "k"), ("Content-Type", "application/json")]
    assert fake.bodies[1] == "plain ä".encode()
    assert fake.headers[1] == [("Content-Type", "text/plain; charset=utf-8")]
    assert fake.headers[2] == [("content-type", "text/xml")]


async def test_headers_without_a_body(ask):
    fake = FakeExchange({"GET /health": (200, "")})
    await ask("http", "health", fake, {"headers": {"X-Key": "k"}})
    assert fake.headers == [[("X-Key", "k")]]
    assert fake.bodies == [None]


@pytest.mark.parametrize(
    ("expect", "answer", "reason"),
    [
        ({}, (200, ""), None),
        ({}, (404, ""), Reason.HTTP_STATUS),
        ({}, (302, ""), Reason.REDIRECT),
        ({"status": [404]}, (404, ""), None),
        ({"status": [401]}, (401, ""), None),
        ({"status": [404]}, (200, ""), Reason.EXPECTATION),
        ({"status": [404]}, (503, "loading"), Reason.NOT_READY),
        ({"status": ["200-399"]}, (302, ""), None),
        ({"text": "ok"}, (200, "it is ok"), None),
        ({"text": "ok"}, (200, "no"), Reason.EXPECTATION),
        ({"regex": "^o"}, (200, "ok"), None),
        ({"regex": "^o"}, (200, "no"), Reason.EXPECTATION),
        ({"json": "ok"}, (200, '{"ok": true}'), None),
        ({"json": "ok"}, (200, '{"ok": false}'), Reason.EXPECTATION),
        ({"json": "ok"}, (200, "ok"), Reason.MALFORMED),
        ({"json": {"path": "a", "equals": 1}}, (200, '{"a": 1}'), None),
        ({"header": {"x-a": "^1"}}, (200, "", [("X-A", "12")]), None),
        ({"header": {"x-a": "^2"}}, (200, "", [("X-A", "12")]), Reason.EXPECTATION),
        ({"header": {"x-a": ""}}, (200, ""), Reason.EXPECTATION),
    ],
)
async def test_expectations(ask, expect, answer, reason):
    found = await ask("http", "health", {"GET /health": answer}, {"expect": expect})
    assert (found.failure and found.failure.reason) is reason


async def test_a_large_body_is_judged_like_a_small_one(ask):
    large = json.dumps({"pad": "x" * 600_000, "ok": True})
    own = {"expect": {"json": "ok", "regex": "ok.: true"}}
    assert (await ask("http", "health", {"GET /health": (200, large)}, own)).failure is None


@pytest.mark.parametrize(
    ("kind", "script", "outcome", "events"),
    [
        ("text/event-stream", [(101, b"data: a\n\ndata: b\n\n"), (102, None)], Outcome.COMPLETE, 2),
        (
            "text/event-stream; charset=utf-8",
            [(101, b": x\n\nevent: ping\ndata: p\n\n"), (102, None)],
            Outcome.EMPTY,
            0,
        ),
        ("text/event-stream", [(101, b"data: a\n\ndata: [DONE]\n\n")], Outcome.COMPLETE, 1),
        ("text/event-stream", [(101, b"data: a\n\nevent: error\ndata: b\n\n")], Outcome.ERROR_EVENT, 1),
        ("application/x-ndjson", [(101, b'{"a":1}\n{"a":2}\n'), (102, None)], Outcome.COMPLETE, 2),
        ("application/x-ndjson", [(101, b'{"a":1}\n{"error":"x"}\n'), (102, None)], Outcome.ERROR_EVENT, 1),
        ("", [(101, b"a"), (102, b"b"), (103, None)], Outcome.COMPLETE, 2),
        ("application/octet-stream", [(101, b"\xff"), (103, None)], Outcome.COMPLETE, 1),
        ("", [(103, None)], Outcome.EMPTY, 0),
        ("", [(101, b"a")], Outcome.STALLED, 1),
    ],
)
async def test_streams(ask, kind, script, outcome, events):
    found = await ask("http", "stream", {"POST /gen": (200, kind, script)}, {"path": "/gen", "body": {}})
    assert found.stream.outcome is outcome
    assert found.stream.token_events == events


async def test_stream_expectations(ask):
    script = [(101, b"Hello "), (102, b"World"), (103, None)]
    for expect, reason in (
        ({"text": "o W"}, None),
        ({"text": "moon"}, Reason.EXPECTATION),
        ({"header": {"content-type": "text/plain"}}, None),
        ({"header": {"x": "y"}}, Reason.EXPECTATION),
    ):
        found = await ask("http", "stream", {"GET /s": (200, "text/plain", script)}, {"path": "/s", "expect": expect})
        assert (found.failure and found.failure.reason) is reason
        assert found.stream.outcome is Outcome.COMPLETE
    found = await ask("http", "stream", {"GET /s": (503, "", [(101, b"queue full")])}, {"path": "/s"})
    assert found.failure.reason is Reason.OVERLOADED
    assert found.stream is None


@pytest.mark.parametrize(
    ("own", "place"),
    [
        ({"method": "GET /x"}, "method"),
        ({"method": "CONNECT"}, "method"),
        ({"path": "x"}, "path"),
        ({"path": "/a b"}, "path"),
        ({"headers": {"X Y": "z"}}, "headers"),
        ({"headers": {"A": "1", "a": "2"}}, "headers"),
        ({"headers": {"A": "1\n2"}}, "headers"),
        ({"expect": {"status": []}}, "expect"),
        ({"expect": {"jsn": "a"}}, "expect"),
    ],
)
def test_wrong_settings(own, place):
    with pytest.raises(ValidationError) as caught:
        build("http", Kind.HEALTH, own)
    assert caught.value.errors()[0]["loc"][0] == place


def test_a_body_needs_a_method_that_carries_it():
    for method in ("GET", "HEAD", "get"):
        problems = build("http", Kind.INFER, {"method": method, "body": {}}).problems(Kind.INFER)
        assert problems[0][0] == ("body",)
        assert "method" in problems[0][1]
    assert build("http", Kind.INFER, {"body": {}}).problems(Kind.INFER) == ()
