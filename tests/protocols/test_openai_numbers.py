"""Embeddings and rankings over the OpenAI API."""

import json

import pytest

from exporter.model.failure import Reason
from exporter.model.job import Kind
from exporter.model.stream import Tokens
from tests.fakes.openai_api import OpenAiApi
from tests.fakes.vllm import Vllm
from tests.protocols.scripted import build

EMBED = "POST /v1/embeddings"
RANK = "POST /v1/rerank"
TEXTS = {"query": "q", "texts": ["a", "b"]}


def embedded(*vectors, **more):
    data = [{"object": "embedding", "index": place, "embedding": each} for place, each in enumerate(vectors)]
    return (200, json.dumps({"object": "list", "data": data, "usage": {"prompt_tokens": 4}} | more))


@pytest.mark.parametrize("encoding", [None, "float", "base64"])
async def test_embeddings(reach, encoding):
    async with OpenAiApi() as server:
        server.vectors = [[0.5, 0.5, 0.5, 0.5], [1.0, 0.0, 0.0, 0.0]]
        own = {
            "api": "embeddings", "input": ["a", "b"], "encoding_format": encoding,
            "expect": {"dimension": 4, "norm": 1, "count": 2, "cosine": {"to": server.vectors, "at_least": 0.9999}},
        }  # fmt: skip
        found = await reach(server, "openai", "infer", own, model=server.model)
        assert found.failure is None  # although the server sends the second one first
        assert found.tokens == Tokens(input=3)
        assert found.facts == {"dimension": 4.0}
        server.vectors = server.vectors[::-1]
        found = await reach(server, "openai", "infer", own, model=server.model)
        assert found.failure.reason is Reason.EXPECTATION
        assert found.tokens == Tokens(input=3)  # what it cost is kept


@pytest.mark.parametrize(
    ("own", "sent"),
    [
        ({"tag": None}, {"input": ["Say OK."]}),
        ({}, {"input": ["Say OK."], "user": "model-exporter"}),
        ({"input": "x", "tag": "t"}, {"input": ["x"], "user": "t"}),
        ({"input": ["x", "y"], "dimensions": 8, "tag": None}, {"input": ["x", "y"], "dimensions": 8}),
        ({"encoding_format": "base64", "tag": None}, {"input": ["Say OK."], "encoding_format": "base64"}),
        ({"body": {"input": [[1, 2]]}}, {"input": [[1, 2]]}),
    ],
)
async def test_what_is_sent(reach, own, sent):
    async with OpenAiApi() as server:
        await reach(server, "openai", "infer", {"api": "embeddings"} | own)
        assert server.requests[-1].json == sent


@pytest.mark.parametrize(
    ("answer", "reason", "detail"),
    [
        (embedded([1.0], [1.0]), Reason.MALFORMED, "2 vectors came for 1 texts"),
        (embedded(), Reason.EMPTY, "no vector"),
        (embedded([1.0, None]), Reason.MALFORMED, "element 1 of vector 0 is null"),
        ((200, '{"data":[{"index":0,"embedding":[NaN]}]}'), Reason.MALFORMED, "the answer holds NaN"),
        ((200, '{"data":[{"index":0,"embedding":[1e999]}]}'), Reason.MALFORMED, "is infinite"),
        ((200, '{"data":[{"index":1,"embedding":[1]}]}'), Reason.MALFORMED, "not numbered"),
        ((200, '{"data":[{"index":0,"embedding":[1]},{"embedding":[1]}]}'), Reason.MALFORMED, "not numbered"),
        ((200, '{"data":[{"index":0}]}'), Reason.MALFORMED, "not a list of embeddings"),
        ((200, '{"data":{}}'), Reason.MALFORMED, "not a list of embeddings"),
        ((200, "[[1]]"), Reason.MALFORMED, "not a list of embeddings"),
        ((200, '{"error":{"message":"no"}}'), Reason.ERROR_EVENT, "no"),
        (embedded([2.0]), Reason.EXPECTATION, "the norm of vector 0 is 2"),
        ((404, '{"error":{"message":"The model `m` does not exist"}}'), Reason.MODEL_NOT_FOUND, "m"),
        ((501, '{"error":{"message":"This server does not support embeddings"}}'), Reason.HTTP_STATUS, "501"),
    ],
)
async def test_embeddings_go_wrong(ask, answer, reason, detail):
    own = {"api": "embeddings", "input": "x", "expect": {"norm": 1}}
    found = await ask("openai", "infer", {EMBED: answer}, own, model="m", options={"server": "generic"})
    assert found.failure.reason is reason
    assert detail in found.failure.detail


async def test_vectors_without_numbers_are_in_the_order_of_the_answer(ask):
    answer = (200, '{"data":[{"embedding":[1,0]},{"embedding":[0,1]}]}')
    own = {"api": "embeddings", "input": ["x", "y"], "expect": {"cosine": {"to": [[1, 0], [0, 1]]}}}
    assert (await ask("openai", "infer", {EMBED: answer}, own)).failure is None


async def test_a_body_of_ones_own_may_ask_for_any_number_of_vectors(ask):
    own = {"api": "embeddings", "body": {"input": ["x", "y"]}, "expect": {"count": 2}}
    assert (await ask("openai", "infer", {EMBED: embedded([1], [1])}, own)).failure is None
    found = await ask("openai", "infer", {EMBED: embedded([1])}, own)
    assert found.failure.detail == "there are 1 vectors, expected 2"


async def test_rankings(reach):
    async with Vllm() as server:
        own = {"api": "rerank", "query": "q", "texts": ["a", "b", "c"], "expect": {"order": [0, 1, 2]}}
        found = await reach(server, "openai", "infer", own, model=server.model)
        assert found.failure is None
        assert found.tokens == Tokens(input=9)
        assert server.requests[-1].json == {"model": server.model, "query": "q", "documents": ["a", "b", "c"]}
        own["expect"] = {"order": [2]}
        found = await reach(server, "openai", "infer", own, model=server.model)
        assert found.failure.detail == "text 0 (0.5) is ranked above text 2 (0.25)"
        found = await reach(server, "openai", "infer", {**own, "path": "/v1/score"}, model=server.model)
        assert found.failure.reason is Reason.HTTP_STATUS


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ('[{"score":0.9,"document":"a","index":0},{"score":0.1,"document":"b","index":1}]', None),  # SGLang's
        ('{"results":[{"index":1,"relevance_score":0.5}]}', Reason.EXPECTATION),
        ('{"results":[{"index":7,"relevance_score":0.5}]}', Reason.MALFORMED),
        ('{"results":[]}', Reason.EMPTY),
        ("{}", Reason.MALFORMED),
    ],
)
async def test_forms_of_rankings(ask, body, reason):
    own = {"api": "rerank", "expect": {"order": [0]}} | TEXTS
    found = await ask("openai", "infer", {RANK: (200, body)}, own)
    assert (found.failure and found.failure.reason) is reason


@pytest.mark.parametrize(
    ("own", "places"),
    [
        ({"api": "embeddings"}, []),
        ({"api": "embeddings", "prompt": "x", "seed": 3}, [("prompt",), ("seed",)]),
        ({"api": "embeddings", "expect": {"text": "x", "json": "a"}}, [("expect", "text"), ("expect", "json")]),
        ({"expect": {"dimension": 3}}, [("expect", "dimension")]),
        ({"input": "x"}, [("input",)]),
        ({"api": "responses", "seed": 3}, [("seed",)]),
        ({"api": "rerank"}, [("query",), ("texts",)]),
        ({"api": "rerank", "body": {}}, []),
        ({"api": "rerank", "body": {}} | TEXTS, [("query",), ("texts",)]),
        ({"api": "rerank", "expect": {"order": [2]}} | TEXTS, [("expect", "order")]),
        ({"api": "rerank", "expect": {"scores": [{}, {}, {}]}} | TEXTS, [("expect", "scores")]),
        ({"api": "rerank", "expect": {"order": [1]}} | TEXTS, []),
        ({"api": "embeddings", "expect": {"cosine": {"to": [[1], [2]]}}}, [("expect", "cosine", "to")]),
        ({"api": "embeddings", "input": ["x", "y"], "expect": {"cosine": {"to": [[1], [2]]}}}, []),
    ],
)
def test_problems(own, places):
    found = build("openai", Kind.INFER, own).problems(Kind.INFER)
    assert sorted(place for place, _ in found) == sorted(places)
