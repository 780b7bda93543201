"""What each protocol makes of an answer that the transport could hand over; healthy, where a row is not here.

Several verdicts stand side by side where it depends on what came first.
"""

from collections.abc import Mapping

from tests.hostile.documents import AMID, DOCUMENTS

_JSON = DOCUMENTS.keys() - {"version_10mb", "error_in_200"}
_NO_MODEL = (
    {f"json_{name}": "malformed" for name in (*_JSON, "long_text", "deeper_and_deeper")}
    | {
        f"json_{name}": "too_large"
        for name in ("many_numbers", "many_lists", "many_objects", "many_keys", "long_escapes")
    }
    | {"json_error_in_200": "error_event"}
)
#: Amid a stream what is JSON and says nothing to us is passed over.
_PASSED_OVER = {"duplicate_keys", "surrogate", "wrong_types", "empty", "injection", "version_long"}
_AMID = dict.fromkeys(AMID - _PASSED_OVER, "malformed")
_TEXT = ("body_until_close", "over_long", "second_answer", "chunked_ok", "empty_header", "no_reason_phrase")
_NOTHING = ("status_204_body", "status_204_close")
_REFUSED = {
    "status_304": "redirect", "status_302": "redirect", "status_401_echo": "auth", "status_429": "rate_limited",
    "status_429_for_ever": "rate_limited", "status_503_loading": "not_ready", "error_with_br": "rate_limited",
}  # fmt: skip
#: Whole, sound, and JSON of another kind than a model's answer.
_OTHER = (
    "gzip", "gzip_members", "deflate", "deflate_raw", "encoding_identity", "interim_one", "redirect_ok", "reuse_close",
    "reuse_reset", "reuse_stray", "tls_good", "tls_near_expiry",
)  # fmt: skip

MEANING: Mapping[str, Mapping[str, str]] = {
    "http": _REFUSED,
    "open_inference": _NO_MODEL | _REFUSED | dict.fromkeys((*_TEXT, *_NOTHING, *_OTHER), "malformed"),
    "metadata": _NO_MODEL
    | dict.fromkeys(("json_injection", "json_version_long", "json_surrogate"), "healthy")
    | {"json_error_in_200": "malformed"},
    "openai": _REFUSED
    | {f"sse_json_{name}": means for name, means in _AMID.items()}
    | dict.fromkeys((*_TEXT, *_NOTHING), "empty")
    | dict.fromkeys(_OTHER, "malformed")
    | {
        "sse_no_finish": "incomplete", "sse_comments_only": "empty", "sse_empty": "empty", "sse_bad_utf8": "malformed",
        "sse_error_event": "error_event", "sse_role_only": "empty", "sse_thousands": "expectation",
        "sse_not_json": "malformed", "sse_deep": "malformed", "sse_wrong_types": "empty",
        "sse_json_instead": "error_event",
    },
    "ollama": _REFUSED
    | {f"ndjson_json_{name}": means for name, means in _AMID.items()}
    | dict.fromkeys(_NOTHING, "empty")
    | dict.fromkeys((*_TEXT, *_OTHER), "malformed")
    | {
        "ndjson_never_done": "incomplete", "ndjson_blank_only": "empty", "ndjson_empty": "empty",
        "ndjson_done_alone": "empty", "ndjson_multi_line": "malformed", "ndjson_lone_cr": "malformed",
        "ndjson_bad_utf8": "malformed", "ndjson_error_line": "error_event", "ndjson_thousands": "expectation",
        "ndjson_not_json": "malformed", "ndjson_deep": "malformed", "ndjson_json_instead": "error_event",
    },
}  # fmt: skip

#: What a stream's reader says where the transport alone would say something else, or would go on waiting.
STREAMED: Mapping[str, str] = {
    "sse_comments_forever": "timeout_first_token timeout",
    "sse_finish_then_hang": "timeout",
    "sse_done_then_hang": "healthy",
    "sse_flood": "too_large timeout",
    "sse_line_endless": "too_large timeout_first_token timeout",
    "ndjson_blank_forever": "timeout_first_token timeout",
    "ndjson_done_then_hang": "healthy",
    "ndjson_flood": "too_large timeout_first_token timeout",
    "ndjson_line_endless": "too_large timeout_first_token timeout",
}

#: What a reason of the transport may be called by who waits for more than bytes.
ALSO: Mapping[str, str] = {
    "timeout": "timeout_first_token stalled",
    "connect_timeout": "timeout",  # whichever of two alarms for the same moment rings first
}
