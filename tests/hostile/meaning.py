"""What each protocol makes of an answer that the transport could hand over; healthy, where a row is not here.

Several verdicts stand side by side where it depends on what came first.
"""

from collections.abc import Mapping

_JSON = (
    "invalid", "huge", "deep", "nan", "big_int", "duplicate_keys", "bom", "bad_utf8", "surrogate", "wrong_types",
    "list", "null", "empty", "injection",
)  # fmt: skip
_NO_MODEL = (
    {f"json_{name}": "malformed" for name in (*_JSON, "long_text", "long_escapes", "deeper_and_deeper")}
    | {f"json_{name}": "too_large" for name in ("many_numbers", "many_lists", "many_objects", "many_keys")}
    | {"json_error_in_200": "error_event"}
)
_TEXT = ("body_until_close", "over_long", "second_answer", "chunked_ok")
_REFUSED = {
    "status_304": "redirect", "status_302": "redirect", "status_401_echo": "auth", "status_429": "rate_limited",
    "status_503_loading": "not_ready", "error_with_br": "rate_limited",
}  # fmt: skip
_PACKED = ("gzip", "gzip_members", "deflate", "deflate_raw", "encoding_identity")

MEANING: Mapping[str, Mapping[str, str]] = {
    "http": _REFUSED,
    "open_inference": _NO_MODEL
    | _REFUSED
    | {"status_204_body": "malformed", "status_204_close": "malformed"}
    | dict.fromkeys((*_TEXT, *_PACKED), "malformed"),
    "openai": dict.fromkeys(_TEXT, "empty")
    | {
        "sse_no_finish": "incomplete", "sse_comments_only": "empty", "sse_empty": "empty", "sse_bad_utf8": "malformed",
        "sse_error_event": "error_event", "sse_thousands": "expectation", "sse_not_json": "malformed",
        "sse_json_instead": "error_event",
    },
    "ollama": dict.fromkeys(_TEXT, "malformed")
    | {"ndjson_never_done": "incomplete", "ndjson_error_line": "error_event", "ndjson_bad_utf8": "malformed"},
}  # fmt: skip

#: What a stream's reader says where the transport alone would say something else, or would go on waiting.
STREAMED: Mapping[str, str] = {
    "sse_done_then_hang": "healthy",
    "ndjson_done_then_hang": "healthy",
    "sse_flood": "malformed",
    "ndjson_flood": "malformed timeout timeout_first_token too_large",
}

#: What a reason of the transport may be called by who waits for more than bytes.
ALSO: Mapping[str, str] = {
    "timeout": "timeout_first_token stalled",
    "connect_timeout": "timeout",  # whichever of two alarms for the same moment rings first
}
