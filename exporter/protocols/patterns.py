"""Regular expressions from a config, searched in what peers say: a pattern that explodes must not stop the exporter."""

import re
from functools import lru_cache
from typing import TYPE_CHECKING, Annotated

from pydantic import AfterValidator

from exporter.settings import problem

if TYPE_CHECKING:
    import regex

#: Seconds of CPU one regular expression may take on one text.
REGEX_TIME = 0.02
#: Characters of a text that a regular expression sees.
REGEX_TEXT = 1_000_000


def _regex(value: str) -> str:
    try:
        re.compile(value)
        _compiled(value)
    except Exception as error:  # two libraries, several kinds of error, all of them about the pattern
        place = getattr(error, "pos", None)
        where = "" if place is None else f" at position {place}"
        why = (getattr(error, "msg", "") or str(error)).replace("{", "(").replace("}", ")")
        message = f"found {{found}}, which is not a regular expression: {why}{where}; allowed: Python syntax"
        raise problem("regex", message, found=value) from None
    return value


#: A regular expression, searched for anywhere in the text.
Regex = Annotated[str, AfterValidator(_regex)]


def found(pattern: str, text: str) -> bool:
    """Whether a pattern is found in the first million characters of a text. Raises TimeoutError when that takes more
    than its share of CPU time.
    """
    return _compiled(pattern).search(text[:REGEX_TEXT], timeout=REGEX_TIME, concurrent=True) is not None


@lru_cache(maxsize=256)
def _compiled(pattern: str) -> "regex.Pattern[str]":
    import regex  # 45 ms and 2 MiB that only those pay who use it

    return regex.compile(pattern)
