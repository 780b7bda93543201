"""The Responses API, whole and streamed."""

import json

import pytest

from exporter.model.failure import Failure, Reason
from exporter.model.stream import Channel, Outcome, Tokens
from tests.fakes.openai_api import OpenAiApi
from tests.protocols.scripted import FakeExchange

ROUTE = "POST /v1/responses"
KNOWN = {"server": "generic"}
USAGE = {"input_tokens": 5, "output_tokens": 3}


def message(text, kind="output_text"):
    return {"type": "message", "content": [{"type": kind, "text" if kind == "output_text" else "refusal": text}]}


def response(*output, status="completed", **more):
    return {"object": "response", "status": status, "error": None, "output": list(output), "usage": USAGE} | more


def streamed(*events, named=True, end=None):
    lines = b"".join(
        (b"event: %b\n" % event["type"].encode() if named else b"") + b"data: %b\n\n" % json.dumps(event).encode()
        for event in events
    )
    return (200, "text/event-stream", [(101, lines), (102, end)])


def delta(kind, text, **more):
    return {"type": f"response.{kind}.delta", "output_index": 0, "delta": text, **more}


DONE = {"type": "response.completed", "response": response(message("OK."))}


async def test_through_the_real_transport(reach):
    async with OpenAiApi() as server:
        for kind in ("infer", "stream"):
            own = {"api": "responses", "expect": {"equals": "OK. Fine."}, "cache": "warm"}
            found = await reach(server, "openai", kind, own, model=server.model, options=KNOWN)
            assert found.failure is None
            assert found.tokens == Tokens(input=4, output=3, reasoning=1, cached=2)
        assert found.stream.outcome is Outcome.COMPLETE
        assert server.requests[-1].json == {
            "model": server.model, "input": "Say OK.", "max_output_tokens": 16, "store": False, "temperature": 0.0,
            "stream": True, "user": "model-exporter",
        }  # fmt: skip


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (response(message("OK.")), None),
        (response(message("no")), Reason.EXPECTATION),
        (response(message("OK.", "refusal")), None),
        (response(), Reason.EMPTY),
        (response(message("")), Reason.EMPTY),
        (response({"type": "reasoning", "content": [{"type": "reasoning_text", "text": "hm"}]}), Reason.EXPECTATION),
        (response(message("OK."), status="incomplete", incomplete_details={"reason": "max_output_tokens"}), None),
        (
            response(message("OK."), status="incomplete", incomplete_details={"reason": "content_filter"}),
            Reason.EXPECTATION,
        ),
        (response(status="failed", error={"code": "server_error", "message": "boom"}), Reason.ERROR_EVENT),
        (response(status="failed"), Reason.ERROR_EVENT),
        (response(status="queued"), Reason.INCOMPLETE),
        (response(status=7), Reason.INCOMPLETE),
        ({"choices": []}, Reason.MALFORMED),
        ({"output": [7]}, Reason.MALFORMED),
        ([], Reason.MALFORMED),
    ],
)
async def test_whole(ask, answer, reason):
    own = {"api": "responses", "expect": {"text": "OK"}}
    found = await ask("openai", "infer", {ROUTE: (200, json.dumps(answer))}, own, options=KNOWN)
    assert (found.failure and found.failure.reason) is reason


async def test_tool_calls(ask):
    call = {"type": "function_call", "name": "look_up", "arguments": '{"a":1}'}
    own = {"api": "responses", "expect": {"tool_call": "look_up"}}
    answers = {ROUTE: (200, json.dumps(response(call)))}
    assert (await ask("openai", "infer", answers, own, options=KNOWN)).failure is None
    begun = {"type": "response.output_item.added", "output_index": 1, "item": {**call, "arguments": ""}}
    parts = [delta("function_call_arguments", part, output_index=1) for part in ('{"a"', ":1}")]
    answers = {ROUTE: streamed(begun, *parts, {**DONE, "response": response(call)})}
    found = await ask("openai", "stream", answers, own, options=KNOWN)
    assert found.failure is None
    assert set(found.stream.ttft) == {Channel.TOOL}
    assert found.stream.token_events == 3


@pytest.mark.parametrize("named", [True, False])
async def test_channels(ask, named):
    events = [
        {"type": "response.created", "response": response(status="in_progress")},
        delta("reasoning_text", "Hm"),
        delta("reasoning_summary_text", "Hm."),
        delta("output_text", ""),
        delta("output_text", "OK"),
        delta("refusal", "."),
        {"type": "response.something_new.delta", "delta": "?"},
        DONE,
    ]
    found = await ask("openai", "stream", {ROUTE: streamed(*events, named=named)}, {"api": "responses"}, options=KNOWN)
    assert found.stream.outcome is Outcome.COMPLETE
    assert found.stream.token_events == 4
    assert set(found.stream.ttft) == {Channel.REASONING, Channel.CONTENT}
    assert found.answer == "OK."
    assert found.tokens == Tokens(input=5, output=3)


@pytest.mark.parametrize(
    ("last", "outcome", "reason"),
    [
        (DONE, Outcome.COMPLETE, None),
        (
            {"type": "response.incomplete", "response": response(
                status="incomplete", incomplete_details={"reason": "max_output_tokens"})},
            Outcome.LENGTH, None,
        ),
        (
            {"type": "response.incomplete", "response": response(
                status="incomplete", incomplete_details={"reason": "content_filter"})},
            Outcome.CONTENT_FILTER, Reason.EXPECTATION,
        ),
        (
            {"type": "response.failed", "response": response(status="failed", error={"code": "x", "message": "boom"})},
            Outcome.ERROR_EVENT, Reason.ERROR_EVENT,
        ),
        ({"type": "error", "code": "server_error", "message": "boom"}, Outcome.ERROR_EVENT, Reason.ERROR_EVENT),
        ({"type": "error"}, Outcome.ERROR_EVENT, Reason.ERROR_EVENT),
        ({"type": "response.output_text.done"}, Outcome.NO_DONE, Reason.INCOMPLETE),
    ],
)  # fmt: skip
async def test_ends(ask, last, outcome, reason):
    answers = {ROUTE: streamed(delta("output_text", "OK"), last)}
    found = await ask("openai", "stream", answers, {"api": "responses"}, options=KNOWN)
    assert found.stream.outcome is outcome
    assert (found.failure and found.failure.reason) is reason
    if reason is Reason.ERROR_EVENT and "code" in json.dumps(last):
        assert found.failure.detail == "boom"


async def test_done_is_not_the_end_it_promises(ask):
    body = b'data: {"type":"response.output_text.delta","delta":"OK"}\n\ndata: [DONE]\n\n'
    answers = {ROUTE: (200, "text/event-stream", [(101, body), (102, None)])}
    found = await ask("openai", "stream", answers, {"api": "responses"}, options=KNOWN)
    assert found.stream.outcome is Outcome.NO_DONE


async def test_a_cut_stream(ask):
    answers = {ROUTE: streamed(delta("output_text", "OK"), end=Failure(Reason.TRUNCATED))}
    found = await ask("openai", "stream", answers, {"api": "responses"}, options=KNOWN)
    assert found.stream.outcome is Outcome.DISCONNECTED


async def test_store_is_left_out_where_it_is_refused(ask):
    def answer(body):
        if "store" in json.loads(body):
            return (400, '{"error":{"message":"Unknown parameter: \'store\'"}}')
        return (200, json.dumps(response(message("OK."))))

    fake = FakeExchange({ROUTE: answer})
    for _ in range(2):
        assert (await ask("openai", "infer", fake, {"api": "responses"}, options=KNOWN)).failure is None
    assert len(fake.asked) == 3
