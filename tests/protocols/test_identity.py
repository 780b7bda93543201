"""What metadata probes share: an expected version, and the operator's own numbers."""

import json
from typing import Any

import pytest

from exporter import protocols
from exporter.model.failure import Reason
from exporter.model.job import Kind
from exporter.protocols.identity import MOST, Facts, ModelMetadata, ServerMetadata, VersionsMetadata, report
from tests.protocols.scripted import FakeExchange, build

INFO = {"server_version": "0.11.0", "model_version": "7"}


def model(**own: Any) -> VersionsMetadata:
    return VersionsMetadata.model_validate(own)


@pytest.mark.parametrize(
    ("expect", "detail"),
    [
        ({}, None),
        ({"version": "7"}, None),
        ({"server_version": "0.11.0", "version": "7"}, None),
        ({"version": "8"}, "version is 7, expected 8"),
        ({"server_version": "0.12.0"}, "server version is 0.11.0, expected 0.12.0"),
    ],
)
def test_expected_versions(expect, detail):
    failure = report(model(expect=expect), INFO).failure
    assert (failure and failure.detail) == detail
    assert failure is None or failure.reason is Reason.EXPECTATION


def test_both_are_told_apart():
    failure = report(model(expect={"version": "8", "server_version": "1"}), INFO).failure
    assert "server version is 0.11.0, expected 1" in failure.detail
    assert "version is 7, expected 8" in failure.detail


def test_what_is_not_told_is_not_what_is_expected():
    assert report(model(expect={"version": "8"}), {}).failure.detail == "version is not told, expected 8"


@pytest.mark.parametrize(("wanted", "fine"), [("1", True), ("2", True), ("1,2", False), ("3", False)])
def test_one_of_several_versions(wanted, fine):
    found = report(model(expect={"version": wanted}), {"model_version": "1,2"}, versions=["1", "2"])
    assert (found.failure is None) is fine


def test_facts_are_numbers_out_of_what_is_told():
    told = {"a": {"b": [1, 2.5]}, "on": True, "text": "7", "none": None, "huge": 10**400, "list": [1]}
    paths = {
        "first": "a.b[0]", "sum": "sum(a.b)", "on": "on", "is7": "text == '7'", "text": "text", "none": "none",
        "gone": "x.y", "huge": "huge", "list": "list", "wrong": "sum(text)", "many": "length(keys(@))",
    }  # fmt: skip
    found = report(model(facts=paths), INFO, {"max_model_len": 8.0}, told)
    assert found.facts == {"max_model_len": 8.0, "first": 1.0, "sum": 3.5, "on": 1.0, "is7": 1.0, "many": 6.0}
    assert found.failure is None


def test_the_operators_own_name_wins():
    assert report(model(facts={"n": "n"}), {}, {"n": 1.0}, {"n": 2}).facts == {"n": 2.0}


@pytest.mark.parametrize("facts", [{"a b": "x"}, {"": "x"}, {"a": "x["}, {f"n{n}": "x" for n in range(MOST + 1)}])
def test_facts_that_are_none(facts):
    with pytest.raises(ValueError, match="facts"):
        model(facts=facts)


def test_every_metadata_probe_takes_facts():
    """And where a version is told, it can be expected."""
    without = set()
    for name in protocols.NAMES:
        kinds = {} if name == "auto" else protocols.load(name).kinds
        if Kind.METADATA not in kinds:
            continue
        settings = kinds[Kind.METADATA]
        assert issubclass(settings, Facts), name
        if not issubclass(settings, ServerMetadata | ModelMetadata | VersionsMetadata):
            without.add(name)
    assert without == {"bentoml", "infinity", "tf_serving"}


INFO_OF_TGI = {"model_id": "m", "model_sha": "abc", "version": "3.3", "max_concurrent_requests": 128, "validation": 2}

ASKED = [
    ("tgi", {"GET /info": INFO_OF_TGI}, "validation", 2.0, "abc", "3.3"),
    ("tei", {"GET /info": INFO_OF_TGI}, "validation", 2.0, "abc", "3.3"),
    (
        "litserve",
        {"GET /info": {"model": {"name": "m", "version": "abc", "n": 2}, "server": {"devices": [["cpu"]]}}},
        "model.n",
        2.0,
        "abc",
        None,
    ),
    (
        "seldon",
        {"GET /metadata": {"name": "m", "versions": ["abc", "d"], "custom": {"n": "x", "m": 2}}},
        "custom.m",
        2.0,
        "abc",
        None,
    ),
    (
        "open_inference",
        {
            "GET /v2": {"name": "s", "version": "3.3"},
            "GET /v2/models/m": {"name": "m", "versions": ["abc"], "inputs": [{"shape": [-1, 4]}]},
        },
        "inputs[0].shape[1]",
        4.0,
        "abc",
        "3.3",
    ),
    (
        "kserve_v1",
        {"GET /v2": {"name": "s", "version": "3.3"}, "GET /v2/models/m": {"name": "m", "n": 2}},
        "n",
        2.0,
        None,
        "3.3",
    ),
    (
        "tf_serving",
        {"GET /v1/models/m/metadata": {"model_spec": {"name": "m", "version": "7", "n": 2}, "metadata": {}}},
        "model_spec.n",
        2.0,
        "7",
        None,
    ),
    (
        "openai",
        {
            "GET /v1/models": {"object": "list", "data": [{"id": "m", "owned_by": "vllm", "max_model_len": 8}]},
            "GET /version": {"version": "3.3", "n": 2},
        },
        "max_model_len",
        8.0,
        None,
        "3.3",
    ),
    (
        "openai",
        {
            "GET /v1/models": {"object": "list", "data": [{"id": "m", "owned_by": "sglang"}]},
            "GET /model_info": {"model_path": "p", "weight_version": "abc", "n": 2},
            "GET /server_info": {"version": "3.3"},
        },
        "n",
        2.0,
        "abc",
        "3.3",
    ),
]


@pytest.mark.parametrize(("protocol", "answers", "path", "number", "version", "server_version"), ASKED)
async def test_of_what_is_told(ask, protocol, answers, path, number, version, server_version):
    async def asked(own: dict[str, Any]):
        fake = FakeExchange({route: (200, json.dumps(answer)) for route, answer in answers.items()})
        options = {"server": answers["GET /v1/models"]["data"][0]["owned_by"]} if protocol == "openai" else {}
        return await ask(protocol, "metadata", fake, own, model="m", options=options)

    found = await asked({"facts": {"mine": path}})
    assert (found.failure, found.facts["mine"]) == (None, number)
    for key, right in (("version", version), ("server_version", server_version)):
        if right is not None:
            assert (await asked({"expect": {key: right}})).failure is None
            failure = (await asked({"expect": {key: "99"}})).failure
            assert failure.reason is Reason.EXPECTATION
            assert "expected 99" in failure.detail


def chat(**more: Any) -> dict[str, Any]:
    message = {"message": {"content": "OK"}, "finish_reason": "stop"}
    return {"choices": [message], **more}


async def test_who_answered(ask):
    answer = json.dumps(chat(model="llama-3-70b-0905", system_fingerprint="fp_1"))
    found = await ask("openai", "infer", {"POST /v1/chat/completions": (200, answer)}, model="m", wake=True)
    assert found.info == {"served_name": "llama-3-70b-0905", "system_fingerprint": "fp_1"}
    found = await ask("openai", "infer", {"POST /v1/chat/completions": (200, json.dumps(chat()))}, model="m", wake=True)
    assert found.info == {}


async def test_who_streams(ask):
    who = '"model":"n","system_fingerprint":"fp_1"'
    script = [
        (100.1, f'data: {{{who},"choices":[{{"delta":{{"content":"OK"}}}}]}}\n\n'.encode()),
        (100.2, f'data: {{{who},"choices":[{{"delta":{{}},"finish_reason":"stop"}}]}}\n\ndata: [DONE]\n\n'.encode()),
        (100.2, None),
    ]
    fake = FakeExchange({"POST /v1/chat/completions": (200, "text/event-stream", script)})
    found = await ask("openai", "stream", fake, model="m", wake=True)
    assert found.failure is None
    assert found.info == {"served_name": "n", "system_fingerprint": "fp_1"}


def test_expectations_about_the_server_need_no_model():
    assert not build("open_inference", Kind.METADATA, {"expect": {"server_version": "1"}}).problems(Kind.METADATA)
    assert build("open_inference", Kind.METADATA, {"expect": {"version": "1"}}).problems(Kind.METADATA)
