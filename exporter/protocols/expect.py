"""Checks on an answer: their settings, and pure functions that name what does not hold."""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Any

from pydantic import BeforeValidator, Field

from exporter.contracts import Headers
from exporter.model.failure import Failure, Reason, joined
from exporter.model.job import Within
from exporter.protocols import patterns
from exporter.protocols.compare import show
from exporter.protocols.patterns import Regex
from exporter.protocols.reading import LARGE, parse
from exporter.protocols.text import quote
from exporter.protocols.values import ValueExpect, check_value
from exporter.settings import PositiveDuration, Settings, problem

#: Bytes of a text above which it is searched in a thread: even plain patterns can take time that grows with the square.
REGEX_LARGE = 8192
#: The same for a schema, which is Python code at each of its places.
SCHEMA_LARGE = 2048


def _status(value: Any) -> str:
    if isinstance(value, int) and not isinstance(value, bool) and 100 <= value <= 599:
        return str(value)
    if isinstance(value, str) and (match := re.fullmatch(r"([1-5]\d\d)(?:-([1-5]\d\d))?", value, re.ASCII)):
        if int(match[1]) <= int(match[2] or match[1]):
            return value
    elif isinstance(value, str) and re.fullmatch(r"[1-5]xx", value):
        return f"{value[0]}00-{value[0]}99"
    raise problem("status", "found {found}; allowed: a status of 100-599, or a range such as 200-299", found=value)


def _listed(value: Any) -> Any:
    return [_needle(each) for each in value] if isinstance(value, list) else [_needle(value)]


def _needle(value: Any) -> Any:
    if isinstance(value, str):
        return {"value": value}
    if isinstance(value, dict | Settings):
        return value
    raise problem("text", "found {found}; string expected", found=value)


#: A status code or a range of them, kept as text: `200` or `200-299`.
StatusRange = Annotated[str, BeforeValidator(_status, json_schema_input_type=int | str)]


class TextCheck(Settings):
    """A text that must be there, or must not."""

    value: str = Field(min_length=1, description="The text.")
    negate: bool = Field(default=False, description="Turns the check round: it must not be there.")


class RegexCheck(Settings):
    """A regular expression that must match somewhere, or nowhere."""

    value: Regex = Field(description="The regular expression.")
    negate: bool = Field(default=False, description="Turns the check round: it must match nowhere.")


#: One text, `{value, negate}`, or a list of either.
TextChecks = Annotated[
    list[TextCheck],
    Field(min_length=1),
    BeforeValidator(_listed, json_schema_input_type=str | TextCheck | list[str | TextCheck]),
]
#: One regular expression, `{value, negate}`, or a list of either.
RegexChecks = Annotated[
    list[RegexCheck],
    Field(min_length=1),
    BeforeValidator(_listed, json_schema_input_type=str | RegexCheck | list[str | RegexCheck]),
]


class Timely(Settings):
    """How soon an answer must be there."""

    duration: PositiveDuration | None = Field(
        default=None,
        description="Longest time the answer may take, connecting included. One that is right and late is a sign of "
        "load.",
    )

    def within(self) -> Within | None:
        """What the runner compares with what was measured; None where any time will do."""
        return None if self.duration is None else Within(self.duration)


class TimelyStream(Timely):
    """How soon a stream must begin and end."""

    ttft: PositiveDuration | None = Field(
        default=None, description="Longest time to the first token of any channel; later ones are a sign of load."
    )

    def within(self) -> Within | None:
        """What the runner compares with what was measured; None where any time will do."""
        return None if self.duration is None and self.ttft is None else Within(self.duration, self.ttft)


class TextExpect(Timely, ValueExpect):
    """What must hold of a text a model wrote, or of a body."""

    text: TextChecks | None = Field(
        default=None, description="Text the answer must contain, {value, negate}, or a list of either."
    )
    equals: str | None = Field(default=None, description="The whole answer, white space at both ends ignored.")
    regex: RegexChecks | None = Field(
        default=None,
        description="Regular expression that must match somewhere in the answer, {value, negate}, or a list of either.",
    )

    @property
    def reads(self) -> bool:
        """Whether anything is asked of the text."""
        return self.structured or not (self.text is None and self.equals is None and self.regex is None)


class TextStreamExpect(TextExpect, TimelyStream):
    """What must hold of a text that came as a stream."""


def large(expect: TextExpect) -> int:
    """Bytes above which checking a text is work for a thread."""
    if expect.schema_ is not None:
        return SCHEMA_LARGE
    return LARGE if expect.regex is None else REGEX_LARGE


def spans(ranges: Sequence[str]) -> tuple[tuple[int, int], ...]:
    """Status codes and ranges as pairs: the lowest and the highest."""
    parts = (item.partition("-") for item in ranges)
    return tuple((int(low), int(high or low)) for low, _, high in parts)


def accepts(ranges: Sequence[tuple[int, int]], status: int) -> bool:
    """Whether a status is in one of the ranges that `spans` made."""
    for low, high in ranges:  # noqa: SIM110 - a generator for each answer costs more than the question
        if low <= status <= high:
            return True
    return False


def failed(complaints: Iterable[str | None], http_status: int | None = None) -> Failure | None:
    """The failure of an answer that came whole and is not the expected one; None when nobody complains."""
    found = [complaint for complaint in complaints if complaint]
    return Failure(Reason.EXPECTATION, joined(found), http_status=http_status) if found else None


def check_body(expect: TextExpect, body: bytes, before: Iterable[str | None] = ()) -> Failure | None:
    """The failure of a body that is not the expected one: `malformed` where JSON is expected and nothing else is wrong
    but that it is none. `before` are complaints about what came before the body.
    """
    complaints = [*before, check_text(expect, body.decode("utf-8", "replace"))]
    if expect.structured:
        try:
            value = parse(body)
        except Failure as failure:
            if not any(complaints):
                return failure
            complaints.append(failure.detail)
        else:
            complaints.append(check_value(expect, value))
    return failed(complaints)


def check_text(expect: TextExpect, text: str) -> str | None:
    """What does not hold of a text (JSON apart), in words; None when everything does."""
    found: list[str] = []
    if expect.equals is not None and expect.equals.strip() != text.strip():
        found.append(f"the answer is not {show(expect.equals)}")
    found += [
        f"the answer {'contains' if check.negate else 'does not contain'} {show(check.value)}"
        for check in expect.text or ()
        if (check.value in text) is check.negate
    ]
    mismatches = [_mismatch(check.value, text, "the answer", negate=check.negate) for check in expect.regex or ()]
    found += filter(None, mismatches)
    if found:
        found[-1] += f": {quote(text, 120)}"
    return joined(found) if found else None


def check_regex(pattern: str, text: str, what: str) -> str | None:
    """Whether a pattern is found in a text, within its share of CPU time; what is wrong in words."""
    wrong = _mismatch(pattern, text, what)
    return f"{wrong}: {quote(text, 100)}" if wrong else None


def check_headers(expect: Mapping[str, Sequence[RegexCheck]], headers: Headers) -> str | None:
    """Whether each named header is there with a value its patterns are found in. One that must not match may be
    missing.
    """
    found: list[str] = []
    for name, checks in expect.items():
        values = headers.all(name)
        if not values and not all(check.negate for check in checks):
            found.append(f"there is no header {name}")
            continue
        for check in checks:
            judged = [(_mismatch(check.value, value, f"header {name}", negate=check.negate), value) for value in values]
            wrong = [f"{complaint}: {quote(value, 100)}" for complaint, value in judged if complaint]
            # Any value may be the right one, and none may be a wrong one.
            if wrong and (check.negate or len(wrong) == len(values)):
                found.append(wrong[0])
    return joined(found) if found else None


def _mismatch(pattern: str, text: str, what: str, *, negate: bool = False) -> str | None:
    shown = quote(pattern, 60)
    try:
        if patterns.found(pattern, text) is not negate:
            return None
    except TimeoutError:
        return f"the regular expression {shown} takes too long on {what}"
    return f"{what} {'matches' if negate else 'does not match'} {shown}"
