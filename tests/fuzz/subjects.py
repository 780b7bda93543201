"""What is fuzzed: each subject takes any bytes and holds what must be true of them, or raises.

A `Failure`, a problem of a config and the refusals that are told are answers; anything else that is raised is a bug.
The same subjects are run by hypothesis (test_subjects.py) and by atheris (harness.py), from the same seeds.
"""
# ruff: noqa: PT017 - what is raised here is an answer, and what it says is looked at

import asyncio
import gzip
import json
import math
import re
import struct
import tempfile
import unicodedata
import zlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, get_args

from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics
from prometheus_client.parser import text_string_to_metric_families as prometheus

from exporter import protocols
from exporter import url as urls
from exporter.config import build, loader, web_file
from exporter.discovery import relabel
from exporter.metrics import text as exposed
from exporter.model.failure import Asleep, Failure, Reason
from exporter.model.job import Kind
from exporter.protocols import text as told
from exporter.settings import MAX_DURATION, Settings, Size, format_duration, parse_duration
from exporter.transport.content import STEP, Decoder
from exporter.transport.framing import Event, NdjsonParser, SseParser
from exporter.transport.message import Answer
from exporter.web import admission
from tests.protocols.scripted import FakeExchange

Subject = Callable[[bytes], None]
LIMIT = 4096


def cuts(data: bytes) -> Iterator[bytes]:
    """The same bytes in pieces; where they are cut is in the bytes."""
    step = 1 + sum(data[:2]) % 7
    for start in range(0, len(data), step):
        yield data[start : start + step]


# Answers over HTTP


def http(data: bytes) -> None:
    """An answer: cut anywhere it is the same answer, within its bounds, and nothing but a Failure stops it."""

    def read(pieces: Sequence[bytes]) -> Answer:
        answer = Answer(max_body=LIMIT)
        for at, piece in enumerate(pieces):
            if piece and not answer.done and answer.failure is None:
                answer.feed(float(at), piece)
        answer.eof(float(len(pieces)))
        assert answer.done or isinstance(answer.failure, Failure)
        assert answer.failure is None or answer.failure.reason is not Reason.INTERNAL
        assert len(answer.content()) <= LIMIT
        return answer

    def seen(answer: Answer) -> tuple[Any, ...]:
        reason = answer.failure.reason if answer.failure else None
        return (answer.done, answer.status, reason, answer.content() if answer.done else b"")

    whole, pieces = read([data]), read(list(cuts(data)))
    if whole.done and pieces.done:
        assert seen(whole) == seen(pieces)
    assert whole.done == pieces.done, (seen(whole), seen(pieces))


def encoding(data: bytes) -> None:
    """A compressed body: never more than the bound, and what zlib makes of it."""
    for coding in ("gzip", "deflate"):
        decoder, total = Decoder(coding, LIMIT), b""
        try:
            for piece in cuts(data):
                for part in decoder.feed(piece):
                    assert len(part) <= STEP
                    total += part
                    assert len(total) <= LIMIT
        except Failure as failure:
            assert failure.reason in (Reason.ENCODING, Reason.TOO_LARGE)
            continue
        if coding == "gzip" and data[:2] == b"\x1f\x8b":
            try:
                expected = gzip.decompress(data)
            except (OSError, EOFError, zlib.error, struct.error):
                continue
            assert total == expected


# Streams


def _events(parser: SseParser | NdjsonParser, pieces: Sequence[bytes]) -> list[tuple[str, str]] | Reason:
    found: list[Event] = []
    try:
        for at, piece in enumerate(pieces):
            parser.feed(float(at), piece)
            found += parser
        if (last := parser.finish(99.0)) is not None:
            found.append(last)
    except Failure as failure:
        assert failure.reason in (Reason.TOO_LARGE, Reason.MALFORMED)
        return failure.reason
    return [(event.name, event.data) for event in found]


def sse(data: bytes) -> None:
    """Server-sent events: the same in any cut, and what the specification reads in them."""
    found = _events(SseParser(LIMIT), list(cuts(data)))
    whole = _events(SseParser(LIMIT), [data])
    assert isinstance(found, Reason) == isinstance(whole, Reason)
    if isinstance(found, Reason):
        return
    assert found == whole
    try:
        lines = re.split("\r\n|\r|\n", data.removeprefix(b"\xef\xbb\xbf").decode())
    except UnicodeDecodeError:
        return
    events, name, parts = [], "", []
    for line in [*lines, ""]:
        field, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if not line:
            if parts:
                events.append((name, "\n".join(parts)))
            name, parts = "", []
        elif field == "data":
            parts.append(value)
        elif field == "event":
            name = value
    assert found == events


def ndjson(data: bytes) -> None:
    """Lines: the same in any cut, and what splitting at line breaks gives."""
    found = _events(NdjsonParser(LIMIT), list(cuts(data)))
    whole = _events(NdjsonParser(LIMIT), [data])
    assert isinstance(found, Reason) == isinstance(whole, Reason)
    if not isinstance(found, Reason):
        lines = [line.removesuffix(b"\r") for line in data.removeprefix(b"\xef\xbb\xbf").split(b"\n")]
        assert [text for _, text in found] == [text for _, text in whole]
        assert len(found) == len([line for line in lines if line.strip()])


# Answers of model servers

#: What a kind needs that has no default, by protocol or for all.
_NEEDED: list[dict[str, Any]] = [
    {},
    {"inputs": [{"name": "x", "shape": [1, 2], "datatype": "FP32", "data": [1, 2]}]},
    {"input": [[1, 2]]},
    {"ndarray": [[1, 2]]},
    {"instances": [[1, 2]]},
    {"body": {"x": 1}},
    {"path": "/predict"},
    {"body": {"x": 1}, "path": "/predict"},
]


def _made(name: str, kind: Kind) -> Any:
    cls = protocols.load(name)
    for own in _NEEDED:
        try:
            settings: Settings = cls.kinds[kind].model_validate(own)
            made = cls(model="m", path="", query="", settings=settings, options=cls.options.model_validate({}))
        except (ValueError, TypeError):
            continue
        if not made.problems(kind):
            return made
    raise AssertionError(f"{name} has a {kind} that nobody here knows how to ask")


_ASKED = [
    (name, kind, made)
    for name in protocols.NAMES
    if name not in ("grpc_health", "tcp")
    for kind in protocols.load(name).kinds
    if kind is not Kind.EVALUATE
    for made in [_made(name, kind)]
]
_KINDS = ("text/event-stream", "application/x-ndjson", "application/json", "text/plain", "")


class _Anything(FakeExchange):
    """Answers everything with the same bytes."""

    def __init__(self, status: int, kind: str, data: bytes) -> None:
        super().__init__({})
        self._said = (status, kind, data)

    def _find(self, method: str, path: str, headers: Any, body: bytes | None) -> Any:
        status, kind, data = self._said
        if body is None and method == "GET" and len(self.asked) > 50:
            raise AssertionError("asks without end")
        self.asked.append(f"{method} {path}")
        return (status, data, [("Content-Type", kind)])

    async def stream(self, method: str, path: str, *, headers: Any = (), body: Any = None) -> Any:
        raise NotImplementedError

    async def call(self, *_: Any, **__: Any) -> Any:
        raise Failure(Reason.PROTOCOL, "no gRPC here")


def _streaming(exchange: _Anything, data: bytes) -> None:
    from contextlib import asynccontextmanager

    from exporter.contracts import Headers
    from tests.protocols.scripted import Scripted

    status, kind, _ = exchange._said
    script = [(101.0 + at / 1000, piece) for at, piece in enumerate(cuts(data))]

    @asynccontextmanager
    async def stream(method: str, path: str, *, headers: Any = (), body: Any = None) -> Any:
        yield Scripted(exchange, status, Headers([("Content-Type", kind)]), [*script, (200.0, None)])

    exchange.stream = stream  # type: ignore[method-assign]


def answers(data: bytes) -> None:
    """Whatever a server answers, a protocol makes an observation of it or says in a Failure what is wrong."""
    if len(data) < 3:
        return
    name, kind, made = _ASKED[int.from_bytes(data[:2], "big") % len(_ASKED)]
    status, data = (200, 200, 200, 200, 401, 404, 500, 503)[data[2] % 8], data[3:]
    exchange = _Anything(status, _KINDS[(status % 2 and 2) or len(data) % len(_KINDS)], data)
    exchange.deadline = exchange.clock + 1000
    _streaming(exchange, data)

    async def ask() -> None:
        try:
            found = await getattr(made, kind.value)(exchange)
        except (Failure, Asleep) as failure:
            detail = failure.detail
            assert len(told.label(detail).encode()) <= 128
            return
        assert found is not None, (name, kind)

    loop = _loop()
    loop.run_until_complete(asyncio.wait_for(ask(), 20))


_loops: list[asyncio.AbstractEventLoop] = []


def _loop() -> asyncio.AbstractEventLoop:
    if not _loops:
        _loops.append(asyncio.new_event_loop())
    return _loops[0]


# Configs

_FOLDER = Path(tempfile.mkdtemp(prefix="fuzz-"))


def config(data: bytes) -> None:
    """A config file: jobs, or problems that a person can read."""
    path = _FOLDER / "models.yml"
    path.write_bytes(data)
    try:
        loaded = loader.load([path])
    except loader.ConfigError as error:
        assert error.problems
        for problem in error.problems:
            said = str(problem)
            assert said.startswith(f"{path}:"), said
            assert problem.line >= 1, said
            assert "pydantic" not in said, said
            assert all(char.isprintable() or char in "\n" for char in said), said
        return
    built = build.build(loaded.file)
    keys = [job.key for job in built.jobs]
    assert len(keys) == len(set(keys))
    build.dump(built)


def web_config(data: bytes) -> None:
    """A web config: rules, or problems, and no value of a password in any."""
    path = _FOLDER / "web.yml"
    path.write_bytes(data)
    try:
        web_file.load(path)
    except loader.ConfigError as error:
        assert error.problems
        for problem in error.problems:
            assert str(problem).startswith(f"{path}:")
            assert "s3cr3t" not in problem.message


def relabelling(data: bytes) -> None:
    """Rules over labels: the same labels out each time, none of them empty, with names that are names."""
    try:
        fields = data.decode().split("\n")
    except UnicodeDecodeError:
        return
    fields += [""] * 6
    actions = get_args(relabel.Action)
    action = actions[len(fields[0]) % len(actions)]
    rule = relabel.Rule(
        action=action,  # type: ignore[arg-type]
        source_labels=tuple(fields[1].split(",")),
        regex=fields[2] or "(.*)",
        target_label=fields[3] or "target",
        replacement=fields[4],
        modulus=1 + len(fields[5]),
    )
    labels = {name: value for name, _, value in (pair.partition("=") for pair in fields[5:])}
    try:
        out = relabel.relabel(labels, [rule, rule])
    except (TimeoutError, re.error, *_BAD_PATTERN):
        return
    assert out is None or all(out.values())
    assert out == relabel.relabel(labels, [rule, rule])


def _bad_pattern() -> tuple[type[Exception], ...]:
    import regex

    return (regex.error,)


_BAD_PATTERN = _bad_pattern()


# Numbers and places


def durations(data: bytes) -> None:
    """A duration: seconds, and written out again they are the same; or a refusal."""
    text = data.decode(errors="replace")
    try:
        seconds = parse_duration(text)
    except ValueError:
        assert not re.fullmatch(r"[1-9][0-9]{0,8}(ms|s|m|h|d|w|y)", text, re.ASCII)
        return
    assert math.isfinite(seconds)
    assert seconds >= 0
    if 0 < seconds <= MAX_DURATION:
        assert parse_duration(format_duration(seconds)) == seconds


class _Sized(Settings):
    size: Size


def sizes(data: bytes) -> None:
    """A size: bytes within the bounds, or a refusal."""
    text = data.decode(errors="replace")
    try:
        size = _Sized.model_validate({"size": text}).size
    except ValueError as error:
        assert "size" in str(error)
        return
    assert 1 <= size <= 1_000_000_000
    assert re.fullmatch(r"[0-9]+ ?([kKMG]i?)?B?", text, re.ASCII)


def places(data: bytes) -> None:
    """A url of /probe: what is checked is what would be connected to, however it is spelt."""
    text = data.decode(errors="replace")
    try:
        place = admission.read(text)
    except ValueError as error:
        assert str(error)
        return
    address = urls.parse(place.url)
    assert (admission.canonical(address.host), address.port) == (place.host, place.port)
    assert place.host == place.host.lower()
    assert "@" not in re.split(r"[/?#]", place.url.partition("://")[2])[0]
    for entry in ("10.0.0.0/8", "*.svc:80", "*"):
        admission.rule(entry).may_cover(place)


# What Prometheus reads


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
_TENSORS = {"model_name": "m", "outputs": [{"name": "y", "shape": [1], "datatype": "FP32", "data": [1.5]}]}


def _about_all(*bodies: bytes) -> list[bytes]:
    return [number.to_bytes(2, "big") + b"\0" + body for number in range(len(_ASKED)) for body in bodies]


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
    "ndjson": (ndjson, [b'{"a":1}\n{"b":2}\r\n\n', b"\xef\xbb\xbf1\n2", b"\r\n \n{}"]),
    "answers": (
        answers,
        _about_all(
            json.dumps(_CHAT).encode(),
            f"data: {json.dumps(_DELTA)}\n\ndata: [DONE]\n\n".encode(),
            json.dumps(_TENSORS).encode(),
            b'{"data":[{"id":"m"}],"object":"list"}',
            b'{"predictions":[1],"name":"m","ready":true,"state":"AVAILABLE"}',
        ),
    ),
    "config": (config, [_YAML, b"targets: [{url: 'http://127.0.0.1:8000'}]\n", b"targets: &a [*a]\n", b"a: !!x y\n"]),
    "web_config": (web_config, [_WEB, b"basic_auth_users: s3cr3t\n"]),
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
