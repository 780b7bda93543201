"""What a protocol hands over of an answer so that the next one can be held against it: all that the model said, and
nothing that tells of one request.
"""

import json
from typing import Any

import pytest

from exporter.model.sample import same, take
from tests.protocols.scripted import FakeExchange

#: What differs between two answers to the same question, whatever the model said.
ONE = {"id": "req-1", "created": 1, "meta": {"puid": "one"}}
OTHER = {"id": "req-2", "created": 2, "meta": {"puid": "two"}}


def chat(text: str, **tools: Any) -> dict[str, Any]:
    return {"choices": [{"index": 0, "message": {"content": text, **tools}, "finish_reason": "stop"}]}


def call(arguments: str) -> dict[str, Any]:
    return chat("", tool_calls=[{"index": 0, "function": {"name": "add", "arguments": arguments}}])


def tensor(*data: float) -> dict[str, Any]:
    outputs = [{"name": "y", "shape": [len(data)], "datatype": "FP32", "data": list(data)}]
    return {"model_name": "m", "model_version": "1", "outputs": outputs}


TENSOR = {"inputs": [{"name": "x", "shape": [1], "datatype": "FP32", "data": [1.0]}]}
SENTENCE = {"input": ["a"]}
RANKING = {"api": "rerank", "query": "q", "texts": ["a", "b"]}


def ranking(first: float, last: float) -> dict[str, Any]:
    return {"results": [{"index": 0, "relevance_score": first}, {"index": 1, "relevance_score": last}]}


CASES = [
    ("openai", "/v1/chat/completions", {}, chat("yes"), chat("no")),
    ("openai", "/v1/chat/completions", {}, call('{"a": 1}'), call('{"a": 2}')),
    ("openai", "/v1/embeddings", {"api": "embeddings"}, {"data": [{"embedding": [0.1, 0.9]}]},
        {"data": [{"embedding": [0.9, 0.1]}]}),
    ("openai", "/v1/rerank", RANKING, ranking(0.9, 0.1), ranking(0.2, 0.1)),
    ("infinity", "/embeddings", SENTENCE, {"data": [{"embedding": [0.1, 0.9]}]}, {"data": [{"embedding": [0.9, 0.1]}]}),
    ("infinity", "/rerank", RANKING, ranking(0.9, 0.1), ranking(0.2, 0.1)),
    ("anthropic", "/v1/messages", {}, {"type": "message", "content": [{"type": "text", "text": "yes"}]},
        {"type": "message", "content": [{"type": "text", "text": "no"}]}),
    ("ollama", "/api/generate", {}, {"response": "yes", "done": True}, {"response": "no", "done": True}),
    ("tgi", "/generate", {}, {"generated_text": "yes"}, {"generated_text": "no"}),
    ("open_inference", "/v2/models/m/infer", TENSOR, tensor(0.25), tensor(0.75)),
    ("triton", "/v2/models/m/infer", TENSOR, tensor(0.25), tensor(0.75)),
    ("mlflow", "/invocations", {"inputs": [[1.0]]}, {"predictions": [0]}, {"predictions": [1]}),
    ("kserve_v1", "/v1/models/m:predict", {"instances": [[1.0]]}, {"predictions": [0]}, {"predictions": [1]}),
    ("tf_serving", "/v1/models/m:predict", {"instances": [[1.0]]}, {"predictions": [0]}, {"predictions": [1]}),
    ("seldon", "/api/v1.0/predictions", {"ndarray": [[1.0]]}, {"data": {"ndarray": [[2.0]]}},
        {"data": {"ndarray": [[3.0]]}}),
]  # fmt: skip


@pytest.mark.parametrize(("protocol", "path", "own", "answer", "another"), CASES)
async def test_the_answer_alone_is_compared(ask, protocol, path, own, answer, another):
    async def sample(said: dict[str, Any]):
        fake = FakeExchange({f"POST {path}": (200, json.dumps(said))})
        found = await ask(protocol, "infer", fake, own, model="m", wake=True)
        assert found.failure is None, found.failure
        taken = take(found.output)
        assert taken is not None
        return taken

    first = await sample(ONE | answer)
    assert same(first, await sample(OTHER | answer))
    assert not same(first, await sample(ONE | another))


def event(text: str, finish: str | None = None) -> bytes:
    choice = {"index": 0, "delta": {"content": text}, "finish_reason": finish}
    return f"data: {json.dumps({'choices': [choice]})}\n\n".encode()


async def test_streams_are_compared_however_they_are_cut(ask):
    async def sample(*pieces: str):
        script = [(101.0 + place, event(piece)) for place, piece in enumerate(pieces)]
        script += [(105.0, event("", "stop")), (105.0, b"data: [DONE]\n\n"), (105.0, None)]
        fake = FakeExchange({"POST /v1/chat/completions": (200, "text/event-stream", script)}, timeout=60)
        found = await ask("openai", "stream", fake, model="m", wake=True)
        assert found.failure is None, found.failure
        taken = take(found.output)
        assert taken is not None
        return taken

    assert same(await sample("He", "llo"), await sample("Hell", "o"))
    assert not same(await sample("He", "llo"), await sample("Help", "o"))


async def test_an_answer_that_is_nothing_but_thought_is_none(ask):
    said = {"choices": [{"message": {"content": None, "reasoning": "hm"}, "finish_reason": "length"}]}
    found = await ask("openai", "infer", {"POST /v1/chat/completions": (200, json.dumps(said))}, model="m", wake=True)
    assert found.failure is None
    assert take(found.output) is None


async def test_any_body_of_which_nothing_is_known(ask):
    found = await ask("http", "infer", {"GET /": (200, "42")}, {"path": "/"})
    other = await ask("http", "infer", {"GET /": (200, "43")}, {"path": "/"})
    assert take(found.output).text == "42"
    assert not same(take(found.output), take(other.output))
