"""What of a body may be shown to people: an error as it is, an answer to a prompt by its shape alone."""

import json
import re
from collections.abc import Iterator, Sequence
from typing import Any

from exporter.contracts import Chunk

#: Characters of a request's body in which what must not be repeated is looked for, and texts found there.
ASKED, TEXTS = 65_536, 256
#: Characters of a text that it is known again by; shorter ones stand in any other text, too.
SHORTEST = 8
#: Members of an object, of an array, and levels of both.
MEMBERS, ITEMS, DEPTH = 24, 2, 8
#: Lines of a stream.
EVENTS = 8

#: Members of a request that say how to answer and not what to.
_SETTINGS = frozenset({
    "datatype", "encoding_format", "endpoint", "id", "model", "model_name", "name", "object", "role", "tool_choice",
    "truncate", "type", "user",
})  # fmt: skip
#: Members of an answer that say how it came about and not what it is.
_ABOUT = frozenset({"code", "finish_reason", "id", "model", "object", "role", "status", "stop_reason", "type"})
#: And those that are the server's own account of itself, with all that is in them.
_OWN = frozenset({"error", "errors", "usage"})
_WORDS = re.compile(rb"[\x20-\x7e]{8,}")


def prompts(asked: bytes | memoryview) -> Sequence[str] | None:
    """The texts of a request's body that an answer may repeat; None where they are too many to be looked for."""
    if len(asked) > ASKED:
        return None
    body = bytes(asked)
    try:
        found = list(_texts(json.loads(body)))
    except (ValueError, RecursionError):
        found = [words.decode("ascii") for words in _WORDS.findall(body)]
    lines = [line.strip().encode(errors="replace").decode() for text in found for line in (text, *text.splitlines())]
    kept = {line for line in lines if len(line) >= SHORTEST}
    return tuple(kept) if len(kept) <= TEXTS else None


def shape(text: str) -> str:
    """A JSON text without what it says: `…(5)` is a text of 5 characters, `…` a number. Of other texts the length."""
    try:
        return json.dumps(_shape(json.loads(text), DEPTH), ensure_ascii=False, separators=(",", ":"))
    except (ValueError, RecursionError):
        return _length(text)


def events(chunks: Sequence[Chunk]) -> Iterator[tuple[float, str]]:
    """The first lines of a stream (server-sent events, or JSON line by line) without what they say; with stamps."""
    rest, told = "", 0
    for chunk in chunks:
        *lines, rest = (
            (rest + chunk.data.decode(errors="replace")).replace("\r\n", "\n").replace("\r", "\n").split("\n")
        )
        for line in filter(None, lines):
            if told == EVENTS:
                return
            told += 1
            yield chunk.at, _event(line)
    if rest and told < EVENTS:
        yield chunks[-1].at, f"{_event(rest)} (not at its end)"


def _event(line: str) -> str:
    name, colon, value = line.partition(":")
    value = value.strip()
    if line.startswith("{"):
        return shape(line)
    if name == "data" and colon:
        return f"data: {value if value == '[DONE]' else shape(value)}"
    if name in ("event", "retry") and colon:
        return f"{name}: {value[:40]}"
    return f": {_length(value)}" if not name else _length(line)


def _texts(value: Any) -> Iterator[str]:
    match value:
        case str():
            yield value
        case list():
            for each in value:
                yield from _texts(each)
        case dict():
            for name, each in value.items():
                if name not in _SETTINGS or isinstance(each, dict | list):
                    yield from _texts(each)


def _shape(value: Any, depth: int) -> Any:
    match value:
        case str():
            return _length(value)
        case bool() | None:
            return value
        case list():
            if not depth:
                return [f"…{len(value)} items"] if value else []
            more = [f"…{len(value) - ITEMS} more"] if len(value) > ITEMS else []
            return [_shape(each, depth - 1) for each in value[:ITEMS]] + more
        case dict():
            if not depth:
                return {f"…{len(value)} members": None} if value else {}
            return {name: _member(name, value[name], depth) for name in list(value)[:MEMBERS]}
    return "…"


def _member(name: str, value: Any, depth: int) -> Any:
    own = name in _OWN and depth == DEPTH
    return value if own or (name in _ABOUT and not isinstance(value, dict | list)) else _shape(value, depth - 1)


def _length(text: str) -> str:
    return f"…({len(text)})"
