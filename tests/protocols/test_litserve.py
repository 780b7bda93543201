import json

import pytest

from exporter.model.failure import Failure, Reason
from exporter.model.job import Kind
from exporter.model.stream import Outcome
from tests.protocols.scripted import FakeExchange, build

ABOUT = {"name": "flowers", "version": "7"}


def info(model=None, stream=None):
    return 200, json.dumps({"model": model, "server": {"devices": ["cpu"], "stream": stream or {"/predict": False}}})


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ((200, "ok"), None),
        ((200, '"ok"'), Reason.MALFORMED),
        ((200, "<html>"), Reason.MALFORMED),
        ((503, "not ready"), Reason.NOT_READY),
        ((401, '{"detail":"Invalid API Key. Check that you are passing a correct \'X-API-Key\'"}'), Reason.AUTH),
        ((403, '{"detail":"Not authenticated"}'), Reason.AUTH),
        ((404, '{"detail":"Not Found"}'), Reason.HTTP_STATUS),
        (Failure(Reason.CONNECT_REFUSED), Reason.CONNECT_REFUSED),
    ],
)
async def test_health_is_readiness_too(ask, answer, reason):
    failure = (await ask("litserve", "health", {"GET /health": answer})).failure
    assert (failure and failure.reason) is reason


async def test_a_pasted_address_is_understood(ask):
    fake = FakeExchange({"GET /m/health": (200, "ok"), "POST /m/predict": (200, "{}")})
    assert (await ask("litserve", "health", fake, path="/m/predict")).failure is None
    assert (await ask("litserve", "infer", fake, {"body": {}}, path="/m/predict")).failure is None


async def test_metadata(ask):
    found = await ask("litserve", "metadata", {"GET /info": info(ABOUT)})
    assert found.info == {"server": "litserve", "model_id": "flowers", "model_version": "7"}
    for model in (None, {}, {"name": 3}, "flowers"):
        assert (await ask("litserve", "metadata", {"GET /info": info(model)})).info == {"server": "litserve"}


@pytest.mark.parametrize("body", ["", "ok", "{}", "[]", '{"model":1,"server":{}}', '{"server":{"devices":[]}}'])
async def test_metadata_of_something_else(ask, body):
    assert (await ask("litserve", "metadata", {"GET /info": (200, body)})).failure.reason is Reason.MALFORMED


async def test_infer(ask):
    own = {"body": {"rows": [[1]]}, "expect": {"json": {"path": "classes", "equals": [0]}}}
    fake = FakeExchange({"POST /predict": (200, '{"classes":[0]}')})
    assert (await ask("litserve", "infer", fake, own)).failure is None
    assert json.loads(fake.bodies[0]) == {"rows": [[1]]}
    assert (await ask("litserve", "infer", {"POST /words": (200, "")}, {"path": "/words", "body": 1})).failure is None


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ((200, '{"classes":[1]}'), Reason.EXPECTATION),
        ((500, '{"detail":"Internal server error"}'), Reason.HTTP_STATUS),
        ((504, '{"detail":"Request timed out"}'), Reason.HTTP_STATUS),
        ((413, '{"detail":"Payload too large"}'), Reason.HTTP_STATUS),
        ((401, ""), Reason.AUTH),
    ],
)
async def test_infer_goes_wrong(ask, answer, reason):
    own = {"body": {}, "expect": {"json": {"path": "classes", "equals": [0]}}}
    assert (await ask("litserve", "infer", {"POST /predict": answer}, own)).failure.reason is reason


async def test_a_raw_stream_has_no_content_type(ask):
    script = [(101.0, b'{"word": "OK"}\n'), (102.0, b'{"word": "."}\n'), (103.0, None)]
    own = {"body": {}, "expect": {"regex": 'OK.*\n.*"."'}}
    found = await ask("litserve", "stream", {"POST /predict": (200, "", script)}, own)
    assert (found.failure, found.stream.outcome, found.stream.token_events) == (None, Outcome.COMPLETE, 2)


async def test_a_stream_that_broke_before_its_first_piece_is_empty(ask):
    found = await ask("litserve", "stream", {"POST /predict": (200, "", [(101.0, None)])}, {"body": {}})
    assert (found.failure.reason, found.stream.outcome) == (Reason.EMPTY, Outcome.EMPTY)


def test_problems():
    assert [place for place, _ in build("litserve", Kind.STREAM, {}).problems(Kind.STREAM)] == [("body",)]
    assert not build("litserve", Kind.METADATA, {}).problems(Kind.METADATA)
