import json

import pytest

from exporter.model.failure import Evidence, Failure, Reason
from exporter.model.job import Kind, Scope
from exporter.model.stream import Channel, Outcome, Tokens
from exporter.protocols import openai_answer
from tests.protocols.scripted import FakeExchange, build

CHAT = "POST /v1/chat/completions"
VLLM = {"id": "llama", "object": "model", "owned_by": "vllm", "root": "org/llama", "max_model_len": 4096}
LITSERVE_INFO = (200, '{"model":null,"server":{"devices":["cpu"],"stream":{"/v1/chat/completions":true}}}')


def models(*entries):
    return {"GET /v1/models": (200, json.dumps({"object": "list", "data": list(entries)}))}


def said(text="OK.", finish="stop", usage=None, **message):
    choice = {"index": 0, "message": {"role": "assistant", "content": text} | message, "finish_reason": finish}
    return (200, json.dumps({"choices": [choice], "usage": usage}))


#: Of a server that needs no introduction.
KNOWN = {"server": "generic"}


def sse(*values):
    return b"".join(f"data: {v if isinstance(v, str) else json.dumps(v)}\n\n".encode() for v in values)


def chunk(finish=None, **delta):
    return {"choices": [{"index": 0, "delta": delta, "finish_reason": finish}]}


def stream(*values, kind="text/event-stream", end=None):
    return (200, kind, [(101, sse(*values)), (102, end)])


GOOD = stream(chunk(content="OK."), chunk("stop"), "[DONE]")


@pytest.mark.parametrize(
    ("answers", "model", "health", "ready"),
    [
        (models({"id": "m"}), "m", None, None),
        (models({"id": "m"}), "", None, None),
        (models(), "m", None, None),  # a server that lists none keeps them to itself
        (models({"id": "a"}, {"id": "b"}), "m", None, Reason.MODEL_NOT_FOUND),
        (models({"id": "m:latest"}), "m", None, None),
        (models({"id": "m:7b"}), "m", None, Reason.MODEL_NOT_FOUND),
        ({"GET /v1/models": (401, "")}, "m", Reason.AUTH, Reason.AUTH),
        ({"GET /v1/models": (503, '{"error":{"message":"Loading model"}}')}, "m", Reason.NOT_READY, Reason.NOT_READY),
        ({"GET /v1/models": (404, "m")}, "m", Reason.HTTP_STATUS, Reason.HTTP_STATUS),
        ({"GET /v1/models": (200, "<html>")}, "m", Reason.MALFORMED, Reason.MALFORMED),
        ({"GET /v1/models": (200, '{"models":["m"]}')}, "m", Reason.MALFORMED, Reason.MALFORMED),
        ({"GET /v1/models": (200, '{"data":[{"name":"m"}]}')}, "m", Reason.MALFORMED, Reason.MALFORMED),
        ({"GET /v1/models": (200, '{"data":{}}')}, "m", Reason.MALFORMED, Reason.MALFORMED),
        ({"GET /v1/models": (200, '{"data":null}')}, "m", Reason.MALFORMED, Reason.MALFORMED),
        ({"GET /v1/models": (200, '{"object":"list","data":null}')}, "m", None, None),  # Ollama without a model
        ({"GET /v1/models": (200, '{"error":{"message":"x"}}')}, "m", Reason.ERROR_EVENT, Reason.ERROR_EVENT),
    ],
)
async def test_listing(ask, answers, model, health, ready):
    for kind, reason in (("health", health), ("ready", ready)):
        found = await ask("openai", kind, answers, model=model)
        assert (found.failure and found.failure.reason) is reason


def test_scope():
    assert build("openai", Kind.READY, model="m").scope() is Scope.MODEL
    assert build("openai", Kind.READY).scope() is Scope.SERVER


async def test_metadata(ask):
    answers = models(VLLM, {"id": "lora", "parent": "llama", "owned_by": "vllm"}) | {
        "GET /version": (200, '{"version":"0.11.2"}')
    }
    found = await ask("openai", "metadata", answers, model="llama")
    assert found.info == {"server": "vllm", "server_version": "0.11.2", "model_id": "org/llama"}
    assert found.facts == {"max_model_len": 4096.0}
    assert (await ask("openai", "metadata", answers, model="lora")).info["model_id"] == "lora"
    assert (await ask("openai", "metadata", answers, model="x")).failure.reason is Reason.MODEL_NOT_FOUND
    nobody = await ask("openai", "metadata", answers)  # two models, and none is meant
    assert nobody.info == {"server": "vllm", "server_version": "0.11.2"}
    assert (await ask("openai", "metadata", models(VLLM))).info["server"] == "vllm"  # no version told


async def test_hostile_metadata(ask):
    entry = {"id": "m\n\x00" + "x" * 1000, "owned_by": ["vllm"], "max_model_len": 10**100}
    found = await ask("openai", "metadata", models(entry))
    assert found.facts == {}
    assert found.info == {"model_id": "m" + "x" * 127}


async def test_litserve_has_no_listing(ask):
    answers = {"GET /info": LITSERVE_INFO, "GET /health": (200, "ok")}
    fake = FakeExchange(answers)
    assert (await ask("openai", "health", fake, model="m", path="/v1")).failure is None
    assert fake.asked == ["GET /v1/models", "GET /info", "GET /health"]
    assert (await ask("openai", "ready", fake, model="m")).failure is None
    assert fake.asked[3:] == ["GET /health"]  # remembered
    assert (await ask("openai", "metadata", fake)).info == {"server": "litserve"}
    fake.answers["GET /health"] = (503, "not ready")
    assert (await ask("openai", "health", fake)).failure.reason is Reason.NOT_READY
    del fake.answers["GET /health"]
    assert (await ask("openai", "health", fake)).failure.reason is Reason.HTTP_STATUS
    assert "openai.server" not in fake.memory  # another server lives there now


async def test_health_of_an_unknown_server_is_never_asked(ask):
    fake = FakeExchange({"GET /info": (200, '{"model_id":"x"}')})
    assert (await ask("openai", "health", fake)).failure.reason is Reason.HTTP_STATUS
    assert "GET /health" not in fake.asked


async def test_infer(ask):
    usage = {
        "prompt_tokens": 10, "completion_tokens": 5, "prompt_tokens_details": {"cached_tokens": 4},
        "completion_tokens_details": {"reasoning_tokens": 3},
    }  # fmt: skip
    fake = FakeExchange({CHAT: said(usage=usage)})
    own = {"expect": {"regex": "(?i)ok"}, "cache": "warm"}
    found = await ask("openai", "infer", fake, own, model="llama", options=KNOWN)
    assert found.failure is None
    assert found.tokens == Tokens(input=6, output=2, reasoning=3, cached=4)
    assert found.answer == "OK."
    assert json.loads(fake.bodies[0]) == {
        "model": "llama", "messages": [{"role": "user", "content": "Say OK."}], "max_tokens": 16, "temperature": 0.0,
        "user": "model-exporter",
    }  # fmt: skip


async def test_completions(ask):
    answer = (200, '{"choices":[{"index":0,"text":"OK.","finish_reason":"length"}]}')
    fake = FakeExchange({"POST /openai/v1/completions": answer})
    own = {"api": "completions", "prompt": "Hi", "max_tokens": 3, "temperature": None, "seed": 7, "tag": None}
    found = await ask("openai", "infer", fake, own, path="/openai", options=KNOWN)
    assert found.failure is None
    assert json.loads(fake.bodies[0]) == {"prompt": "Hi", "max_tokens": 3, "seed": 7}


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (said(""), Reason.EMPTY),
        (said(None), Reason.EMPTY),
        (said("OK", "content_filter"), Reason.EXPECTATION),
        (said("no"), Reason.EXPECTATION),
        (said(None, reasoning_content="hm"), Reason.EXPECTATION),  # the text is asked for, and there is none
        ((200, '{"choices":[]}'), Reason.MALFORMED),
        ((200, '{"choices":null}'), Reason.MALFORMED),
        ((200, '{"choices":"x"}'), Reason.MALFORMED),
        ((200, '{"choices":[{"message":7}]}'), Reason.MALFORMED),
        ((200, '{"error":{"message":"x"}}'), Reason.ERROR_EVENT),
        ((200, '{"object":"error","message":"x"}'), Reason.ERROR_EVENT),
        ((200, "data: x"), Reason.MALFORMED),
        ((404, '{"error":{"message":"The model `llama` does not exist."}}'), Reason.MODEL_NOT_FOUND),
        ((404, '{"detail":"Not Found"}'), Reason.HTTP_STATUS),
        ((429, '{"error":{"code":"insufficient_quota"}}'), Reason.AUTH),
        ((429, ""), Reason.RATE_LIMITED),
        ((503, "queue is full"), Reason.OVERLOADED),
        (Failure(Reason.TRUNCATED), Reason.TRUNCATED),
    ],
)
async def test_infer_goes_wrong(ask, answer, reason):
    found = await ask("openai", "infer", {CHAT: answer}, {"expect": {"text": "OK"}}, model="llama")
    assert found.failure.reason is reason


async def test_a_failed_expectation_keeps_what_it_cost(ask):
    usage = {"prompt_tokens": 3, "completion_tokens": 2}
    found = await ask("openai", "infer", {CHAT: said("no", usage=usage)}, {"expect": {"text": "OK"}})
    assert found.tokens == Tokens(input=3, output=2)
    assert found.answer == "no"


@pytest.mark.parametrize(
    ("usage", "tokens"),
    [
        (None, None),
        ({}, None),
        ("x", None),
        ({"prompt_tokens": -1}, None),
        ({"prompt_tokens": True}, None),
        ({"prompt_tokens": 10**400}, None),
        ({"prompt_tokens": 1.5}, None),
        ({"prompt_tokens": 3}, Tokens(input=3)),
        ({"prompt_tokens": 3, "prompt_tokens_details": {"cached_tokens": 9}}, Tokens(cached=9)),
        ({"completion_tokens": 3, "completion_tokens_details": None}, Tokens(output=3)),
    ],
)
def test_usage(usage, tokens):
    assert openai_answer.usage_of(usage) == tokens


async def test_zeros_beside_an_answer_are_no_count(ask):
    zeros = {"prompt_tokens": 0, "completion_tokens": 0}
    assert (await ask("openai", "infer", {CHAT: said(usage=zeros)})).tokens is None


async def test_tool_calls(ask):
    def call(arguments):
        return said(None, "tool_calls", tool_calls=[{"function": {"name": "look_up", "arguments": arguments}}])

    own = {"expect": {"tool_call": "look_up"}}
    assert (await ask("openai", "infer", {CHAT: call('{"a":1}')}, own)).failure is None
    assert (await ask("openai", "infer", {CHAT: call('{"a":')}, own)).failure.reason is Reason.EXPECTATION
    found = await ask("openai", "infer", {CHAT: said("OK")}, own)
    assert found.failure.detail == "tool look_up was not called, but none"


def refusing(key, text, then):
    """A server that answers 400 while `key` is in the request."""

    def answer(body):
        return (400, json.dumps({"error": {"message": text}})) if key in json.loads(body) else then

    return answer


async def test_max_tokens_is_renamed_where_the_server_says_so_and_remembered(ask):
    text = "Unsupported parameter: 'max_tokens'. Use 'max_completion_tokens' instead."
    fake = FakeExchange({CHAT: refusing("max_tokens", text, said())})
    assert (await ask("openai", "infer", fake, options=KNOWN)).failure is None
    assert len(fake.asked) == 2
    assert json.loads(fake.bodies[1])["max_completion_tokens"] == 16
    assert (await ask("openai", "infer", fake, options=KNOWN)).failure is None
    assert len(fake.asked) == 3  # asked right at once


async def test_temperature_is_left_out_where_it_is_refused(ask):
    fake = FakeExchange({CHAT: refusing("temperature", "temperature does not support 0.0", said())})
    assert (await ask("openai", "infer", fake, options=KNOWN)).failure is None
    assert "temperature" not in json.loads(fake.bodies[1])


async def test_a_request_that_stays_wrong_is_not_remembered(ask):
    fake = FakeExchange({CHAT: (400, "temperature, max_completion_tokens, all wrong")})
    found = await ask("openai", "infer", fake, options=KNOWN)
    assert found.failure.reason is Reason.HTTP_STATUS
    assert found.failure.row.evidence is Evidence.REFUSED
    assert fake.memory == {}
    assert len(fake.asked) == 3


async def test_a_body_of_ones_own_is_never_changed(ask):
    fake = FakeExchange({CHAT: (400, "temperature")})
    assert (await ask("openai", "infer", fake, {"body": {"temperature": 0}}, options=KNOWN)).failure.http_status == 400
    assert len(fake.asked) == 1


async def test_stream(ask):
    usage = {"choices": [], "usage": {"prompt_tokens": 4, "completion_tokens": 2}}
    answer = stream(chunk(role="assistant"), chunk(content="O"), chunk(content="K."), chunk("stop"), usage, "[DONE]")
    fake = FakeExchange({CHAT: answer})
    found = await ask("openai", "stream", fake, {"expect": {"equals": "OK."}}, model="m", options=KNOWN)
    assert found.failure is None
    assert found.stream.outcome is Outcome.COMPLETE
    assert found.stream.ttft == {Channel.CONTENT: 1.0}
    assert found.tokens == Tokens(input=4, output=2)
    sent = json.loads(fake.bodies[0])
    assert sent["stream"] is True
    assert sent["stream_options"] == {"include_usage": True}


async def test_a_failed_stream_keeps_its_summary(ask):
    found = await ask("openai", "stream", {CHAT: GOOD}, {"expect": {"text": "moon"}})
    assert found.failure.reason is Reason.EXPECTATION
    assert found.stream.outcome is Outcome.COMPLETE
    found = await ask("openai", "stream", {CHAT: stream(chunk(content="O"), end=Failure(Reason.RESET))})
    assert found.failure.reason is Reason.RESET
    assert found.stream.outcome is Outcome.DISCONNECTED


@pytest.mark.parametrize("status", [400, 422])
async def test_stream_options_are_left_out_where_they_are_refused(ask, status):
    def answer(body):
        if "stream_options" in json.loads(body):
            return (status, "application/json", [(101, b'{"detail":"stream_options not permitted"}')])
        return GOOD

    fake = FakeExchange({CHAT: answer})
    assert (await ask("openai", "stream", fake, options=KNOWN)).failure is None
    assert (await ask("openai", "stream", fake, options=KNOWN)).failure is None
    assert len(fake.asked) == 3


async def test_a_refused_stream_is_judged_by_its_status(ask):
    answer = (503, "application/json", [(101, b'{"error":{"message":"Loading model"}}')])
    found = await ask("openai", "stream", {CHAT: answer})
    assert found.failure.reason is Reason.NOT_READY
    assert found.stream is None


@pytest.mark.parametrize(
    ("kind", "body", "outcome"),
    [
        ("application/json", b'{"error":{"message":"x"}}', Outcome.ERROR_EVENT),
        ("application/json; charset=utf-8", b'{"choices":[]}', Outcome.MALFORMED),
        ("application/json", b"{nonsense", Outcome.MALFORMED),
        ("text/html", b"<html>", Outcome.MALFORMED),
    ],
)
async def test_an_answer_that_is_no_stream(ask, kind, body, outcome):
    found = await ask("openai", "stream", {CHAT: (200, kind, [(101, body), (101, None)])})
    assert found.stream.outcome is outcome
    assert found.failure.reason.value == outcome.value


@pytest.mark.parametrize(
    ("done", "first", "second"),
    [
        ("auto", Outcome.COMPLETE, Outcome.NO_DONE),
        ("required", Outcome.NO_DONE, Outcome.NO_DONE),
        ("optional", Outcome.COMPLETE, Outcome.COMPLETE),
    ],
)
async def test_done(ask, done, first, second):
    without = stream(chunk(content="OK."), chunk("stop"))
    fake = FakeExchange({CHAT: without})
    options = {"done": done}
    assert (await ask("openai", "stream", fake, options=options)).stream.outcome is first
    fake.answers[CHAT] = GOOD
    assert (await ask("openai", "stream", fake, options=options)).stream.outcome is Outcome.COMPLETE
    fake.answers[CHAT] = without
    assert (await ask("openai", "stream", fake, options=options)).stream.outcome is second


async def test_completions_stream(ask):
    text = {"choices": [{"index": 0, "text": "OK.", "finish_reason": None}]}
    end = {"choices": [{"index": 0, "text": "", "finish_reason": "stop"}]}
    answers = {"POST /v1/completions": stream(text, end, "[DONE]")}
    assert (await ask("openai", "stream", answers, {"api": "completions"})).stream.outcome is Outcome.COMPLETE


async def test_only_the_first_choice_counts(ask):
    other = {"choices": [{"index": 1, "delta": {"content": "x"}, "finish_reason": "stop"}]}
    found = await ask("openai", "stream", {CHAT: stream(other, chunk(content="OK"), chunk("stop"), "[DONE]")})
    assert found.stream.token_events == 1
    assert found.answer == "OK"


async def test_a_head_that_does_not_come_in_time(ask):
    import asyncio
    from contextlib import asynccontextmanager

    class Silent(FakeExchange):
        @asynccontextmanager
        async def stream(self, *_, **__):
            await asyncio.Event().wait()
            yield

    found = await ask("openai", "stream", Silent({}), {"first_token_timeout": "20ms"})
    assert found.failure.reason is Reason.TIMEOUT_FIRST_TOKEN


def test_problems(tmp_path):
    def places(own, kind=Kind.STREAM):
        return [place for place, _ in build("openai", kind, own).problems(kind)]

    assert places({}) == places({"prompt": "x"}) == places({"messages": [{"role": "user", "content": "x"}]}) == []
    assert places({"prompt": "x", "messages": [{}]}) == [("messages",)]
    assert places({"messages": [{}], "api": "completions"}) == [("messages",)]
    assert places({"body": {}}) == [("body",)]
    assert places({"body": {"stream": True}}) == []
    assert places({"body": {}}, Kind.INFER) == []
    assert places({"body": {"stream": True}, "max_tokens": 3}) == [("max_tokens",)]


def test_prompt_may_be_a_file(tmp_path):
    (tmp_path / "long.txt").write_text("a long story")
    protocol = build("openai", Kind.INFER, {"prompt": {"file": str(tmp_path / "long.txt")}})
    assert protocol.settings.prompt == "a long story"
