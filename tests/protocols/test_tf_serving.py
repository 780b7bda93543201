import json

import pytest

from exporter.model.failure import Reason
from exporter.model.job import Kind, Scope
from tests.fakes.tf_serving import TfServing, Version
from tests.protocols.scripted import FakeExchange, build

M = "half_plus_two"
ASK = {"instances": [1.0, 2.0, 5.0], "expect": {"predictions": [2.5, 3.0, 4.5]}}


@pytest.fixture
async def server():
    async with TfServing() as server:
        yield server


async def test_all_is_well(server, reach):
    assert (await reach(server, "tf_serving", "health", model=M)).failure is None
    found = await reach(server, "tf_serving", "ready", model=M)
    assert found.failure is None
    assert found.info == {"model_version": "123"}
    found = await reach(server, "tf_serving", "metadata", {"expect": {"signatures": ["serving_default"]}}, model=M)
    assert found.failure is None
    assert found.info == {"server": "tf_serving", "model_version": "123"}
    assert (await reach(server, "tf_serving", "infer", ASK, model=M)).failure is None
    assert build("tf_serving", Kind.READY, model=M).scope() is Scope.MODEL


async def test_health_is_the_servers_whatever_it_says_of_the_model(server, reach, ask):
    for model in ("", "nope"):
        assert (await reach(server, "tf_serving", "health", model=model)).failure is None
    server.versions = {"1": Version("LOADING")}
    assert (await reach(server, "tf_serving", "health", model=M)).failure is None
    for answer, reason in [
        ((404, "<html>not found</html>"), Reason.HTTP_STATUS),
        ((404, '{"detail":"Not Found"}'), Reason.HTTP_STATUS),
        ((200, "<html>welcome</html>"), Reason.MALFORMED),
        ((200, '{"data":[]}'), Reason.MALFORMED),
        ((503, "no healthy upstream"), Reason.HTTP_STATUS),
    ]:
        found = await ask("tf_serving", "health", {f"GET /v1/models/{M}": answer}, model=M)
        assert found.failure.reason is reason


@pytest.mark.parametrize(
    ("versions", "reason"),
    [
        ({"1": Version("AVAILABLE"), "2": Version("LOADING")}, None),
        ({"1": Version("END"), "2": Version("AVAILABLE")}, None),
        ({"1": Version("LOADING")}, Reason.NOT_READY),
        ({"1": Version("START"), "2": Version("END")}, Reason.NOT_READY),
        ({"1": Version("UNLOADING")}, Reason.MODEL_NOT_FOUND),
        ({"1": Version("END", "NOT_FOUND", "Op type not registered 'MyOp'")}, Reason.MODEL_NOT_FOUND),
        ({"1": Version("AVAILABLE", "INTERNAL", "broken")}, Reason.MODEL_NOT_FOUND),
        ({}, Reason.MODEL_NOT_FOUND),
    ],
)
async def test_ready_by_the_states_of_versions(server, reach, versions, reason):
    server.versions = versions
    found = await reach(server, "tf_serving", "ready", model=M)
    assert (found.failure and found.failure.reason) is reason
    if found.failure is not None:
        assert all(version.error_message in found.failure.detail for version in versions.values())


async def test_one_version_is_asked_by_number_or_label(server, reach):
    server.versions["124"] = Version("LOADING")
    for own, reason in [
        ({"version": "123"}, None),
        ({"version": "124"}, Reason.NOT_READY),
        ({"version": "7"}, Reason.MODEL_NOT_FOUND),
        ({"label": "stable"}, None),
        ({"label": "canary"}, Reason.MODEL_NOT_FOUND),
    ]:
        found = await reach(server, "tf_serving", "ready", own, model=M)
        assert (found.failure and found.failure.reason) is reason
    assert (await reach(server, "tf_serving", "infer", ASK | {"label": "stable"}, model=M)).failure is None
    assert server.asked[-1] == f"POST /v1/models/{M}/labels/stable:predict"


@pytest.mark.parametrize(
    ("own", "path", "sent"),
    [
        ({"inputs": [1.0], "expect": {"predictions": [2.5]}}, ":predict", {"inputs": [1.0]}),
        (
            {"method": "regress", "examples": [{"x": 2.0}], "signature_name": "tf/regress",
             "expect": {"predictions": [3.0]}},
            ":regress",
            {"signature_name": "tf/regress", "examples": [{"x": 2.0}]},
        ),
        (
            {"method": "classify", "examples": [{"x": 1.0}], "version": "123",
             "expect": {"json": "results[0][0][1] == `0.5`"}},
            "/versions/123:classify",
            {"examples": [{"x": 1.0}]},
        ),
        ({"body": {"instances": [0.0]}, "expect": {"predictions": [2.0]}}, ":predict", {"instances": [0.0]}),
    ],
)  # fmt: skip
async def test_each_method_and_form(server, reach, own, path, sent):
    assert (await reach(server, "tf_serving", "infer", own, model=M)).failure is None
    assert server.asked == [f"POST /v1/models/{M}{path}"]
    assert server.requests[0].json == sent


async def test_infer_goes_wrong(server, reach):
    async def reason(own, model=M):
        return (await reach(server, "tf_serving", "infer", own, model=model)).failure.reason

    assert await reason(ASK | {"expect": {"predictions": [2.5, 3.0, 4.0]}}) is Reason.EXPECTATION
    assert await reason({"instances": ["text"]}) is Reason.HTTP_STATUS
    assert await reason(ASK, model="nope") is Reason.MODEL_NOT_FOUND
    server.queue_full = True
    assert await reason(ASK) is Reason.OVERLOADED
    server.queue_full = False
    server.versions = {"123": Version("UNLOADING")}
    assert await reason(ASK) is Reason.MODEL_NOT_FOUND
    server.versions = {"123": Version("LOADING")}
    assert await reason(ASK) is Reason.NOT_READY


async def test_what_loads_has_no_metadata_yet(server, reach):
    server.versions = {"123": Version("LOADING")}
    found = await reach(server, "tf_serving", "metadata", model=M)
    assert found.failure.reason is Reason.NOT_READY
    assert "version 123 is LOADING" in found.failure.detail


@pytest.mark.parametrize(
    ("expect", "words"),
    [
        ({"version": "124"}, "version is 123, expected 124"),
        ({"signatures": ["serving_default", "score"]}, "signature score is not among serving_default"),
    ],
)
async def test_metadata_that_is_not_expected(server, reach, expect, words):
    found = await reach(server, "tf_serving", "metadata", {"expect": expect}, model=M)
    assert found.failure.reason is Reason.EXPECTATION
    assert found.failure.detail == words


@pytest.mark.parametrize("body", ["[]", "{}", '{"predictions":NaN}', '{"model_version_status":[{}]}', "busy"])
async def test_answers_of_another_shape_are_malformed(ask, body):
    route = f"/v1/models/{M}"
    for kind, key, own in [
        ("ready", f"GET {route}", {}),
        ("metadata", f"GET {route}/metadata", {}),
        ("infer", f"POST {route}:predict", ASK),
    ]:
        found = await ask("tf_serving", kind, {key: (200, body)}, own, model=M)
        assert found.failure.reason is Reason.MALFORMED


async def test_a_proposal_has_zeros_in_the_shapes_of_the_signature(server, reach, ask):
    proposal = (await reach(server, "tf_serving", "propose", model=M)).proposal
    assert (proposal.kind, proposal.settings) == ("infer", {"interval": "1m", "instances": [[0.0]]})
    assert not any(asked.startswith("POST") for asked in server.asked)
    assert (await reach(server, "tf_serving", "infer", {"instances": [0.0]}, model=M)).failure is None

    async def proposed(inputs):
        signature = {"serving_default": {"inputs": inputs}}
        value = {"metadata": {"signature_def": {"signature_def": signature}}}
        answers = {f"GET /v1/models/{M}/metadata": (200, json.dumps(value))}
        proposal = (await ask("tf_serving", "propose", answers, model=M)).proposal
        return proposal and proposal.settings["instances"]

    def tensor(kind, *sizes):
        return {"dtype": kind, "tensor_shape": {"dim": [{"size": size} for size in sizes]}}

    several = {"a": tensor("DT_INT64", "-1", "2"), "b": tensor("DT_STRING", "-1")}
    assert await proposed(several) == [{"a": [0, 0], "b": "text"}]
    assert await proposed({"a": tensor("DT_FLOAT", "-1", "4096")}) is None
    assert await proposed({"a": tensor("DT_VARIANT", "-1")}) is None
    assert await proposed({"a": tensor(["DT_FLOAT"], "-1")}) is None
    assert await proposed({"a": tensor("DT_FLOAT", "many")}) is None
    assert await proposed({}) is None


async def test_paths_hold_prefix_query_and_escaped_names(ask):
    answer = (200, '{"model_version_status":[{"version":"1","state":"AVAILABLE","status":{"error_code":"OK"}}]}')
    fake = FakeExchange({"GET /tf/v1/models/a%2Fb/labels/x%20y?k=1": answer})
    own = {"label": "x y"}
    assert (await ask("tf_serving", "ready", fake, own, model="a/b", path="/tf/v1", query="k=1")).failure is None


def test_problems():
    def places(kind, own=None, model=M):
        return [place for place, _ in build("tf_serving", Kind(kind), own, model=model).problems(Kind(kind))]

    assert places("health", model="") == []
    assert places("ready", model="") == [()]
    assert places("infer", {"instances": [1], "path": "/x"}, model="") == []
    assert places("ready", {"version": "1", "label": "a"}) == [("label",)]
    assert places("infer") == [("instances",)]
    assert places("infer", {"instances": [1], "inputs": [1]}) == [("inputs",)]
    assert places("infer", {"method": "regress", "instances": [1]}) == [("instances",)]
    assert places("infer", {"method": "classify", "examples": [{}]}) == []
    assert places("infer", {"examples": [{}]}) == [("examples",)]
