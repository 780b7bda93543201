"""JSON bodies read with suspicion: what is not plain RFC 8259 is `malformed`, and big bodies are read off the loop.

A thread is not enough for that: to parse ten megabytes of empty lists holds the interpreter for a second, and takes 230
MB. So how much there is in a body is counted before it is parsed, and big ones are parsed one at a time.
"""

import asyncio
import gc
import json
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NoReturn, TypeVar

from pydantic_core import from_json

from exporter.contracts import Body
from exporter.model.failure import Failure, Reason
from exporter.protocols.text import quote
from exporter.transport.turns import turns

#: Bodies above this many bytes are handled in a thread: the loop times other targets meanwhile.
LARGE = 64 * 1024
#: Bodies above this many bytes do not hold up those that are just large.
HUGE = 1 << 20
#: Bodies above this many bytes wait for their turn on the loop, for which a byte counts as so many seconds.
SMALL, SECONDS_PER_BYTE = 8 * 1024, 1e-7
#: Bytes of memory that what is in a body may take, beside the body and what that is shorter than it might be.
MEMORY = 24_000_000
#: What a character that is no part of a text stands for, in bytes: a number (32, and twice its place in the list), a
#: list, an object, an entry of an object, and half of a text.
_WEIGHTS = {b",": 48, b"[": 80, b"{": 240, b":": 60, b'"': 32}
#: Bytes that a character of a text takes where any of it is beyond ASCII, and one more where it is written in escapes.
_WIDE = 5

_HIGH = bytes(range(0x80, 0x100))

#: The largest count that is believed.
MOST = 10**15

Found = TypeVar("Found")


async def handle(body: bytes, function: Callable[[bytes], Found], large: int = LARGE) -> Found:
    """The result of a pure function of a body, worked out in a thread when the body has more than `large` bytes."""
    size = len(body)
    if size > LARGE:
        line = _huge if size > HUGE else _large
        return await asyncio.get_running_loop().run_in_executor(line.thread, line.work, function, body)
    if size > large:
        return await asyncio.to_thread(function, body)
    if size > SMALL:
        await turns.pause(size * SECONDS_PER_BYTE)
    return function(body)


async def object_of(body: bytes) -> dict[str, Any]:
    """As `parse_object`, with `handle`: what is a few lines as a rule may be anything."""
    return await handle(body, parse_object)


def parse(body: bytes | str) -> Any:
    """The value of a JSON text. Raises `Failure`: malformed, also for NaN, for a byte order mark, and for nesting or
    numbers beyond what can be read; too_large for more than there is memory for.
    """
    if len(body) > LARGE:
        return _parse_large(body)
    try:
        text = body if isinstance(body, str) else body.decode("utf-8")
        return json.loads(text, parse_constant=_constant)
    except RecursionError:
        raise Failure(Reason.MALFORMED, "the body is JSON nested too deeply") from None
    except UnicodeDecodeError as error:
        raise Failure(Reason.MALFORMED, f"the body is not UTF-8 (byte {error.start})") from None
    except ValueError as error:
        raise Failure(Reason.MALFORMED, _why(body, error)) from None


def _parse_large(body: bytes | str) -> Any:
    """As `parse`, by a parser that is faster and stricter: half of a surrogate pair is no text for it."""
    memory, wide = 0, False
    most = MEMORY + (body.room if isinstance(body, Body) else 0)
    for start in range(0, len(body), LARGE):
        piece = body[start : start + LARGE]
        data = piece.encode("utf-8", "surrogatepass") if isinstance(piece, str) else piece
        memory += sum(weight * data.count(mark) for mark, weight in _WEIGHTS.items())
        if not wide and (not data.isascii() or b"\\u" in data):
            wide = True
            memory += _WIDE * len(body)
        if memory > most:
            # What is no JSON from its beginning is that first of all. It may be cut within a character.
            _read(body[:LARGE] if isinstance(body, str) else body[:LARGE].rstrip(_HIGH), partly=True)
            raise Failure(Reason.TOO_LARGE, f"the body is JSON of more parts than {most // 10**6} MB of memory hold")
    return _read(body)


def _read(body: bytes | str, *, partly: bool = False) -> Any:
    collects = gc.isenabled()
    gc.disable()  # it would look through everything over and over: all of it is new, and all of it is needed
    try:
        # Not through the parser's cache of texts, which would keep thousands of this body's for good.
        return from_json(
            body,
            allow_inf_nan=False,
            cache_strings=False,
            allow_partial="trailing-strings" if partly else False,
        )
    except ValueError as error:
        if "recursion limit" in str(error):
            raise Failure(Reason.MALFORMED, "the body is JSON nested too deeply") from None
        raise Failure(Reason.MALFORMED, _why(body, error)) from None
    finally:
        if collects:
            gc.enable()


def parse_object(body: bytes | str) -> dict[str, Any]:
    """The JSON object of a text. Raises `Failure` (malformed), also for any other value."""
    value = parse(body)
    if not isinstance(value, dict):
        raise Failure(Reason.MALFORMED, f"the body is {kind(value)}; a JSON object was expected")
    return value


def json_or_none(body: bytes, most: int = LARGE) -> Any:
    """The value of a JSON text of at most `most` bytes; None for anything else, which is no fault here."""
    try:
        return parse(body) if len(body) <= most else None
    except Failure:
        return None


def kind(value: Any) -> str:
    """The JSON type of a value, with its article, for people."""
    match value:
        case None:
            return "null"
        case bool():
            return "a boolean"
        case int() | float():
            return "a number"
        case str():
            return "a string"
        case list():
            return "a list"
        case _:
            return "an object"


def string(value: Any) -> str:
    """A JSON value that is a string, `""` for any other."""
    return value if isinstance(value, str) else ""


def count(value: Any) -> int | None:
    """A JSON value that counts something: an integer from 0 to `MOST`. None for any other."""
    number = isinstance(value, int) and not isinstance(value, bool)
    return value if number and 0 <= value <= MOST else None


class _Line:
    """Work that holds the interpreter, one piece after the other, with as long a rest after each: half of the time is
    the loop's.
    """

    def __init__(self, name: str) -> None:
        self.thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix=name)
        self._until = 0.0

    def work(self, function: Callable[[bytes], Found], body: bytes) -> Found:
        """The function's result; its thread rests before it does the next."""
        began = time.perf_counter()
        if began < self._until:
            time.sleep(self._until - began)
            began = time.perf_counter()
        try:
            return function(body)
        finally:
            ended = time.perf_counter()
            self._until = ended + min(ended - began, _LONGEST_REST)


#: Seconds.
_LONGEST_REST = 0.05
_large, _huge = _Line("large bodies"), _Line("huge bodies")


def _constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def _why(body: bytes | str, error: ValueError) -> str:
    if not body.strip():
        return "the body is empty; JSON was expected"
    start = body[:800] if isinstance(body, str) else body[:800].decode("utf-8", "replace")
    # A number with thousands of digits is refused by int(), with a message of its own.
    what = error.msg if isinstance(error, json.JSONDecodeError) else str(error).partition(";")[0]
    return f"the body is not JSON ({quote(what, 80)}): {quote(start, 110)}"
