import json

import pytest

from exporter.model.failure import Failure, Reason

INDEX = "POST /v2/repository/index"


def entry(name, state=None, reason=None):
    return {"name": name} | ({"state": state} if state else {}) | ({"reason": reason} if reason else {})


@pytest.mark.parametrize("protocol", ["open_inference", "triton"])
async def test_models_that_the_server_means_to_serve(ask, protocol):
    listed = [
        entry("ready", "READY"), entry("loads", "LOADING"), entry("failed", "UNAVAILABLE", "Internal: no way"),
        entry("ready", "READY"), entry("gone", "UNAVAILABLE", "unloaded"), entry("going", "UNLOADING"), entry("never"),
        {"state": "READY"}, entry("bad\nname", "READY"), 3,
    ]  # fmt: skip
    found = await ask(protocol, "catalogue", {INDEX: (200, json.dumps(listed))})
    assert found.models == ("ready", "loads", "failed")


async def test_a_listing_without_states_is_taken_as_it_is(ask):
    found = await ask("open_inference", "catalogue", {INDEX: (200, '[{"name":"a"},{"name":"b"}]')})
    assert found.models == ("a", "b")
    assert (await ask("open_inference", "catalogue", {INDEX: (200, "[]")})).models == ()


async def test_kserve_lists_elsewhere(ask):
    answers = {INDEX: (404, '{"detail":"Not Found"}'), "GET /v2/models": (200, '{"models":["iris"]}')}
    assert (await ask("open_inference", "catalogue", answers)).models == ("iris",)
    answers["GET /v2/models"] = (200, '{"data":[]}')
    assert (await ask("open_inference", "catalogue", answers)).failure.reason is Reason.MALFORMED


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ((403, '{"error":"restricted"}'), Reason.AUTH),
        ((404, ""), Reason.HTTP_STATUS),
        ((200, "{}"), Reason.MALFORMED),
        (Failure(Reason.RESET), Reason.RESET),
    ],
)
async def test_no_listing_is_a_failure(ask, answer, reason):
    assert (await ask("triton", "catalogue", {INDEX: answer})).failure.reason is reason


async def test_a_proposal_is_zeros_in_the_models_shapes(ask):
    described = [
        {"name": "x", "datatype": "FP32", "shape": [-1, 2]},
        {"name": "flag", "datatype": "BOOL", "shape": [1]},
        {"name": "text", "datatype": "BYTES", "shape": [0]},
    ]
    answers = {"GET /v2/models/m": (200, json.dumps({"inputs": described}))}
    proposal = (await ask("open_inference", "propose", answers, model="m")).proposal
    assert proposal.kind == "infer"
    assert proposal.settings == {
        "interval": "1m",
        "inputs": [
            {"name": "x", "shape": [1, 2], "datatype": "FP32", "data": [0.0, 0.0]},
            {"name": "flag", "shape": [1], "datatype": "BOOL", "data": [False]},
            {"name": "text", "shape": [1], "datatype": "BYTES", "data": ["text"]},
        ],
    }
    assert (await ask("open_inference", "propose", answers)).proposal is None


@pytest.mark.parametrize(
    "inputs",
    [
        None, [], "text", [3], [{"name": "x"}], [{"name": "x", "datatype": "BF16", "shape": [1]}],
        [{"name": "x", "datatype": "FP32", "shape": "1"}], [{"name": "x", "datatype": "FP32", "shape": [1.5]}],
        [{"name": "x", "datatype": "FP32", "shape": [1025]}], [{"name": "x", "datatype": "FP32", "shape": [10**9] * 9}],
        [{"name": "x", "datatype": ["FP32"], "shape": [1]}],
        [{"name": "x", "datatype": "FP32", "shape": [1]}, {"name": "y", "datatype": "FP32", "shape": [9999]}],
    ],
)  # fmt: skip
async def test_what_cannot_be_written_down_is_not_proposed(ask, inputs):
    answers = {"GET /v2/models/m": (200, json.dumps({"inputs": inputs}))}
    assert (await ask("open_inference", "propose", answers, model="m")).proposal is None
