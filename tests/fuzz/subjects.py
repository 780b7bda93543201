"""What is fuzzed: each subject takes any bytes and holds what must be true of them, or raises.

A `Failure`, a problem of a config and the refusals that are told are answers; anything else that is raised is a bug.
The same subjects are run by hypothesis (test_subjects.py) and by atheris (harness.py), from the same seeds.
"""

import gzip
import json
import unicodedata
import zlib
from collections.abc import Callable

from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics
from prometheus_client.parser import text_string_to_metric_families as prometheus

from exporter.metrics import text as exposed
from exporter.protocols import text as told
from tests.fuzz.answers import ASKED, answers
from tests.fuzz.wire import encoding, http, ndjson, sse
from tests.fuzz.written import config, durations, places, relabelling, sizes, web_config

Subject = Callable[[bytes], None]


def exposition(data: bytes) -> None:
    """Any text as a label's value: one line, valid UTF-8, and both parsers read the same value from it."""
    value = exposed.valid(data.decode("utf-8", errors="surrogateescape"))
    value.encode()
    plain = f"m{{{exposed.pairs([('a', value), ('b', 'x')])}}} 1\n"
    assert plain.count("\n") == 1
    head = "# HELP m A metric.\n# TYPE m gauge\n"
    for read, body in ((prometheus, head + plain), (openmetrics, head + plain + "# EOF\n")):
        (family,) = read(body)
        (sample,) = family.samples
        assert sample.labels == {"a": value, "b": "x"}
    for cleaned in (told.label(value), told.quote(value)):
        assert not any(unicodedata.category(char) in ("Cc", "Cf", "Cs", "Zl", "Zp") for char in cleaned)
    assert len(told.label(value).encode()) <= 128


_YAML = b"""defaults: {interval: 15s, timeout: 5s}
limits: {concurrency: 500, per_host: 8}
modules:
  chat:
    protocol: openai
    probes:
      health: {}
      stream: {interval: 1m, timeout: 30s, prompt: "Say OK.", expect: {regex: "(?i)ok"}, max_tokens: 16}
targets:
  - {name: assistant, url: "http://127.0.0.1:8000", module: chat, model: llama-3, labels: {team: chat}}
  - name: fraud
    url: http://fraud.models:8080
    protocol: open_inference
    model: fraud
    auth: {bearer: abc}
    probes:
      infer:
        retry: {attempts: 3, backoff: 500ms, max_backoff: 5s}
        inputs: [{name: x, shape: [1, 2], datatype: FP32, data: [[5.1, 3.5]]}]
"""

_WEB = b"""tls_server_config: {cert_file: a, key_file: b, client_auth_type: NoClientCert, min_version: TLS12}
http_server_config: {http2: true, headers: {X-Frame-Options: deny}}
basic_auth_users:
  alice: s3cr3t-password
  bob: $2y$10$abcdefghijklmnopqrstuuFcfeL7MZ8LxBYGGtFSJMu2Bj1mS6x0W
rate_limit: {interval: 1s, burst: 5}
"""

_CHAT = {
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "OK."}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 3, "completion_tokens": 2},
}

_DELTA = {"choices": [{"index": 0, "delta": {"content": "OK."}, "finish_reason": None}]}

_LINES = [
    {"model": "m", "response": "OK", "done": False},
    {"model": "m", "message": {"content": ".", "thinking": "hm", "tool_calls": [{"function": {"name": "f"}}]}},
    {"done": True, "done_reason": "stop", "prompt_eval_count": 3, "eval_count": 2, "eval_duration": 9_000_000},
    {"done": True, "prompt_eval_count": -1, "eval_count": 10**400, "eval_duration": 10**400},
]

_TENSORS = {"model_name": "m", "outputs": [{"name": "y", "shape": [1], "datatype": "FP32", "data": [1.5]}]}


def _about_all(*bodies: bytes) -> list[bytes]:
    return [number.to_bytes(2, "big") + b"\0" + body for number in range(len(ASKED)) for body in bodies]


SUBJECTS: dict[str, tuple[Subject, list[bytes]]] = {
    "http": (
        http,
        [
            b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nX: y\r\n\r\n",
            b"HTTP/1.0 503 Busy\r\nRetry-After: 1\r\n\r\nloading",
            b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n",
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd",
        ],
    ),
    "encoding": (encoding, [gzip.compress(b"hello" * 9), zlib.compress(b"x" * 99), gzip.compress(b"0" * 9999)]),
    "sse": (
        sse,
        [
            b"data: a\n\ndata: b\r\n\r\n",
            b": c\n\nevent: x\rdata: \xc3\xa9\r\r",
            b"\xef\xbb\xbfdata:1\ndata:2\n\n",
            b"id: 1\nretry: 5\ndata\n\n",
            b"data: [DONE]",
        ],
    ),
    "ndjson": (
        ndjson,
        [
            b'{"a":1}\n{"b":2}\r\n\n',
            b"\xef\xbb\xbf1\n2",
            b"\r\n \n{}",
            '{"a":"\u00e9\U0001f600"}\n'.encode(),
            b'{"a":\r1}\r{}\n{"b":\n2}',
            b"\n" * 99 + b'{"done":true}',
        ],
    ),
    "answers": (
        answers,
        _about_all(
            json.dumps(_CHAT).encode(),
            f"data: {json.dumps(_DELTA)}\n\ndata: [DONE]\n\n".encode(),
            "".join(f"{json.dumps(line)}\n" for line in _LINES[:3]).encode(),
            "".join(f"{json.dumps(line)}\n" for line in (_LINES[0], _LINES[3])).encode(),
            json.dumps({"models": [{"name": "m", "expires_at": "2199-01-01T00:00:00Z"}], **_LINES[2]}).encode(),
            json.dumps(_TENSORS).encode(),
            b'{"data":[{"id":"m"}],"object":"list"}',
            b'{"predictions":[1],"name":"m","ready":true,"state":"AVAILABLE"}',
        ),
    ),
    "config": (config, [_YAML, b"targets: [{url: 'http://127.0.0.1:8000'}]\n", b"targets: &a [*a]\n", b"a: !!x y\n"]),
    "web_config": (
        web_config,
        [_WEB, *(b"basic_auth_users: %ss3cr3t\n" % mark for mark in (b"", b"*", b"!", b"!!", b"&", b"{a: *", b"@"))],
    ),
    "relabelling": (
        relabelling,
        [
            b"\na,b\n(.*);(.*)\nc\n$2-${1}\na=1\nb=2",
            b"xxxxxxxx\na\n(x+)+y\nt\n$1\na=xxxxxx",
            b"xxxxxx\n\n__meta_(.+)\n\n$1\n__meta_a=b",
        ],
    ),
    "durations": (durations, [b"15s", b"1m30s", b"500ms", b"0", b"366d", b"1y1w1d1h1m1s1ms", b"5m30"]),
    "sizes": (sizes, [b"10MB", b"512kB", b"1 MiB", b"1GB", b"0", b"999999999999GiB", b"1\x0c"]),
    "places": (
        places,
        [
            b"http://10.0.0.1:8080/a?b",
            b"http://[::1]:80/",
            b"h.svc:80",
            b"http://ok@evil/",
            b"http://0x7f.1/",
            b"h?@??",
        ],
    ),
    "exposition": (
        exposition,
        [
            b'a"b\\c\nd',
            b"\xff\xfe",
            b"{}=,\r\x00",
            "é😀\u2028".encode(),
            b"\\\\n",
            b"\xed\xa0\x80",
            b"\xf1\xa0\x96\x80",
        ],
    ),
}
