"""What keeps canaries apart from cached prompts and from traffic that is paid for."""

import json
import re
from typing import Any

import pytest

from exporter.model.failure import Reason
from exporter.model.job import Kind
from exporter.protocols.isolation import opened
from tests.protocols.scripted import FakeExchange, build

CHAT = "POST /v1/chat/completions"
KNOWN = {"server": "generic"}
NONCE = r"\[probe [0-9a-f]{6}\] "
OK = (200, '{"choices":[{"index":0,"message":{"content":"OK."},"finish_reason":"stop"}],"usage":null}')
PS = (200, json.dumps({"models": [{"name": "m", "model": "m", "digest": "d", "expires_at": "2299-01-01T00:00:00Z"}]}))

#: Protocol, options, own keys, where its request goes, what it answers, and the first words of a request.
ASKED: list[tuple[str, dict[str, Any], dict[str, Any], str, str, Any]] = [
    ("openai", KNOWN, {}, CHAT, OK[1], lambda sent: sent["messages"][0]["content"]),
    (
        "openai", KNOWN, {"api": "completions"}, "POST /v1/completions",
        '{"choices":[{"index":0,"text":"OK."}]}', lambda sent: sent["prompt"],
    ),
    (
        "openai", KNOWN, {"api": "responses"}, "POST /v1/responses",
        '{"output":[{"type":"message","content":[{"type":"output_text","text":"OK."}]}]}', lambda sent: sent["input"],
    ),
    (
        "anthropic", {}, {}, "POST /v1/messages", '{"content":[{"type":"text","text":"OK."}]}',
        lambda sent: sent["messages"][0]["content"],
    ),
    (
        "anthropic", {}, {"system": "Say OK."}, "POST /v1/messages", '{"content":[{"type":"text","text":"OK."}]}',
        lambda sent: sent["system"],
    ),
    ("tgi", {}, {}, "POST /generate", '{"generated_text":"OK."}', lambda sent: sent["inputs"]),
    ("ollama", {}, {}, "POST /api/generate", '{"response":"OK.","done":true}', lambda sent: sent["prompt"]),
    (
        "ollama", {}, {"api": "chat"}, "POST /api/chat", '{"message":{"content":"OK."},"done":true}',
        lambda sent: sent["messages"][0]["content"],
    ),
]  # fmt: skip


async def sent(protocol: str, options: dict[str, Any], own: dict[str, Any], route: str, answer: str) -> Any:
    """The body of one canary that went well."""
    fake = FakeExchange({route: (200, answer), "GET /api/ps": PS})
    asked = build(protocol, Kind.INFER, own, model="m", options=options, wake=True)
    assert (await asked.infer(fake)).failure is None
    body = fake.bodies[-1]
    assert body is not None
    return json.loads(body)


@pytest.mark.parametrize(("protocol", "options", "own", "route", "answer", "words"), ASKED)
async def test_no_cache_knows_the_first_words(protocol, options, own, route, answer, words):
    own = {"expect": {"text": "OK"}} | own
    first, second = [words(await sent(protocol, options, own, route, answer)) for _ in range(2)]
    assert re.fullmatch(NONCE + re.escape("Say OK."), first)
    assert first != second
    for cold in ("bypass", "pair"):
        assert re.match(NONCE, words(await sent(protocol, options, own | {"cache": cold}, route, answer)))
    assert words(await sent(protocol, options, own | {"cache": "warm"}, route, answer)) == "Say OK."


@pytest.mark.parametrize(("protocol", "options", "own", "route", "answer", "words"), ASKED)
async def test_it_stands_before_the_first_words_alone(protocol, options, own, route, answer, words):
    request = json.dumps(await sent(protocol, options, own, route, answer))
    assert len(re.findall(NONCE, request)) == 1


@pytest.mark.parametrize(
    ("protocol", "own", "path"),
    [("openai", {"seed": 7}, "messages"), ("ollama", {"seed": 7}, "prompt"), ("tgi", {"seed": 7}, "inputs")],
)
async def test_a_seed_wants_the_same_prompt_each_time(protocol, own, path):
    _, options, more, route, answer, words = next(each for each in ASKED if each[0] == protocol)
    assert words(await sent(protocol, options, own | more, route, answer)) == "Say OK."
    assert re.match(NONCE, words(await sent(protocol, options, own | {"cache": "bypass"}, route, answer)))


@pytest.mark.parametrize(("protocol", "options", "own", "route", "answer", "words"), ASKED)
async def test_a_body_of_ones_own_is_not_touched(protocol, options, own, route, answer, words):
    body = {"any": ["thing", {"messages": [{"role": "user", "content": "x"}]}], "stream": False}
    only = {key: value for key, value in own.items() if key == "api"}
    assert await sent(protocol, options, only | {"body": body}, route, answer) == body


async def test_vectors_are_of_the_text_alone():
    answer = '{"data":[{"index":0,"embedding":[1.0]}]}'
    made = await sent("openai", KNOWN, {"api": "embeddings"}, "POST /v1/embeddings", answer)
    assert made == {"model": "m", "input": ["Say OK."], "user": "model-exporter"}
    made = await sent("ollama", {}, {"api": "embed"}, "POST /api/embed", '{"embeddings":[[1.0]]}')
    assert made["input"] == "Say OK."


@pytest.mark.parametrize(
    ("messages", "first"),
    [
        ([{"role": "system", "content": "Be kind."}, {"role": "user", "content": "Hi"}], "N Be kind."),
        ([{"role": "assistant", "content": None}, {"role": "user", "content": "Hi"}], None),
        (
            [{"role": "user", "content": [{"type": "image_url"}]}],
            [{"type": "text", "text": "N "}, {"type": "image_url"}],
        ),
        (
            [{"role": "user", "content": [{"type": "input_text", "text": "Hi"}]}],
            [{"type": "input_text", "text": "N "}, {"type": "input_text", "text": "Hi"}],
        ),
    ],
)
def test_whole_conversations(messages, first):
    kept = json.dumps(messages)
    made = opened(messages, "N ")
    assert made[0]["content"] == first
    assert json.dumps(made).count("N ") == 1
    assert json.dumps(messages) == kept
    assert opened(messages, "") == messages


# What marks a request


@pytest.mark.parametrize("api", ["chat", "completions", "responses", "embeddings"])
async def test_the_tag(api):
    asked = build("openai", Kind.INFER, {"api": api, "tag": "checks"}, model="m", options=KNOWN)
    fake = FakeExchange({})
    with pytest.raises(Exception, match="Not Found"):
        await asked.infer(fake)
    assert json.loads(fake.bodies[0])["user"] == "checks"


async def test_no_tag_in_a_ranking():
    asked = build("openai", Kind.INFER, {"api": "rerank", "query": "a", "texts": ["b"]}, model="m", options=KNOWN)
    fake = FakeExchange({})
    with pytest.raises(Exception, match="Not Found"):
        await asked.infer(fake)
    assert "user" not in json.loads(fake.bodies[0])


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (422, '{"detail":[{"type":"extra_forbidden","loc":["body","user"],"msg":"Extra inputs are not permitted"}]}'),
        (400, '{"error":{"message":"Unknown name \\"user\\": Cannot find field."}}'),
        (400, '{"error":{"message":"Unrecognized request argument supplied: `user`"}}'),
    ],
)
async def test_a_server_that_knows_no_user(status, error):
    def answer(body):
        return (status, error) if "user" in json.loads(body) else OK

    fake = FakeExchange({CHAT: answer})
    asked = build("openai", Kind.INFER, {}, model="m", options=KNOWN)
    assert (await asked.infer(fake)).failure is None
    assert (await asked.infer(fake)).failure is None
    assert ["user" in json.loads(body) for body in fake.bodies] == [True, False, False]


async def test_a_role_that_an_error_quotes_is_not_the_key():
    error = (400, '{"detail":[{"loc":["body"],"msg":"bad","input":{"messages":[{"role":"user","content":"x"}]}}]}')
    fake = FakeExchange({CHAT: error})
    asked = build("openai", Kind.INFER, {}, model="m", options=KNOWN)
    with pytest.raises(Exception, match="400"):
        await asked.infer(fake)
    assert len(fake.bodies) == 1


async def test_a_priority_that_the_server_does_not_know():
    def answer(body):
        refused = (400, '{"error":{"message":"Got priority 9 but priority scheduling is not enabled."}}')
        return refused if "priority" in json.loads(body) else OK

    fake = FakeExchange({CHAT: answer})
    asked = build("openai", Kind.INFER, {"priority": 9}, model="m", options=KNOWN)
    assert (await asked.infer(fake)).failure is None
    assert [json.loads(body).get("priority") for body in fake.bodies] == [9, None]


async def test_everything_a_server_may_refuse_can_be_left_out():
    """One by one, as it names them, and what is left is asked."""
    keys = ["stream_options", "max_tokens", "temperature", "priority", "user"]
    words = {key: key for key in keys} | {"max_tokens": "use max_completion_tokens instead", "user": "'user'"}

    def answer(body):
        request = json.loads(body)
        named = next((key for key in keys if key in request), None)
        if named is not None:
            return (400, "application/json", [(101, json.dumps({"error": {"message": words[named]}}).encode())])
        done = b'data: {"choices":[{"index":0,"delta":{"content":"OK"},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n'
        return (200, "text/event-stream", [(101, done)])

    fake = FakeExchange({CHAT: answer})
    asked = build("openai", Kind.STREAM, {"priority": 9}, model="m", options=KNOWN)
    assert (await asked.stream(fake)).failure is None
    assert len(fake.bodies) == len(keys) + 1
    assert json.loads(fake.bodies[-1])["max_completion_tokens"] == 16


async def test_the_operators_body_makes_no_concession():
    fake = FakeExchange({CHAT: (400, '{"error":{"message":"Unknown name \\"user\\""}}')})
    asked = build("openai", Kind.INFER, {"body": {"user": "x"}}, model="m", options=KNOWN)
    with pytest.raises(Exception, match="user") as caught:
        await asked.infer(fake)
    assert caught.value.reason is Reason.HTTP_STATUS
    assert len(fake.bodies) == 1
