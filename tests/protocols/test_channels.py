"""Which events bring a token, and in which channel: one event of each form, as each server sends it."""

import json
from typing import Any

import pytest

from exporter.model.job import Kind
from exporter.model.stream import Channel
from tests.protocols.scripted import FakeExchange, build

PS = (200, json.dumps({"models": [{"name": "m", "model": "m", "digest": "d", "expires_at": "2299-01-01T00:00:00Z"}]}))
#: Protocol, its own keys, its options, where it streams from, and how one event is framed.
ASKED: dict[str, tuple[str, dict[str, Any], dict[str, Any], str, str]] = {
    "chat": ("openai", {}, {"server": "vllm"}, "/v1/chat/completions", "sse"),
    "completions": ("openai", {"api": "completions"}, {"server": "vllm"}, "/v1/completions", "sse"),
    "responses": ("openai", {"api": "responses"}, {"server": "vllm"}, "/v1/responses", "sse"),
    "llama.cpp": ("openai", {"api": "completion"}, {"server": "llama.cpp"}, "/completion", "sse"),
    "sglang": ("openai", {"api": "generate"}, {"server": "sglang"}, "/generate", "sse"),
    "anthropic": ("anthropic", {}, {}, "/v1/messages", "sse"),
    "ollama": ("ollama", {}, {}, "/api/generate", "line"),
    "ollama chat": ("ollama", {"api": "chat"}, {}, "/api/chat", "line"),
    "tgi": ("tgi", {}, {}, "/generate_stream", "sse"),
    "triton": ("triton", {}, {}, "/v2/models/m/generate_stream", "sse"),
    "raw": ("http", {"path": "/stream", "body": {}}, {}, "/stream", "raw"),
}
CALL = {"name": "look", "arguments": ""}
ARGUMENTS = {"name": None, "arguments": '{"a'}


def choice(**delta: Any) -> dict[str, Any]:
    return {"choices": [{"index": 0, "delta": delta, "finish_reason": None}]}


def block(kind: str, **more: Any) -> dict[str, Any]:
    return {"type": "content_block_delta", "index": 0, "delta": {"type": kind, **more}}


#: Server, event, channels: c(ontent), r(easoning), t(ool).
EVENTS: list[tuple[str, Any, str]] = [
    ("chat", choice(content="OK"), "c"),
    ("chat", choice(content=" "), "c"),  # white space counts
    ("chat", choice(content="<think>OK"), "c"),
    ("chat", choice(refusal="No"), "c"),
    ("chat", choice(reasoning="Hm"), "r"),
    ("chat", choice(reasoning_content="Hm"), "r"),
    ("chat", choice(reasoning="Hm", reasoning_content="Hm"), "r"),
    ("chat", choice(content="OK", reasoning="Hm"), "cr"),
    ("chat", choice(tool_calls=[{"index": 0, "function": CALL}]), "t"),
    ("chat", choice(tool_calls=[{"index": 0, "function": ARGUMENTS}]), "t"),
    ("chat", choice(tool_calls=[{"index": 0, "id": "c", "function": {}}]), ""),
    ("chat", choice(function_call=CALL), "t"),
    ("chat", choice(function_call=ARGUMENTS), "t"),
    ("chat", choice(role="assistant"), ""),
    ("chat", choice(role="assistant", content=""), ""),
    ("chat", choice(content=None), ""),
    ("chat", {"choices": None}, ""),
    ("chat", {"choices": []}, ""),
    ("chat", {"choices": [], "usage": {"prompt_tokens": 5, "completion_tokens": 1}}, ""),
    ("chat", {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}, ""),
    ("chat", {"choices": [{"index": 1, "delta": {"content": "OK"}}]}, ""),
    ("completions", {"choices": [{"index": 0, "text": "OK"}]}, "c"),
    ("completions", {"choices": [{"index": 0, "text": ""}]}, ""),
    ("responses", {"type": "response.output_text.delta", "delta": "OK"}, "c"),
    ("responses", {"type": "response.reasoning_text.delta", "delta": "Hm"}, "r"),
    ("responses", {"type": "response.function_call_arguments.delta", "delta": "{"}, "t"),
    ("responses", {"type": "response.output_item.added", "item": {"type": "message"}}, ""),
    ("llama.cpp", {"index": 0, "content": "OK", "stop": False}, "c"),
    ("llama.cpp", {"index": 0, "content": "", "stop": False, "prompt_progress": {"total": 9, "processed": 4}}, ""),
    ("sglang", {"text": "OK", "meta_info": {"finish_reason": None}}, "c"),
    ("sglang", {"text": "", "meta_info": {"finish_reason": None}}, ""),
    ("anthropic", block("text_delta", text="OK"), "c"),
    ("anthropic", block("thinking_delta", thinking="Hm"), "r"),
    ("anthropic", block("input_json_delta", partial_json='{"a'), "t"),
    ("anthropic", block("input_json_delta", partial_json=""), ""),
    ("anthropic", block("signature_delta", signature="x"), ""),
    ("anthropic", {"type": "content_block_start", "content_block": {"type": "tool_use", "name": "look"}}, "t"),
    ("anthropic", {"type": "content_block_start", "content_block": {"type": "text", "text": ""}}, ""),
    ("anthropic", {"type": "message_start", "message": {"usage": {"input_tokens": 5, "output_tokens": 1}}}, ""),
    ("anthropic", {"type": "ping"}, ""),
    ("ollama", {"response": "OK", "done": False}, "c"),
    ("ollama", {"response": "", "thinking": "Hm", "done": False}, "r"),
    ("ollama", {"response": "", "done": False}, ""),
    ("ollama chat", {"message": {"content": "OK"}, "done": False}, "c"),
    ("ollama chat", {"message": {"content": "", "thinking": "Hm"}, "done": False}, "r"),
    ("ollama chat", {"message": {"content": "", "tool_calls": [{"function": {"name": "look", "arguments": {}}}]}}, "t"),
    ("tgi", {"token": {"text": "OK", "special": False}, "generated_text": None}, "c"),
    ("tgi", {"token": {"text": "</s>", "special": True}, "generated_text": None}, ""),
    ("triton", {"model_name": "m", "model_version": "1", "text_output": "OK"}, "c"),
    ("triton", {"model_name": "m", "model_version": "1", "answer": "OK"}, "c"),
    ("triton", {"model_name": "m", "model_version": "1", "id": "7", "sequence_end": False, "sequence_id": 0}, ""),
    ("raw", "OK", "c"),
    ("raw", "\n", "c"),
]


def framed(how: str, event: Any) -> bytes:
    if how == "raw":
        return str(event).encode()
    text = json.dumps(event).encode()
    return text + b"\n" if how == "line" else b"data: %b\n\n" % text


@pytest.mark.parametrize(("server", "event", "channels"), EVENTS)
async def test_a_token_event(server: str, event: Any, channels: str) -> None:
    protocol, own, options, path, how = ASKED[server]
    media = {"sse": "text/event-stream", "line": "application/x-ndjson", "raw": "text/plain"}[how]
    fake = FakeExchange({f"POST {path}": (200, media, [(101.5, framed(how, event))]), "GET /api/ps": PS})
    asked = build(protocol, Kind.STREAM, own, model="m", options=options, wake=True)
    summary = (await asked.stream(fake)).stream
    named = {Channel.CONTENT: "c", Channel.REASONING: "r", Channel.TOOL: "t"}
    assert {named[channel]: at for channel, at in summary.ttft.items()} == dict.fromkeys(channels, 1.5)
    assert summary.token_events == bool(channels)


@pytest.mark.parametrize("comment", [b": keep-alive\n\n", b"event: ping\ndata: {}\n\n", b"data:\n\n", b"\n\n"])
async def test_what_only_keeps_a_connection_open(comment: bytes) -> None:
    fake = FakeExchange({"POST /v1/chat/completions": (200, "text/event-stream", [(101.5, comment)])})
    asked = build("openai", Kind.STREAM, {}, model="m", options={"server": "vllm"})
    assert (await asked.stream(fake)).stream.token_events == 0
