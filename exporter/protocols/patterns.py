"""Regular expressions from a config, searched in what peers say: a pattern that explodes must not stop the exporter."""

import re
from functools import lru_cache
from itertools import islice
from typing import TYPE_CHECKING, Annotated

from pydantic import AfterValidator

from exporter.settings import problem

if TYPE_CHECKING:
    import regex

#: Seconds of CPU one regular expression may take on one text.
REGEX_TIME = 0.02
#: Characters of a text that a regular expression sees.
REGEX_TEXT = 1_000_000


def refused(pattern: str) -> str:
    """Why a pattern is not a regular expression, `""` where it is one."""
    try:
        re.compile(pattern)
        _compiled(pattern)
    except Exception as error:  # two libraries, several kinds of error, all of them about the pattern
        place = getattr(error, "pos", None)
        where = "" if place is None else f" at position {place}"
        return f"{getattr(error, 'msg', '') or str(error) or type(error).__name__}{where}"
    return ""


def _regex(value: str) -> str:
    if why := refused(value):
        message = f"found {{found}}, which is not a regular expression: {why}; allowed: Python syntax"
        raise problem("regex", message, found=value)
    return value


#: A regular expression, searched for anywhere in the text.
Regex = Annotated[str, AfterValidator(_regex)]


def found(pattern: str, text: str) -> bool:
    """Whether a pattern is found in the first million characters of a text. Raises TimeoutError when that takes more
    than its share of CPU time.
    """
    return _compiled(pattern).search(text[:REGEX_TEXT], timeout=REGEX_TIME, concurrent=True) is not None


def groups(pattern: str, text: str, limit: int) -> list[dict[str, str | None]]:
    """What the named groups hold of each of the first `limit` places where a pattern is found; None where a group took
    no part. Raises TimeoutError as `found` does.
    """
    places = _compiled(pattern).finditer(text[:REGEX_TEXT], timeout=REGEX_TIME, concurrent=True)
    return [place.groupdict() for place in islice(places, limit)]


def fullmatch(pattern: str, text: str) -> dict[str, str] | None:
    """What the groups of a pattern hold that is the whole text, by number and by name, "" for one that took no part;
    None where it is not. Raises TimeoutError as `found` does.
    """
    match = _compiled(f"(?s:{pattern})").fullmatch(text[:REGEX_TEXT], timeout=REGEX_TIME, concurrent=True)
    if match is None:
        return None
    numbered = {str(number): value or "" for number, value in enumerate((match[0], *match.groups()))}
    return numbered | {name: value or "" for name, value in match.groupdict().items()}


@lru_cache(maxsize=256)
def _compiled(pattern: str) -> "regex.Pattern[str]":
    import regex  # 45 ms and 2 MiB that only those pay who use it

    return regex.compile(pattern)
