"""Several expectations of one answer, as each family of protocols tells them apart."""

import json

import pytest

from exporter.model.failure import Reason
from exporter.model.job import Kind, Within
from tests.fakes.seldon import Seldon
from tests.protocols.scripted import build
from tests.protocols.test_openai import CHAT, chunk, said, stream

INFER = "POST /v2/models/iris/infer"
PREDICT = "POST /invocations"
X = [{"name": "x", "shape": [1], "datatype": "FP32", "data": [1.0]}]


def outputs(*values):
    return {INFER: (200, json.dumps({"model_name": "iris", "outputs": list(values)}))}


@pytest.mark.parametrize(
    ("expected", "words"),
    [
        ({"name": "y", "data": [100], "rtol": 0.01}, None),
        ({"name": "y", "min": 0, "max": 200, "shape": [1], "datatype": "FP32"}, None),
        ({"name": "y", "min": 101}, "output y: data[0] is 100.5, expected at least 101"),
        (
            {"name": "y", "datatype": "INT64", "shape": [2], "data": [7], "max": 9},
            'output y: datatype is "FP32", expected INT64; output y: shape[0] is 1, expected 2; '
            "output y: data[0] is 100.5, expected 7; output y: data[0] is 100.5, expected at most 9",
        ),
    ],
)
async def test_tensors(ask, expected, words):
    answer = outputs({"name": "y", "datatype": "FP32", "shape": [1], "data": [100.5]})
    own = {"inputs": X, "expect": {"outputs": [expected]}}
    found = await ask("open_inference", "infer", answer, own, model="iris")
    assert (found.failure and found.failure.detail) == words


async def test_every_output_and_the_whole_answer_speak(ask):
    answer = outputs({"name": "y", "datatype": "FP32", "shape": [1], "data": [1]})
    expect = {
        "outputs": [{"name": "z"}, {"name": "y", "data": [2]}],
        "json": {"path": "id", "exists": True},
        "schema": {"required": ["id"]},
    }
    found = await ask("open_inference", "infer", answer, {"inputs": X, "expect": expect}, model="iris")
    assert found.failure.detail == (
        "there is no output z, only y; output y: data[0] is 1, expected 2; "
        "$ does not fit the schema: 'id' is a required property; id is not there"
    )


@pytest.mark.parametrize(
    ("predictions", "expect", "words"),
    [
        ([[0.2, 0.8]], {"shape": [1, 2], "min": 0, "max": 1}, None),
        ([[0.2, 0.8]], {"predictions": [[0.2, 0.81]], "rtol": 0.05}, None),
        ([[0.2, 0.8], [1]], {"shape": [1, 2]}, "the shape of predictions is uneven, expected [1, 2]"),
        (
            [0.5, 1.5],
            {"shape": [1], "predictions": [0.5, 1], "tolerance": 0.1, "max": 1, "json": "predictions[0] == `1`"},
            "the shape of predictions is [2], expected [1]; predictions[1] is 1.5, expected 1 (tolerance 0.1); "
            "predictions[1] is 1.5, expected at most 1; predictions[0] == `1` is false, expected true",
        ),
        (3, {"max": 1}, "predictions[0] is 3, expected at most 1"),
    ],
)
async def test_predictions(ask, predictions, expect, words):
    answer = {PREDICT: (200, json.dumps({"predictions": predictions}))}
    found = await ask("mlflow", "infer", answer, {"inputs": [[1.0]], "expect": expect})
    assert (found.failure and found.failure.detail) == words


async def test_messages_of_seldon(reach):
    async with Seldon() as server:
        own = {"ndarray": [[1.0, 2.0]], "expect": {"data": [[2.0, 5.0]], "max": 3, "json": "data.tensor != null"}}
        found = await reach(server, "seldon", "infer", own)
        assert found.failure.detail.startswith(
            "data[1] is 4, expected 5; data[1] is 4, expected at most 3; data.tensor"
        )
        found = await reach(server, "seldon", "infer", {"str_data": "a", "expect": {"min": 1}})
        assert found.failure.detail == "there is no array"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('{"city": "Paris", "size": 2.1}', None),
        ('{"city": "Paris"}', "$ does not fit the schema: 'size' is a required property; "
         "size is null, expected at least 1"),
        ("Paris", "the answer is not JSON: Paris"),
        ('{"city": "Rome", "size": 0}', 'the answer does not contain "Paris": {"city": "Rome", "size": 0}; '
         "size is 0, expected at least 1"),
        ("Rome", 'the answer does not contain "Paris": Rome; the answer is not JSON'),
    ],
)  # fmt: skip
async def test_structured_output_whole_and_as_a_stream(ask, text, words):
    schema = {"type": "object", "required": ["city", "size"]}
    own = {"expect": {"text": "Paris", "schema": schema, "json": {"path": "size", "min": 1}}}
    whole = await ask("openai", "infer", {CHAT: said(text)}, own)
    events = (chunk(content=text[:3]), chunk(content=text[3:]), chunk("stop"), "[DONE]")
    read = await ask("openai", "stream", {CHAT: stream(*events)}, own)
    for found in (whole, read):
        assert (found.failure and found.failure.detail) == words
        assert found.failure is None or found.failure.reason is Reason.EXPECTATION


async def test_a_call_with_its_arguments_whole_and_as_a_stream(ask):
    function = {"name": "weather", "arguments": '{"city": "Rome"}'}
    own = {"expect": {"tool_call": {"name": "weather", "arguments": {"city": "Paris"}}}}
    whole = await ask("openai", "infer", {CHAT: said(None, "tool_calls", tool_calls=[{"function": function}])}, own)
    events = (chunk(tool_calls=[{"index": 0, "function": function}]), chunk("tool_calls"), "[DONE]")
    read = await ask("openai", "stream", {CHAT: stream(*events)}, own)
    for found in (whole, read):
        assert found.failure.detail == 'weather: arguments.city is "Rome", expected "Paris"'


async def test_vectors_and_rankings_name_all_that_is_wrong(ask):
    vectors = {"POST /embeddings": (200, json.dumps({"data": [{"index": 0, "embedding": [3.0, 4.0]}]}))}
    expect = {"dimension": 3, "norm": 1, "count": 2, "cosine": {"to": [1, 0, 0]}}
    found = await ask("infinity", "infer", vectors, {"input": ["a"], "expect": expect})
    assert found.failure.detail == (
        "there are 1 vectors, expected 2; vector 0 has 2 dimensions, expected 3; "
        "the norm of vector 0 is 5, expected 1 (tolerance 0.01); vector 0 has 2 dimensions, the known one 3"
    )
    results = [{"index": 0, "relevance_score": 0.1}, {"index": 1, "relevance_score": 0.9}]
    ranking = {"POST /rerank": (200, json.dumps({"results": results}))}
    own = {"api": "rerank", "query": "q", "texts": ["a", "b"]}
    expect = {"order": [0, 1], "scores": [{"min": 0.5}, {"max": 0.5}]}
    found = await ask("infinity", "infer", ranking, own | {"expect": expect})
    assert found.failure.detail == (
        "text 1 (0.9) is ranked above text 0 (0.1); the score of text 0 is 0.1, expected at least 0.5; "
        "the score of text 1 is 0.9, expected at most 0.5"
    )


async def test_headers_and_body_of_any_http_server(ask):
    answer = {"GET /health": (200, "down", [("Server", "x")])}
    own = {"expect": {"header": {"server": "y", "age": {"value": ".", "negate": True}}, "text": "up"}}
    found = await ask("http", "health", answer, own)
    assert found.failure.detail == 'header server does not match y: x; the answer does not contain "up": down'
    assert found.failure.http_status == 200


def test_a_protocol_tells_how_soon_its_answer_must_be_there():

    assert build("openai", Kind.STREAM, {"expect": {"ttft": "500ms"}}).within() == Within(None, 0.5)
    assert build("openai", Kind.HEALTH).within() is None
    assert build("open_inference", Kind.METADATA, {"expect": {"version": "3"}}).within() is None
