"""Checks on an answer: their settings, and pure functions that name what does not hold."""

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Annotated, Any

import jmespath
from jmespath.exceptions import JMESPathError
from pydantic import AfterValidator, BeforeValidator, Field

from exporter.contracts import Headers
from exporter.protocols.compare import difference, show
from exporter.protocols.reading import LARGE
from exporter.protocols.text import quote
from exporter.settings import Settings, problem

if TYPE_CHECKING:
    import regex

#: Seconds of CPU one regular expression may take on one text. A pattern that explodes must not stop the exporter.
REGEX_TIME = 0.02
#: Characters of a text that a regular expression sees.
REGEX_TEXT = 1_000_000
#: Bytes of a text above which it is searched in a thread: even plain patterns can take time that grows with the square.
REGEX_LARGE = 8192


def _regex(value: str) -> str:
    try:
        re.compile(value)
        _compiled(value)
    except Exception as error:  # two libraries, several kinds of error, all of them about the pattern
        place = getattr(error, "pos", None)
        where = "" if place is None else f" at position {place}"
        why = getattr(error, "msg", "") or str(error)
        message = f"found {{found}}, which is not a regular expression: {_plain(why)}{where}; allowed: Python syntax"
        raise problem("regex", message, found=value) from None
    return value


def _jmespath(value: str) -> str:
    try:
        _expression(value)
    except JMESPathError as error:
        place = getattr(error, "lex_position", None) or 0
        message = f"found {{found}}, which is not JMESPath: error at position {place}; allowed: such as data[0].id"
        raise problem("jmespath", message, found=value) from None
    return value


def _json(value: Any) -> Any:
    if isinstance(value, str):
        return {"path": value, "equals": True}
    if isinstance(value, dict | JsonCheck):
        return value
    raise problem("json", "found {found}; allowed: a JMESPath that must find true, or {{path:, equals:}}", found=value)


def _status(value: Any) -> str:
    if isinstance(value, int) and not isinstance(value, bool) and 100 <= value <= 599:
        return str(value)
    if isinstance(value, str) and (match := re.fullmatch(r"([1-5]\d\d)(?:-([1-5]\d\d))?", value, re.ASCII)):
        if int(match[1]) <= int(match[2] or match[1]):
            return value
    elif isinstance(value, str) and re.fullmatch(r"[1-5]xx", value):
        return f"{value[0]}00-{value[0]}99"
    raise problem("status", "found {found}; allowed: a status of 100-599, or a range such as 200-299", found=value)


def _plain(text: str) -> str:
    return text.replace("{", "(").replace("}", ")")


#: A regular expression, searched for anywhere in the text.
Regex = Annotated[str, AfterValidator(_regex)]
#: A JMESPath expression.
JmesPath = Annotated[str, AfterValidator(_jmespath)]
#: A status code or a range of them, kept as text: `200` or `200-299`.
StatusRange = Annotated[str, BeforeValidator(_status, json_schema_input_type=int | str)]


class JsonCheck(Settings):
    """What a JMESPath expression must find in a JSON answer."""

    path: JmesPath = Field(description="JMESPath expression over the JSON answer.")
    equals: Any = Field(description="Value it must find. Objects may hold further keys; a boolean is not a number.")


#: `{path, equals}`, or an expression alone, which must find true.
Json = Annotated[JsonCheck, BeforeValidator(_json, json_schema_input_type=str | JsonCheck)]


class TextExpect(Settings):
    """What must hold of a text a model wrote, or of a body."""

    text: str | None = Field(default=None, description="Text the answer must contain.")
    equals: str | None = Field(default=None, description="The whole answer, white space at both ends ignored.")
    regex: Regex | None = Field(default=None, description="Regular expression that must match somewhere in the answer.")
    json_: Json | None = Field(
        default=None,
        alias="json",
        description="The answer must be JSON: a JMESPath expression that must find true, or {path, equals}.",
    )


def large(expect: TextExpect) -> int:
    """Bytes above which checking a text is work for a thread."""
    return LARGE if expect.regex is None else REGEX_LARGE


def accepts(ranges: Sequence[str], status: int) -> bool:
    """Whether a status is in one of the ranges."""
    for item in ranges:
        low, _, high = item.partition("-")
        if int(low) <= status <= int(high or low):
            return True
    return False


def check_text(expect: TextExpect, text: str) -> str | None:
    """What does not hold of a text (JSON apart), in words; None when everything does."""
    if expect.text is not None and expect.text not in text:
        return f"the answer does not contain {show(expect.text)}: {quote(text, 120)}"
    if expect.equals is not None and expect.equals.strip() != text.strip():
        return f"the answer is not {show(expect.equals)}: {quote(text, 120)}"
    if expect.regex is not None:
        return check_regex(expect.regex, text, "the answer")
    return None


def check_regex(pattern: str, text: str, what: str) -> str | None:
    """Whether a pattern is found in the first million characters of a text, within its share of CPU time."""
    try:
        if _compiled(pattern).search(text[:REGEX_TEXT], timeout=REGEX_TIME, concurrent=True):
            return None
    except TimeoutError:
        return f"the regular expression {quote(pattern, 60)} takes too long on {what}"
    return f"{what} does not match {quote(pattern, 60)}: {quote(text, 100)}"


def check_headers(expect: dict[str, str], headers: Headers) -> str | None:
    """Whether each named header is there with a value its pattern is found in."""
    for name, pattern in expect.items():
        values = headers.all(name)
        if not values:
            return f"there is no header {name}"
        complaints = [check_regex(pattern, value, f"header {name}") for value in values]
        if all(complaints):
            return complaints[0]
    return None


def check_json(expect: JsonCheck, value: Any) -> str | None:
    """Whether an expression finds what it must in a JSON value."""
    what = quote(expect.path, 60)
    try:
        found = _expression(expect.path).search(value)
    except (JMESPathError, RecursionError, ValueError, TypeError) as error:
        return f"{what} cannot be worked out on the answer: {quote(str(error), 100)}"
    return difference(expect.equals, found, where=what)


@lru_cache(maxsize=256)
def _compiled(pattern: str) -> "regex.Pattern[str]":
    import regex  # 45 ms and 2 MiB that only those pay who use it

    return regex.compile(pattern)


@lru_cache(maxsize=256)
def _expression(path: str) -> Any:
    return jmespath.compile(path)
