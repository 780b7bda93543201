import json

import pytest

from exporter.model.failure import Reason
from exporter.model.job import Kind, Scope
from tests.fakes.seldon import Seldon
from tests.protocols.scripted import FakeExchange, build

ASK = {"ndarray": [[1.0, 2.0]], "expect": {"data": [[2.0, 4.0]]}}


@pytest.fixture
async def server():
    async with Seldon() as server:
        yield server


async def test_all_is_well(server, reach):
    assert (await reach(server, "seldon", "health")).failure is None
    assert (await reach(server, "seldon", "ready")).failure is None
    found = await reach(server, "seldon", "metadata")
    assert found.info == {
        "server": "seldon", "model_id": "doubler", "model_version": "doubler/v3", "platform": "numpy",
    }  # fmt: skip
    assert (await reach(server, "seldon", "infer", ASK)).failure is None
    assert build("seldon", Kind.READY).scope() is Scope.MODEL


@pytest.mark.parametrize(
    ("check", "reason"),
    [(None, None), (503, Reason.NOT_READY), (500, Reason.HTTP_STATUS), (400, Reason.HTTP_STATUS)],
)
async def test_ready_is_the_authors_own_check(server, reach, check, reason):
    server.check = check
    found = await reach(server, "seldon", "ready")
    assert (found.failure and found.failure.reason) is reason
    if found.failure is not None:
        assert "the feature store cannot be reached" in found.failure.detail


@pytest.mark.parametrize(
    ("own", "sent"),
    [
        ({"ndarray": [[1.0]], "names": ["a"]}, {"data": {"names": ["a"], "ndarray": [[1.0]]}}),
        (
            {"tensor": {"shape": [1, 2], "values": [1.0, 2.0]}, "expect": {"data": [2.0, 4.1], "tolerance": 0.2}},
            {"data": {"tensor": {"shape": [1, 2], "values": [1.0, 2.0]}}},
        ),
        ({"str_data": "ab", "expect": {"json": "strData == 'abab'"}}, {"strData": "ab"}),
        ({"json_data": {"a": 1}, "expect": {"json": "jsonData[1].a == `1`"}}, {"jsonData": {"a": 1}}),
        ({"body": {"data": {"ndarray": [[0]]}}}, {"data": {"ndarray": [[0]]}}),
    ],
)
async def test_each_form_of_message(server, reach, own, sent):
    assert (await reach(server, "seldon", "infer", own)).failure is None
    assert server.requests[0].json == sent


async def test_infer_goes_wrong(server, reach):
    found = await reach(server, "seldon", "infer", ASK | {"expect": {"data": [[2.0, 5.0]]}})
    assert (found.failure.reason, found.failure.detail) == (Reason.EXPECTATION, "data[1] is 4, expected 5")
    found = await reach(server, "seldon", "infer", {"body": {"wrong": 1}})
    assert (found.failure.reason, found.failure.http_status) == (Reason.HTTP_STATUS, 400)
    assert found.failure.detail == "HTTP 400: Unknown data type: ['wrong']"
    server.status = {"code": 500, "info": "out of memory", "reason": "X", "status": "FAILURE"}
    found = await reach(server, "seldon", "infer", ASK)
    assert (found.failure.reason, found.failure.http_status) == (Reason.HTTP_STATUS, 500)
    server.status = {"code": 200, "info": "out of memory", "reason": "X", "status": "FAILURE"}
    found = await reach(server, "seldon", "infer", ASK)
    assert (found.failure.reason, found.failure.detail) == (
        Reason.ERROR_EVENT, "an error with status 200: out of memory",
    )  # fmt: skip
    server.status = {"code": 200, "status": "SUCCESS"}
    assert (await reach(server, "seldon", "infer", ASK)).failure is None


@pytest.mark.parametrize(
    ("body", "reason"), [("pong", None), ('"pong"\n', None), ("<html>", Reason.MALFORMED), ("", Reason.MALFORMED)]
)
async def test_health_is_a_pong(ask, body, reason):
    found = await ask("seldon", "health", {"GET /seldon/ns/x/health/ping": (200, body)}, path="/seldon/ns/x")
    assert (found.failure and found.failure.reason) is reason


@pytest.mark.parametrize("body", ["[]", "{}", '{"data":[]}', '{"meta":{}}', "nothing"])
async def test_a_message_without_data_is_malformed(ask, body):
    found = await ask("seldon", "infer", {"POST /api/v1.0/predictions": (200, body)}, ASK)
    assert found.failure.reason is Reason.MALFORMED


async def test_data_of_another_form_is_not_what_is_expected(ask):
    for data in ('{"ndarray":3}', '{"tensor":{"values":null}}', "{}"):
        answers = {"POST /api/v1.0/predictions": (200, f'{{"data":{data}}}')}
        assert (await ask("seldon", "infer", answers, ASK)).failure.reason is Reason.EXPECTATION


async def test_a_proposal_needs_a_shape(server, reach, ask):
    proposal = (await reach(server, "seldon", "propose")).proposal
    assert (proposal.kind, proposal.settings) == ("infer", {"interval": "1m", "ndarray": [[0.0, 0.0]]})
    assert server.asked == ["GET /metadata"]
    for inputs in (None, [], [{"messagetype": "strData"}], [{"messagetype": "tensor", "schema": {"shape": ["x"]}}]):
        fake = FakeExchange({"GET /metadata": (200, json.dumps({"inputs": inputs}))})
        assert (await ask("seldon", "propose", fake)).proposal is None


def test_problems():
    def places(own):
        return [place for place, _ in build("seldon", Kind.INFER, own).problems(Kind.INFER)]

    assert places(ASK) == places({"str_data": ""}) == []
    assert places({}) == [("ndarray",)]
    assert places({"ndarray": [], "str_data": "a"}) == [("str_data",)]
