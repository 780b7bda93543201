import json

import pytest

from exporter.model.failure import Reason
from exporter.model.job import Kind, Scope
from tests.protocols.scripted import FakeExchange, build

LIST = "GET /v1/models"
READY = "GET /v1/models/iris"
PREDICT = "POST /v1/models/iris:predict"
ASK = {"instances": [[5.1, 3.5, 1.4, 0.2]], "expect": {"predictions": [0]}}
MISSING = (404, '{"error":"Model with name iris does not exist."}')
UNREADY = (503, '{"error":"Model with name iris is not ready."}')


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ((200, '{"models":["iris"]}'), None),
        ((200, '{"models":[]}'), None),
        ((200, '{"data":[]}'), Reason.MALFORMED),
        ((200, "<html>"), Reason.MALFORMED),
        ((404, '{"detail":"Not Found"}'), Reason.HTTP_STATUS),
        ((503, ""), Reason.HTTP_STATUS),
    ],
)
async def test_health_is_that_it_lists(ask, answer, reason):
    found = await ask("kserve_v1", "health", {LIST: answer}, model="iris")
    assert (found.failure and found.failure.reason) is reason


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ((200, '{"name":"iris","ready":true}'), None),
        ((200, '{"name":"iris","ready":false}'), Reason.NOT_READY),
        (UNREADY, Reason.NOT_READY),
        ((503, "no healthy upstream"), Reason.NOT_READY),
        (MISSING, Reason.MODEL_NOT_FOUND),
        ((200, '{"name":"iris"}'), Reason.MALFORMED),
        ((200, '{"name":"iris","ready":"true"}'), Reason.MALFORMED),
        ((200, "ok"), Reason.MALFORMED),
        ((403, ""), Reason.AUTH),
        ((500, ""), Reason.HTTP_STATUS),
    ],
)
async def test_ready_of_a_model(ask, answer, reason):
    found = await ask("kserve_v1", "ready", {READY: answer}, model="iris")
    assert (found.failure and found.failure.reason) is reason


async def test_ready_of_a_server_is_that_it_has_a_model(ask):
    assert (await ask("kserve_v1", "ready", {LIST: (200, '{"models":["a"]}')})).failure is None
    assert (await ask("kserve_v1", "ready", {LIST: (200, '{"models":[]}')})).failure.reason is Reason.NOT_READY
    assert build("kserve_v1", Kind.READY).scope() is Scope.SERVER
    assert build("kserve_v1", Kind.READY, model="iris").scope() is Scope.MODEL


async def test_metadata_is_that_of_v2_where_it_is_there(ask):
    server = (200, '{"name":"kserve","version":"0.21.0","extensions":[]}')
    answers = {"GET /v2": server, "GET /v2/models/iris": (200, '{"name":"iris","platform":"sklearn"}')}
    found = await ask("kserve_v1", "metadata", answers, model="iris")
    assert found.info == {"server": "kserve", "server_version": "0.21.0", "platform": "sklearn"}
    assert (await ask("kserve_v1", "metadata", {"GET /v2": server}, model="iris")).info["server"] == "kserve"
    found = await ask("kserve_v1", "metadata", {}, model="iris")
    assert (found.failure, found.info) == (None, {})
    assert (await ask("kserve_v1", "metadata", {"GET /v2": (500, "")})).failure.reason is Reason.HTTP_STATUS


async def test_infer(ask):
    fake = FakeExchange({"POST /pre/v1/models/iris:predict?k=1": (200, '{"predictions":[0]}')})
    assert (await ask("kserve_v1", "infer", fake, ASK, model="iris", path="/pre/v1", query="k=1")).failure is None
    assert json.loads(fake.bodies[0]) == {"instances": ASK["instances"]}
    # Without it, the server reads the body as bytes and fails.
    assert ("Content-Type", "application/json") in fake.headers[0]


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ((200, '{"predictions":[1]}'), Reason.EXPECTATION),
        ((200, '{"error":"no"}'), Reason.ERROR_EVENT),
        ((200, "{}"), Reason.MALFORMED),
        (MISSING, Reason.MODEL_NOT_FOUND),
        (UNREADY, Reason.NOT_READY),
        ((500, '{"error":"ValueError : not enough values to unpack"}'), Reason.HTTP_STATUS),
    ],
)
async def test_infer_goes_wrong(ask, answer, reason):
    assert (await ask("kserve_v1", "infer", {PREDICT: answer}, ASK, model="iris")).failure.reason is reason


async def test_catalogue(ask):
    found = await ask("kserve_v1", "catalogue", {LIST: (200, '{"models":["b","a","b",3,"x\\u0000"]}')})
    assert found.models == ("b", "a")


async def test_a_proposal_has_one_row_of_zeros(ask):
    async def proposed(body, status=200):
        found = await ask("kserve_v1", "propose", {"GET /v2/models/iris": (status, body)}, model="iris")
        return found.proposal and found.proposal.settings

    assert await proposed('{"inputs":[{"name":"x","datatype":"FP32","shape":[-1,2]}]}') == {
        "interval": "1m", "instances": [[0.0, 0.0]],
    }  # fmt: skip
    assert await proposed('{"inputs":[]}') is None
    assert await proposed('{"inputs":[{"name":"a"},{"name":"b"}]}') is None
    assert await proposed('{"detail":"Not Found"}', 404) is None
    assert (await ask("kserve_v1", "propose", {})).proposal is None


def test_problems():
    def places(own, **more):
        return [place for place, _ in build("kserve_v1", Kind.INFER, own, **more).problems(Kind.INFER)]

    assert places(ASK, model="iris") == places({"inputs": {"a": 1}}, model="iris") == []
    assert places({}, model="iris") == [("instances",)]
    assert places({"instances": [1], "body": {}}, model="iris") == [("body",)]
    assert places(ASK) == [()]
    assert places({"body": {}, "path": "/x"}) == []
