"""JSON bodies read with suspicion: what is not plain RFC 8259 is `malformed`, and big bodies are read off the loop."""

import asyncio
import json
from collections.abc import Callable
from typing import Any, NoReturn, TypeVar

from exporter.model.failure import Failure, Reason
from exporter.protocols.text import quote

#: Bodies above this many bytes are handled in a thread: the loop times other targets meanwhile.
LARGE = 256 * 1024

#: The largest count that is believed.
MOST = 10**15

Found = TypeVar("Found")


async def handle(body: bytes, function: Callable[[bytes], Found], large: int = LARGE) -> Found:
    """The result of a pure function of a body, worked out in a thread when the body has more than `large` bytes."""
    if len(body) > large:
        return await asyncio.to_thread(function, body)
    return function(body)


def parse(body: bytes | str) -> Any:
    """The value of a JSON text. Raises `Failure` (malformed), also for NaN, for a byte order mark, and for nesting or
    numbers beyond what can be read.
    """
    try:
        text = body if isinstance(body, str) else body.decode("utf-8")
        return json.loads(text, parse_constant=_constant)
    except RecursionError:
        raise Failure(Reason.MALFORMED, "the body is JSON nested too deeply") from None
    except UnicodeDecodeError as error:
        raise Failure(Reason.MALFORMED, f"the body is not UTF-8 (byte {error.start})") from None
    except ValueError as error:
        raise Failure(Reason.MALFORMED, _why(body, error)) from None


def parse_object(body: bytes | str) -> dict[str, Any]:
    """The JSON object of a text. Raises `Failure` (malformed), also for any other value."""
    value = parse(body)
    if not isinstance(value, dict):
        raise Failure(Reason.MALFORMED, f"the body is {kind(value)}; a JSON object was expected")
    return value


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


def _constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def _why(body: bytes | str, error: ValueError) -> str:
    if not body.strip():
        return "the body is empty; JSON was expected"
    start = body[:800] if isinstance(body, str) else body[:800].decode("utf-8", "replace")
    # A number with thousands of digits is refused by int(), with a message of its own.
    what = error.msg if isinstance(error, json.JSONDecodeError) else str(error).partition(";")[0]
    return f"the body is not JSON ({quote(what, 80)}): {quote(start, 110)}"
