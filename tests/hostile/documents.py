"""JSON that is odd in one way each: whole answers, and what comes amid a stream of events or of lines."""

import json
from collections.abc import Mapping

_TEN_MB = 10 << 20
DOCUMENT = b'{"ready": true}'

DOCUMENTS: Mapping[str, bytes] = {
    "invalid": b'{"ready": tru',
    "huge": b"[" + b"1," * 400_000 + b"1]",
    "deep": b"[" * 100_000 + b"]" * 100_000,
    "nan": b'{"ready": NaN, "x": Infinity}',
    "big_int": b'{"n": ' + b"9" * 5000 + b"}",
    "duplicate_keys": b'{"ready": false, "ready": true}',
    "bom": b"\xef\xbb\xbf" + DOCUMENT,
    "bad_utf8": b'{"name": "\xff\xfe"}',
    "surrogate": b'{"name": "\\ud800"}',
    "wrong_types": b'{"data": 7, "models": {"a": 1}, "ready": "yes"}',
    "list": b"[]",
    "null": b"null",
    "empty": b"",
    "version_10mb": b'{"version": "' + b"9" * (_TEN_MB - 64) + b'"}',
    "version_long": json.dumps({"name": "n" * 100_000, "version": "9" * 100_000}).encode(),
    "injection": json.dumps({"version": '"} 1\nevil{a="\\', "name": "<img onerror=x>\r\n"}).encode(),
    "error_in_200": b'{"error": {"message": "engine is dead", "code": 500}}',
}
#: Those that a stream has no behaviour of its own for.
AMID = DOCUMENTS.keys() - {"invalid", "deep", "bad_utf8", "version_10mb", "error_in_200"}
