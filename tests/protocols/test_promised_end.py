"""The end that each kind of server promises, row by row: kept, missing, and an error inside a 200."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from exporter import protocols
from exporter.model.failure import Failure, Reason
from exporter.model.job import Kind
from exporter.model.observation import Observation
from exporter.model.stream import Outcome
from tests.protocols.scripted import FakeExchange, build

SSE, NDJSON, TEXT = "text/event-stream", "application/x-ndjson", "text/plain"
PS = (200, json.dumps({"models": [{"name": "m", "model": "m", "digest": "d", "expires_at": "2299-01-01T00:00:00Z"}]}))


def sse(*events: Any) -> list[bytes]:
    return [f"data: {event if isinstance(event, str) else json.dumps(event)}\n\n".encode() for event in events]


def lines(*values: Any) -> list[bytes]:
    return [json.dumps(value).encode() + b"\n" for value in values]


@dataclass(frozen=True)
class Row:
    """`tokens` and then `end` is a stream as it has to be. `short`: that much of the end is not enough, and what is
    then missing. `errors` are said in place of an end.
    """

    protocol: str
    route: str
    tokens: list[bytes]
    end: list[bytes]
    short: dict[int, Outcome] = field(default_factory=dict)
    errors: list[bytes] = field(default_factory=list)
    own: dict[str, Any] = field(default_factory=dict)
    options: dict[str, Any] = field(default_factory=dict)
    kind: str = SSE
    #: Where events do not hold what is new, but all so far: that many of them.
    grown: Callable[[int], list[bytes]] | None = None

    def going_on(self, times: int) -> list[bytes]:
        return self.tokens * times if self.grown is None else self.grown(times)


def so_far(times: int) -> list[bytes]:
    return sse(*({"text": "OK." * (place + 1), "meta_info": {"finish_reason": None}} for place in range(times)))


OPENAI_ERRORS = sse({"error": {"message": "x"}}, {"error": "x"}, {"object": "error", "message": "x", "code": 500})
DELTA = {"choices": [{"index": 0, "delta": {"content": "OK."}, "finish_reason": None}]}
FINISH = {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}
MARKED = {0: Outcome.NO_FINISH_REASON, 1: Outcome.NO_DONE}
CHAT = "POST /v1/chat/completions"


def openai(server: str) -> Row:
    return Row("openai", CHAT, sse(DELTA), sse(FINISH, "[DONE]"), MARKED, OPENAI_ERRORS, options={"server": server})


def unmarked(protocol: str, route: str, own: dict[str, Any], kind: str = TEXT) -> Row:
    """No marker exists: `complete` is the clean end of the message, and nothing else can be told."""
    return Row(protocol, route, [b"OK", b"."], [], own=own, kind=kind)


ROWS = {
    **{
        server: openai(server)
        for server in ("vllm", "sglang", "tgi", "llama.cpp", "ollama", "litserve", "litellm", "nim", "llama-cpp-python")
    },
    "litellm by its own name": Row("litellm", CHAT, sse(DELTA), sse(FINISH, "[DONE]"), MARKED, OPENAI_ERRORS),
    "completions": Row(
        "openai", "POST /v1/completions", sse({"choices": [{"index": 0, "text": "OK.", "finish_reason": None}]}),
        sse({"choices": [{"index": 0, "text": "", "finish_reason": "stop"}]}, "[DONE]"), MARKED, OPENAI_ERRORS,
        own={"api": "completions"}, options={"server": "vllm"},
    ),
    "done: required": Row(
        "openai", CHAT, sse(DELTA), sse(FINISH, "[DONE]"), MARKED, OPENAI_ERRORS,
        options={"server": "generic", "done": "required"},
    ),
    "transformers": Row(
        "openai", CHAT, sse(DELTA), sse(FINISH), {0: Outcome.NO_FINISH_REASON}, sse({"detail": "x"}),
        options={"server": "transformers"},
    ),
    "done: optional": Row(
        "openai", CHAT, sse(DELTA), sse(FINISH), {0: Outcome.NO_FINISH_REASON}, OPENAI_ERRORS,
        options={"server": "vllm", "done": "optional"},
    ),
    "responses": Row(
        "openai", "POST /v1/responses", sse({"type": "response.output_text.delta", "delta": "OK."}),
        sse({"type": "response.completed", "response": {"status": "completed"}}), {0: Outcome.NO_DONE},
        sse(
            {"type": "response.failed", "response": {"status": "failed", "error": {"message": "x"}}},
            {"type": "error", "message": "x"},
        ),
        own={"api": "responses"}, options={"server": "vllm"},
    ),
    "llama.cpp by its own API": Row(
        "openai", "POST /completion", sse({"index": 0, "content": "OK.", "stop": False}),
        sse({"index": 0, "content": "", "stop": True, "stop_type": "eos"}), {0: Outcome.NO_DONE},
        sse({"error": {"code": 500, "message": "x", "type": "server_error"}}),
        own={"api": "completion"}, options={"server": "llama.cpp"},
    ),
    "an old llama.cpp": Row(
        "openai", "POST /completion", sse({"content": "OK.", "stop": False}),
        sse({"content": "", "stop": True, "stopped_eos": True}), {0: Outcome.NO_DONE}, sse({"error": {"message": "x"}}),
        own={"api": "completion"}, options={"server": "llama.cpp"},
    ),
    "sglang by its own API": Row(
        "openai", "POST /generate", so_far(1),
        sse({"text": "", "meta_info": {"finish_reason": {"type": "stop"}}}, "[DONE]"), MARKED,
        sse({"error": {"message": "x"}}, {"meta_info": {"finish_reason": {"type": "abort", "message": "x"}}}),
        own={"api": "generate"}, options={"server": "sglang"}, grown=so_far,
    ),
    "anthropic": Row(
        "anthropic", "POST /v1/messages",
        sse({"type": "content_block_delta", "delta": {"type": "text_delta", "text": "OK."}}),
        sse({"type": "message_delta", "delta": {"stop_reason": "end_turn"}}, {"type": "message_stop"}), MARKED,
        [b'event: error\ndata: {"type":"error","error":{"type":"api_error","message":"x"}}\n\n'],
    ),
    "ollama by its own API": Row(
        "ollama", "POST /api/generate", lines({"response": "OK.", "done": False}),
        lines({"response": "", "done": True, "done_reason": "stop"}), {0: Outcome.NO_DONE}, lines({"error": "x"}),
        kind=NDJSON,
    ),
    "an old ollama": Row(
        "ollama", "POST /api/chat", lines({"message": {"content": "OK."}, "done": False}), lines({"done": True}),
        {0: Outcome.NO_DONE}, lines({"error": "x"}), own={"api": "chat"}, kind=NDJSON,
    ),
    "tgi by its own API": Row(
        "tgi", "POST /generate_stream", sse({"token": {"text": "OK."}, "generated_text": None}),
        sse({"token": {"text": "</s>", "special": True}, "generated_text": "OK.", "details": None}),
        {0: Outcome.NO_DONE}, sse({"error": "x", "error_type": "generation"}),
    ),
    "triton": Row(
        "triton", "POST /v2/models/m/generate_stream", sse({"text_output": "OK."}), [], {}, sse({"error": "x"})
    ),
    "bentoml": unmarked("bentoml", "POST /ask", {"path": "/ask", "body": {}}),
    "ray_serve": unmarked("ray_serve", "POST /ask", {"path": "/ask", "body": {}}),
    "litserve": unmarked("litserve", "POST /predict", {"body": {}}),
    "torchserve": unmarked("torchserve", "POST /predictions/m", {"body": {}}),
    "sagemaker": unmarked("sagemaker", "POST /invocations", {"body": {}}),
    "http": unmarked("http", "POST /generate", {"path": "/generate", "body": {"text": "x"}}),
}  # fmt: skip
MARKERS = [name for name, row in ROWS.items() if row.short]


async def follow(row: Row, script: list[Any], timeout: float = 30.0, **own: Any) -> Observation:
    stream = (200, row.kind, [(101.0 + at, what) for at, what in enumerate(script)])
    fake = FakeExchange({row.route: stream, "GET /api/ps": PS}, timeout=timeout)
    asked = build(row.protocol, Kind.STREAM, row.own | own, model="m", options=row.options, wake=True)
    found: Observation = await asked.stream(fake)
    return found


def judged(found: Observation) -> tuple[Outcome, Reason | None]:
    assert found.stream is not None
    return found.stream.outcome, found.failure and found.failure.reason


@pytest.mark.parametrize("name", ROWS)
async def test_kept(name):
    row = ROWS[name]
    assert judged(await follow(row, [*row.tokens, *row.end, None])) == (Outcome.COMPLETE, None)


@pytest.mark.parametrize("name", [name for name in MARKERS if Outcome.NO_DONE in ROWS[name].short.values()])
async def test_after_the_marker_nobody_waits(name):
    """Neither for the end of the message, nor for a connection that breaks instead."""
    row = ROWS[name]
    found = await follow(row, [*row.tokens, *row.end])
    assert judged(found) == (Outcome.COMPLETE, None)
    assert found.stream.duration == len(row.tokens) + len(row.end)
    assert judged(await follow(row, [*row.tokens, *row.end, Failure(Reason.RESET)])) == (Outcome.COMPLETE, None)


@pytest.mark.parametrize(("name", "much"), [(name, much) for name in MARKERS for much in ROWS[name].short])
async def test_missing(name, much):
    row = ROWS[name]
    found = await follow(row, [*row.tokens, *row.end[:much], None])
    assert judged(found) == (row.short[much], Reason.INCOMPLETE)


def test_no_protocol_is_left_out():
    offering = {name for name in protocols.NAMES if Kind.STREAM in protocols.load(name).kinds}
    assert {row.protocol for row in ROWS.values()} == offering


def test_every_beginning_of_an_end_is_too_short():
    for row in (ROWS[name] for name in MARKERS):
        assert sorted(row.short) == list(range(len(row.end)))


@pytest.mark.parametrize(("name", "error"), [(name, error) for name, row in ROWS.items() for error in row.errors])
async def test_an_error_inside_200(name, error):
    row = ROWS[name]
    for tokens in ([], row.tokens):
        found = await follow(row, [*tokens, error, *row.end, None])
        assert judged(found) == (Outcome.ERROR_EVENT, Reason.ERROR_EVENT)
        assert found.failure.detail == "x"


@pytest.mark.parametrize("name", ROWS)
async def test_cut_off(name):
    """The chunked framing broken, or the connection lost, is never a clean end."""
    row = ROWS[name]
    found = await follow(row, [*row.tokens, Failure(Reason.TRUNCATED)])
    assert judged(found) == (Outcome.DISCONNECTED, Reason.TRUNCATED)
    assert judged(await follow(row, [*row.tokens, Failure(Reason.RESET)])) == (Outcome.DISCONNECTED, Reason.RESET)


@pytest.mark.parametrize("name", ROWS)
async def test_silence(name):
    row = ROWS[name]
    assert judged(await follow(row, row.tokens)) == (Outcome.STALLED, Reason.STALLED)
    assert judged(await follow(row, [])) == (Outcome.TIMEOUT, Reason.TIMEOUT_FIRST_TOKEN)
    flowing = await follow(row, row.going_on(40))
    assert judged(flowing) == (Outcome.TIMEOUT, Reason.TIMEOUT)
    assert flowing.failure.busy


@pytest.mark.parametrize("name", ROWS)
async def test_nothing_came(name):
    row = ROWS[name]
    assert judged(await follow(row, [*row.end, None])) == (Outcome.EMPTY, Reason.EMPTY)


@pytest.mark.parametrize("name", ROWS)
async def test_enough(name):
    """We cut it: healthy, at the moment of the token we waited for, whatever follows."""
    row = ROWS[name]
    for rest in ([*row.end, None], [Failure(Reason.RESET)], row.errors[:1], []):
        found = await follow(row, [*row.going_on(3), *rest], stop_after=3)
        assert judged(found) == (Outcome.STOPPED, None)
        assert (found.stream.token_events, found.stream.duration) == (3, 3.0)
        assert found.tokens is None
