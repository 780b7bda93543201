import json

import pytest

from exporter.model.failure import Evidence, Failure, Reason
from exporter.model.job import Kind, Scope
from exporter.model.stream import Channel, Outcome, Tokens
from exporter.protocols.anthropic_answer import Reader
from exporter.transport.framing import Event
from tests.fakes.anthropic import ERRORS, Anthropic, error
from tests.protocols.scripted import FakeExchange, build

MESSAGES = "POST /v1/messages"
MODEL = "claude-a"


@pytest.fixture
async def at(reach):
    """`await at(fake, kind, own)`: one attempt with the key and the model's name."""

    async def run(fake, kind, own=None, *, model=MODEL, key=Anthropic.key):
        return await reach(fake, "anthropic", kind, own, model=model, key=key, key_in="x-api-key")

    return run


def message(*content, stop="end_turn", **more):
    return (200, json.dumps({"type": "message", "content": list(content), "stop_reason": stop} | more))


def text(words):
    return {"type": "text", "text": words}


def read(*values):
    reader = Reader()
    return [reader.read(Event(0.0, json.dumps(value), value.get("type", ""))) for value in values]


async def test_ready_asks_for_the_model(at):
    async with Anthropic() as fake:
        assert (await at(fake, "ready")).failure is None
        assert fake.asked == ["GET /v1/models/claude-a"]
        assert fake.requests[0].headers["anthropic-version"] == "2023-06-01"
        assert (await at(fake, "ready", model="claude-z")).failure.reason is Reason.MODEL_NOT_FOUND
        assert (await at(fake, "ready", key="wrong")).failure.reason is Reason.AUTH
        assert (await at(fake, "ready", model="")).failure is None
        assert fake.asked[-1] == "GET /v1/models?limit=1000"


def test_scope_and_kinds():
    assert build("anthropic", Kind.READY, model=MODEL).scope() is Scope.MODEL
    assert build("anthropic", Kind.READY).scope() is Scope.SERVER
    assert Kind.HEALTH not in build("anthropic", Kind.READY).kinds


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ((200, "{}"), Reason.MALFORMED),
        ((200, "[]"), Reason.MALFORMED),
        ((200, json.dumps(error("api_error", "x"))), Reason.ERROR_EVENT),
        ((404, '{"detail":"Not Found"}'), Reason.MODEL_NOT_FOUND),  # the path holds the name
    ],
)
async def test_ready_goes_wrong(ask, answer, reason):
    found = await ask("anthropic", "ready", {"GET /v1/models/m": answer}, model="m")
    assert found.failure.reason is reason


async def test_infer(at):
    async with Anthropic() as fake:
        own = {"expect": {"equals": "OK."}, "system": "Be brief.", "temperature": 0.5, "cache": "warm"}
        found = await at(fake, "infer", own)
        assert found.failure is None
        assert found.tokens == Tokens(input=10, output=3, cached=4)
        assert found.answer == "OK."
        assert fake.requests[0].json == {
            "model": MODEL, "max_tokens": 16, "system": "Be brief.", "temperature": 0.5,
            "messages": [{"role": "user", "content": "Say OK."}], "metadata": {"user_id": "model-exporter"},
        }  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "words", "reason", "evidence"),
    [
        ("invalid_request_error", "prompt is too long", Reason.HTTP_STATUS, Evidence.REFUSED),
        ("invalid_request_error", "Your credit balance is too low to go on", Reason.AUTH, Evidence.REFUSED),
        ("billing_error", "no payment", Reason.AUTH, Evidence.REFUSED),
        ("permission_error", "not yours", Reason.AUTH, Evidence.REFUSED),
        ("not_found_error", "model: claude-a", Reason.MODEL_NOT_FOUND, Evidence.REFUSED),
        ("request_too_large", "x", Reason.HTTP_STATUS, Evidence.REFUSED),
        ("rate_limit_error", "slow down", Reason.RATE_LIMITED, Evidence.BUSY),
        ("api_error", "x", Reason.HTTP_STATUS, Evidence.BROKEN),
        ("timeout_error", "x", Reason.HTTP_STATUS, Evidence.SLOW),
        ("overloaded_error", "Overloaded", Reason.OVERLOADED, Evidence.BUSY),
    ],
)
@pytest.mark.parametrize("probe", ["infer", "stream"])
async def test_errors(at, probe, kind, words, reason, evidence):
    async with Anthropic() as fake:
        fake.trouble = (kind, words)
        failure = (await at(fake, probe)).failure
        assert (failure.reason, failure.row.evidence, failure.http_status) == (reason, evidence, ERRORS[kind])
        assert words in failure.detail
        assert Anthropic.key not in failure.detail


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ((500, json.dumps(error("overloaded_error", "Overloaded"))), Reason.OVERLOADED),
        ((402, "Payment Required"), Reason.AUTH),
        ((500, "{nonsense"), Reason.HTTP_STATUS),
        ((500, '{"error":"text"}'), Reason.HTTP_STATUS),
    ],
)
async def test_errors_of_gateways(ask, answer, reason):
    assert (await ask("anthropic", "infer", {MESSAGES: answer}, model="m")).failure.reason is reason


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (message(), Reason.EMPTY),
        (message(text("")), Reason.EMPTY),
        (message(text("no")), Reason.EXPECTATION),
        (message(text("OK"), stop="refusal"), Reason.EXPECTATION),
        (message({"type": "thinking", "thinking": "hm"}, stop="max_tokens"), Reason.EXPECTATION),  # text is asked for
        (message(7), Reason.MALFORMED),
        ((200, '{"content":"OK"}'), Reason.MALFORMED),
        ((200, "data: x"), Reason.MALFORMED),
        ((200, json.dumps(error("api_error", "x"))), Reason.ERROR_EVENT),
        ((200, json.dumps(error("overloaded_error", "x"))), Reason.OVERLOADED),
    ],
)
async def test_infer_goes_wrong(ask, answer, reason):
    found = await ask("anthropic", "infer", {MESSAGES: answer}, {"expect": {"text": "OK"}}, model="m")
    assert found.failure.reason is reason


async def test_thinking_alone_is_an_answer(ask):
    for block in ({"type": "thinking", "thinking": "hm"}, {"type": "redacted_thinking", "data": "x"}):
        assert (await ask("anthropic", "infer", {MESSAGES: message(block)}, model="m")).failure is None


async def test_tool_calls(ask):
    call = {"type": "tool_use", "id": "t", "name": "look_up", "input": {"a": 1}}
    own = {"expect": {"tool_call": "look_up"}}
    assert (await ask("anthropic", "infer", {MESSAGES: message(call)}, own, model="m")).failure is None
    found = await ask("anthropic", "infer", {MESSAGES: message(text("OK"))}, own, model="m")
    assert found.failure.reason is Reason.EXPECTATION


@pytest.mark.parametrize(
    ("usage", "tokens"),
    [
        (None, None),
        ({}, None),
        ({"input_tokens": -1, "output_tokens": True}, None),
        ({"input_tokens": 3}, Tokens(input=3)),
        ({"input_tokens": 3, "cache_creation_input_tokens": 5, "output_tokens": 2}, Tokens(input=8, output=2)),
        ({"input_tokens": 3, "cache_creation_input_tokens": None, "output_tokens": 2}, Tokens(input=3, output=2)),
    ],
)
async def test_usage(ask, usage, tokens):
    found = await ask("anthropic", "infer", {MESSAGES: message(text("OK"), usage=usage)}, model="m")
    assert found.tokens == tokens


async def test_stream(at):
    async with Anthropic() as fake:
        fake.thinks = True
        found = await at(fake, "stream", {"expect": {"equals": "OK."}})
        assert found.failure is None
        assert found.stream.outcome is Outcome.COMPLETE
        assert set(found.stream.ttft) == {Channel.CONTENT, Channel.REASONING}
        assert found.stream.token_events == 4  # of all events; pings and starts of blocks are none
        assert found.tokens == Tokens(input=10, output=6, cached=4)
        assert fake.requests[0].json["stream"] is True


async def test_a_tool_in_a_stream(at):
    async with Anthropic() as fake:
        body = {
            "model": MODEL, "max_tokens": 9, "stream": True, "tools": [{"name": "look_up"}],
            "messages": [{"role": "user", "content": "x"}],
        }  # fmt: skip
        found = await at(fake, "stream", {"body": body, "expect": {"tool_call": "look_up"}})
        assert found.failure is None
        assert set(found.stream.ttft) == {Channel.TOOL}
        found = await at(fake, "stream", {"body": body, "expect": {"tool_call": "other"}})
        assert found.failure.reason is Reason.EXPECTATION


@pytest.mark.parametrize(
    ("breaks", "outcome", "reason"),
    [
        ("event", Outcome.ERROR_EVENT, Reason.OVERLOADED),
        ("cut", Outcome.NO_FINISH_REASON, Reason.INCOMPLETE),
        ("reason", Outcome.NO_FINISH_REASON, Reason.INCOMPLETE),
        ("stop", Outcome.NO_DONE, Reason.INCOMPLETE),
    ],
)
async def test_a_stream_without_its_promised_end(at, breaks, outcome, reason):
    async with Anthropic() as fake:
        fake.breaks = breaks
        found = await at(fake, "stream")
        assert (found.stream.outcome, found.failure.reason) == (outcome, reason)
        assert found.stream.ttft


@pytest.mark.parametrize(
    ("stop", "outcome"),
    [
        ("end_turn", Outcome.COMPLETE),
        ("stop_sequence", Outcome.COMPLETE),
        ("pause_turn", Outcome.COMPLETE),
        ("max_tokens", Outcome.LENGTH),
        ("model_context_window_exceeded", Outcome.LENGTH),
        ("refusal", Outcome.CONTENT_FILTER),
    ],
)
async def test_stop_reasons(ask, stop, outcome):
    events = (
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "O"}},
        {"type": "message_delta", "delta": {"stop_reason": stop}, "usage": {"output_tokens": 1}},
        {"type": "message_stop"},
    )
    body = "".join(f"event: {each['type']}\ndata: {json.dumps(each)}\n\n" for each in events).encode()
    answers = {MESSAGES: (200, "text/event-stream", [(101, body), (102, None)])}
    assert (await ask("anthropic", "stream", answers, model="m")).stream.outcome is outcome


def test_events_that_say_nothing():
    nothing = (
        {"type": "ping"},
        {"type": "content_block_start", "index": 0, "content_block": text("")},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": ""}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "signature_delta", "signature": "x"}},
        {"type": "content_block_delta", "index": 0},
        {"type": "content_block_stop", "index": 0},
        {"type": "something_new", "text": "x"},
        {"type": "message_start", "message": None},
    )
    assert not any(step.channels or step.finish or step.done or step.error for step in read(*nothing))


def test_usage_is_not_told_before_the_end():
    start = {"type": "message_start", "message": {"usage": {"input_tokens": 9, "output_tokens": 1}}}
    end = {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 5}}
    first, last = read(start, end)
    assert first.usage is None  # a stream that is cut has no count: the first one is a guess
    assert last.usage == Tokens(input=9, output=5)


def test_errors_in_streams():
    (step,) = read({"type": "error", "error": {"type": "api_error", "message": "x"}})
    assert (step.error, step.reason) == ("x", Reason.ERROR_EVENT)
    (step,) = read({"error": {"message": "of a gateway"}})
    assert step.error == "of a gateway"
    with pytest.raises(Failure) as raised:
        Reader().read(Event(0.0, "{nonsense", ""))
    assert raised.value.reason is Reason.MALFORMED


async def test_catalogue_follows_pages(at):
    async with Anthropic("a", "b", "c", "d", "e") as fake:
        assert (await at(fake, "catalogue")).models == ("a", "b", "c", "d", "e")
        assert fake.asked[1:] == ["GET /v1/models?limit=1000&after_id=b", "GET /v1/models?limit=1000&after_id=d"]


async def test_catalogue_ends_though_the_pages_do_not(ask):
    def page(number):
        return (200, json.dumps({"data": [{"id": f"m{number}"}], "has_more": True, "last_id": f"m{number}"}))

    answers = {"GET /v1/models?limit=1000": page(0)}
    answers |= {f"GET /v1/models?limit=1000&after_id=m{number}": page(number + 1) for number in range(50)}
    fake = FakeExchange(answers)
    assert len((await ask("anthropic", "catalogue", fake)).models) == len(fake.asked) == 10
    same = FakeExchange({"GET /v1/models?limit=1000": page(1), "GET /v1/models?limit=1000&after_id=m1": page(1)})
    assert (await ask("anthropic", "catalogue", same)).models == ("m1",)
    assert len(same.asked) == 2


@pytest.mark.parametrize("body", ['{"data":{}}', '{"models":["m"]}', '{"data":[{"name":"m"}]}', "[]"])
async def test_a_catalogue_that_is_none(ask, body):
    found = await ask("anthropic", "catalogue", {"GET /v1/models?limit=1000": (200, body)})
    assert found.failure.reason is Reason.MALFORMED


async def test_propose(ask):
    fake = FakeExchange({})
    proposal = (await ask("anthropic", "propose", fake, model="m")).proposal
    assert build("anthropic", Kind(proposal.kind), {"prompt": proposal.settings["prompt"]}, model="m")
    assert (await ask("anthropic", "propose", fake)).proposal is None  # there is no message without a model
    assert fake.asked == []


def test_problems():
    def places(own, kind=Kind.STREAM, model="m"):
        return [place for place, _ in build("anthropic", kind, own, model=model).problems(kind)]

    assert places({}) == places({"messages": [{"role": "user", "content": "x"}]}) == places({"prompt": "x"}) == []
    assert places({"prompt": "x", "messages": [{}]}) == [("messages",)]
    assert places({"body": {}}) == [("body",)]
    assert places({"body": {"stream": True}}) == places({"body": {}}, Kind.INFER) == []
    assert places({"body": {"stream": True}, "max_tokens": 3, "system": "x"}) == [("max_tokens",), ("system",)]
    assert places({}, model="") == [()]
    assert places({"body": {"stream": True}}, model="") == []
    assert build("anthropic", Kind.READY).problems(Kind.READY) == ()
