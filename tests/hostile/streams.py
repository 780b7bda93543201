"""What the hostile server sends as streams, of events and of lines."""

import gzip
import json

from tests.hostile.documents import AMID, DOCUMENTS
from tests.hostile.ways import (
    Handler,
    chunk,
    drip,
    endless,
    head,
    in_segments,
    jsonish,
    plain,
    then_close,
    then_hang,
    then_reset,
)

_STREAM = head("Content-Type: text/event-stream", "Transfer-Encoding: chunked")
_LINES = head("Content-Type: application/x-ndjson", "Transfer-Encoding: chunked")
#: More digits than a float has room for.
_NO_FLOAT = 10**400
#: Of one event: nearly as many as there is memory for.
_NUMBERS = [1] * 300_000


def sse(*parts: bytes, end: bytes = b"0\r\n\r\n") -> bytes:
    return _STREAM + b"".join(chunk(part) for part in parts) + end


def ndjson(*parts: bytes) -> bytes:
    return _LINES + b"".join(chunk(part) for part in parts) + b"0\r\n\r\n"


def packed(text: bytes, kind: str) -> bytes:
    """A whole stream, packed though nobody asked for that."""
    return plain(gzip.compress(text), "Content-Encoding: gzip", kind=kind)


def delta(text: str, **more: object) -> bytes:
    piece = {"choices": [{"index": 0, "delta": {"content": text}, "finish_reason": None}]} | more
    return b"data: " + json.dumps(piece).encode() + b"\n\n"


def reasoning(text: str) -> bytes:
    return b"data: " + json.dumps({"choices": [{"index": 0, "delta": {"reasoning": text}}]}).encode() + b"\n\n"


def line(text: str, **more: object) -> bytes:
    """What Ollama says next."""
    return json.dumps({"model": "m", "response": text, "done": False} | more).encode() + b"\n"


def split(data: bytes) -> list[bytes]:
    """Byte by byte."""
    return [bytes([byte]) for byte in data]


FINISH = b'data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\n'
DONE = b"data: [DONE]\n\n"
LAST = line("", done=True, done_reason="stop", prompt_eval_count=3, eval_count=2, eval_duration=9_000_000)

WHOLE: dict[str, bytes] = {
    # SSE
    "/sse_ok": sse(delta("Hel"), delta("lo"), FINISH, DONE),
    "/sse_no_done": sse(delta("Hel"), delta("lo"), FINISH),
    "/sse_no_finish": sse(delta("Hel"), delta("lo")),
    "/sse_comments_only": sse(*[b": keep-alive\n\n"] * 20),
    "/sse_empty": sse(),
    "/sse_multi_line": sse(b'data: {"choices":\ndata: [{"index":0,"delta":{"content":"hi"}}]}\n\n', FINISH, DONE),
    "/sse_lone_cr": sse(delta("hi").replace(b"\n", b"\r"), FINISH.replace(b"\n", b"\r"), DONE.replace(b"\n", b"\r")),
    "/sse_crlf_split": sse(*split((delta("h\u00e9") + FINISH + DONE).replace(b"\n", b"\r\n"))),
    "/sse_utf8_split": sse(
        *split('data: {"choices":[{"delta":{"content":"\U0001f600"}}]}\n\n'.encode() + FINISH + DONE)
    ),
    "/sse_bad_utf8": sse(b'data: {"choices":[{"delta":{"content":"\xff"}}]}\n\n', DONE),
    "/sse_huge_event": sse(b"data: " + b"x" * (3 << 20) + b"\n\n", DONE),
    "/sse_error_event": sse(delta("Hel"), b'data: {"error": {"message": "engine died"}}\n\n'),
    "/sse_reasoning_only": sse(reasoning("hm"), reasoning("mm"), FINISH, DONE),
    "/sse_usage_null_choices": sse(
        delta("hi"), FINISH, b'data: {"choices": null, "usage": {"prompt_tokens": 3, "completion_tokens": 1}}\n\n', DONE
    ),
    "/sse_usage_empty_choices": sse(
        delta("hi"), FINISH, b'data: {"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 1}}\n\n', DONE
    ),
    "/sse_usage_nonsense": sse(
        delta("hi"),
        FINISH,
        delta(
            "",
            choices=[],
            usage={"prompt_tokens": -1, "completion_tokens": _NO_FLOAT},
            timings={"prompt_ms": _NO_FLOAT},
        ),
        DONE,
    ),
    "/sse_role_only": sse(
        b'data: {"choices":[{"index":0,"delta":{"role":"assistant","content":""}}]}\n\n', FINISH, DONE
    ),
    "/sse_thousands": sse(*[delta("x")] * 2000, FINISH, DONE),
    "/sse_many_numbers": sse(delta("hi", logprobs=_NUMBERS), FINISH, DONE),
    "/sse_not_json": sse(b"data: {nonsense\n\n", DONE),
    "/sse_deep": sse(b"data: " + b"[" * 100_000 + b"]" * 100_000 + b"\n\n", DONE),
    "/sse_wrong_types": sse(b'data: {"choices":[{"index":0,"delta":"hi","finish_reason":["stop"]}]}\n\n', DONE),
    "/sse_json_instead": jsonish(b'{"error": {"message": "no stream today"}}'),
    "/sse_gzip": packed(delta("hel") + delta("lo") + FINISH + DONE, "text/event-stream"),
    **{f"/sse_json_{name}": sse(delta("hi"), b"data: %s\n\n" % DOCUMENTS[name], FINISH, DONE) for name in sorted(AMID)},
    # NDJSON: what events do, as far as lines can. The finish reason comes with the end marker, so that neither can be
    # late by itself; there are no comments, and blank lines are what keeps a connection alive; a line is one value.
    "/ndjson_ok": ndjson(line("Hel"), line("lo"), LAST),
    "/ndjson_no_reason": ndjson(line("Hel"), line("lo", done=True)),  # as old versions end
    "/ndjson_no_last_newline": ndjson(line("a"), LAST.rstrip()),
    "/ndjson_never_done": ndjson(line("Hel"), line("lo")),
    "/ndjson_blank_only": ndjson(*[b"\n", b" \r\n"] * 10),
    "/ndjson_blank_lines": ndjson(b"\n\n" + line("a") + b"\n" + LAST),
    "/ndjson_empty": ndjson(),
    "/ndjson_done_alone": ndjson(LAST),
    "/ndjson_multi_line": ndjson(b'{"response":\n"hi",\n"done":true}\n'),
    "/ndjson_lone_cr": ndjson(line("hi").replace(b"\n", b"\r"), LAST.replace(b"\n", b"\r")),
    "/ndjson_crlf_split": ndjson(*split((line("h\u00e9") + LAST).replace(b"\n", b"\r\n"))),
    "/ndjson_utf8_split": ndjson(*split('{"response":"\U0001f600","done":false}\n'.encode() + LAST)),
    "/ndjson_bad_utf8": ndjson(b'{"response":"\xff","done":true}\n'),
    "/ndjson_huge_line": ndjson(b'{"response":"' + b"x" * (3 << 20) + b'"}\n'),
    "/ndjson_error_line": ndjson(line("Hel"), b'{"error":"unexpected EOF"}\n'),
    "/ndjson_reasoning_only": ndjson(line("", thinking="hm"), line("", thinking="mm"), LAST),
    "/ndjson_usage_null": ndjson(line("hi"), line("", message=None, done=True, eval_count=None, eval_duration=None)),
    "/ndjson_usage_empty": ndjson(line("hi"), line("", message={}, done=True, eval_count={}, eval_duration=[])),
    "/ndjson_usage_nonsense": ndjson(
        line("hi"), line("", done=True, prompt_eval_count=-1, eval_count=_NO_FLOAT, eval_duration=_NO_FLOAT)
    ),
    "/ndjson_thousands": ndjson(*[line("x")] * 2000, LAST),
    "/ndjson_many_numbers": ndjson(line("hi", context=_NUMBERS), LAST),
    "/ndjson_not_json": ndjson(b"{nonsense\n", LAST),
    "/ndjson_deep": ndjson(b"[" * 100_000 + b"]" * 100_000 + b"\n", LAST),
    "/ndjson_wrong_types": ndjson(line("", response=7, message="b", done="yes"), line("hi"), LAST),
    "/ndjson_json_instead": jsonish(b'{"error": "no stream today"}'),
    "/ndjson_gzip": packed(line("Hel") + line("lo") + LAST, "application/x-ndjson"),
    **{f"/ndjson_json_{name}": ndjson(line("hi"), DOCUMENTS[name] + b"\n", LAST) for name in sorted(AMID)},
}

SLOW: dict[str, Handler] = {
    # SSE
    "/sse_stalled": then_hang(_STREAM + chunk(delta("Hel"))),
    "/sse_comments_forever": drip(b": x\n\n", first=_STREAM.replace(b"Transfer-Encoding: chunked\r\n", b"")),
    "/sse_finish_then_hang": then_hang(_STREAM + chunk(delta("hi")) + chunk(FINISH)),
    "/sse_done_then_hang": then_hang(_STREAM + chunk(delta("hi")) + chunk(FINISH) + chunk(DONE)),
    "/sse_segments": in_segments(_STREAM, delta("hel"), delta("lo"), FINISH, DONE),
    "/sse_cut": then_close(_STREAM + chunk(delta("Hel"))),
    "/sse_reset": then_reset(_STREAM + chunk(delta("Hel"))),
    "/sse_flood": endless(chunk(delta("x")), first=_STREAM),
    "/sse_line_endless": endless(chunk(b"x" * 4096), first=_STREAM + chunk(b"data: ")),
    # NDJSON
    "/ndjson_stalled": then_hang(_LINES + chunk(line("Hel"))),
    "/ndjson_blank_forever": drip(b"\n", first=_LINES.replace(b"Transfer-Encoding: chunked\r\n", b"")),
    "/ndjson_done_then_hang": then_hang(_LINES + chunk(line("a")) + chunk(LAST)),
    "/ndjson_segments": in_segments(_LINES, line("Hel"), line("lo"), LAST),
    "/ndjson_cut": then_close(_LINES + chunk(line("Hel")[:-9])),
    "/ndjson_reset": then_reset(_LINES + chunk(line("Hel"))),
    "/ndjson_flood": endless(chunk(b"{}\n"), first=_LINES),
    "/ndjson_line_endless": endless(chunk(b"x" * 4096), first=_LINES + chunk(b'{"response":"')),
}
