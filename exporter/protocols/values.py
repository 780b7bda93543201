"""What a JSON value must be: JMESPath expressions with a comparison, and a JSON Schema."""

from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Annotated, Any, Self

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from exporter.model.failure import joined
from exporter.protocols import patterns
from exporter.protocols.compare import difference, show
from exporter.protocols.json_schema import Schema, check_schema
from exporter.protocols.numbers import Near, Range
from exporter.protocols.patterns import Regex
from exporter.protocols.text import quote
from exporter.settings import Settings, problem

_OPERATORS = ("equals", "not_equals", "in", "contains", "matches", "min", "max", "exists", "length")


def _jmespath(value: str) -> str:
    try:
        _expression(value)
    except ValueError as error:  # as all that JMESPath raises
        place = getattr(error, "lex_position", None) or 0
        message = f"found {{found}}, which is not JMESPath: error at position {place}; allowed: such as data[0].id"
        raise problem("jmespath", message, found=value) from None
    return value


def _check(value: Any) -> Any:
    if isinstance(value, str):
        return {"path": value, "equals": True}
    if isinstance(value, dict | JsonCheck):
        return value
    message = "found {found}; allowed: a JMESPath that must find true, or {path:, equals:} and the like"
    raise problem("json", message, found=value)


def _alone(value: Any) -> Any:
    return value if isinstance(value, list) else [value]


def _length(value: Any) -> Any:
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return {"min": float(value), "max": float(value)}
    if isinstance(value, dict | Range):
        return value
    raise problem("length", "found {found}; allowed: an integer >= 0, or {min:, max:}", found=value)


#: A JMESPath expression.
JmesPath = Annotated[str, AfterValidator(_jmespath)]


class JsonCheck(Near, Range):
    """What a JMESPath expression must find in a JSON value. Everything that is given must hold."""

    path: JmesPath = Field(description="JMESPath expression over the JSON.")
    equals: Any = Field(
        default=None,
        description="Value it must find. Objects may hold further keys; a boolean is not a number; null also where "
        "there is nothing.",
    )
    not_equals: Any = Field(default=None, description="Value it must not find.")
    in_: list[Any] | None = Field(default=None, min_length=1, alias="in", description="Values it must find one of.")
    contains: Any = Field(default=None, description="Element of the list, or part of the text, that it must find.")
    matches: Regex | None = Field(default=None, description="Regular expression the text it finds must match.")
    exists: bool | None = Field(default=None, description="Whether there must be something; null counts as nothing.")
    length: (
        Annotated[Range, BeforeValidator(_length, json_schema_input_type=Annotated[int, Field(ge=0)] | Range)] | None
    ) = Field(
        default=None,
        description="Elements of the list or object, or characters of the text: a number, or {min, max}.",
    )
    negate: bool = Field(default=False, description="Turns the check round: it must not hold.")

    @model_validator(mode="after")
    def _some(self) -> Self:
        given = self.model_fields_set
        if not any(name in given for name in (*_OPERATORS, "in_")):
            raise problem("json", f"has a path alone; needs one of {', '.join(_OPERATORS)}")
        if given & {"tolerance", "rtol"} and not given & {"equals", "not_equals", "in_", "contains"}:
            raise problem("json", "found tolerance or rtol without equals, not_equals, in or contains")
        return self


#: One check, an expression alone that must find true, or a list of either.
JsonChecks = Annotated[
    list[Annotated[JsonCheck, BeforeValidator(_check, json_schema_input_type=str | JsonCheck)]],
    Field(min_length=1),
    BeforeValidator(_alone, json_schema_input_type=str | JsonCheck | list[str | JsonCheck]),
]

#: The forms of such checks, for descriptions.
FORMS = (
    "a JMESPath that must find true, {path, equals} (or not_equals, in, contains, matches, min, max, exists, length), "
    "or a list of either."
)


class ValueExpect(Settings):
    """What must hold of the answer's JSON."""

    schema_: Schema | None = Field(
        default=None,
        alias="schema",
        description="JSON Schema the answer's JSON must fit, or {file: PATH}. Needs the extra `schema`.",
    )
    json_: JsonChecks | None = Field(default=None, alias="json", description=f"Checks on the answer's JSON: {FORMS}")

    @property
    def structured(self) -> bool:
        """Whether the answer has to be JSON."""
        return self.schema_ is not None or self.json_ is not None


def check_value(expect: ValueExpect, value: Any) -> str | None:
    """What does not hold of a JSON value, in words; None when everything does."""
    found = [] if expect.schema_ is None else check_schema(expect.schema_, value)
    found += check_paths(expect.json_ or (), value)
    return joined(found) if found else None


def find(path: str, value: Any) -> Any:
    """What an expression finds; None also where it cannot be worked out."""
    try:
        return _expression(path).search(value)
    except (RecursionError, ValueError, TypeError):
        return None


def check_paths(checks: Sequence[JsonCheck], value: Any, inside: str = "") -> list[str]:
    """What expressions find that they must not, in words. `inside` says of what the value is a part."""
    return [f"{inside}{complaint}" for check in checks for complaint in _check_path(check, value)]


def _check_path(check: JsonCheck, value: Any) -> list[str]:
    what = quote(check.path, 60)
    try:
        found = _expression(check.path).search(value)
    except (RecursionError, ValueError, TypeError) as error:
        return [f"{what} cannot be worked out on the answer: {quote(str(error), 100)}"]
    complaints = list(_complaints(check, found, what))
    if not check.negate:
        return complaints
    return [] if complaints else [f"{what} is {show(found)}, which it must not be"]


def _complaints(check: JsonCheck, found: Any, what: str) -> Iterator[str]:
    keys = check.model_fields_set
    if "exists" in keys and check.exists is not (found is not None):
        yield f"{what} is not there" if check.exists else f"{what} is there: {show(found)}"
    if "equals" in keys and (other := _other(check, check.equals, found, what)):
        yield other
    if "not_equals" in keys and _other(check, check.not_equals, found) is None:
        yield f"{what} is {show(found)}, which it must not be"
    if check.in_ is not None and all(_other(check, each, found) for each in check.in_):
        among = ", ".join(map(show, check.in_[:8]))
        yield f"{what} is {show(found)}, expected one of {quote(among, 100)}"
    if "contains" in keys and not _contains(check, found):
        yield f"{what} is {show(found)}, which does not contain {show(check.contains)}"
    if check.matches is not None:
        yield from _unmatched(check.matches, found, what)
    if check.given and not (isinstance(found, int | float) and not isinstance(found, bool) and check.holds(found)):
        yield f"{what} is {show(found)}, expected {check}"
    if check.length is not None:
        size = len(found) if isinstance(found, str | list | dict) else None
        if size is None or not check.length.holds(size):
            has = f"is {show(found)}, which has no length" if size is None else f"has the length {size}"
            yield f"{what} {has}, expected {check.length}"


def _other(check: JsonCheck, wanted: Any, found: Any, what: str = "value") -> str | None:
    return difference(wanted, found, check.tolerance, what, rtol=check.rtol)


def _contains(check: JsonCheck, found: Any) -> bool:
    if isinstance(found, str):
        return isinstance(check.contains, str) and check.contains in found
    return isinstance(found, list) and any(_other(check, check.contains, each) is None for each in found)


def _unmatched(pattern: str, found: Any, what: str) -> Iterator[str]:
    try:
        if isinstance(found, str) and patterns.found(pattern, found):
            return
    except TimeoutError:
        yield f"the regular expression {quote(pattern, 60)} takes too long on {what}"
        return
    yield f"{what} is {show(found)}, which does not match {quote(pattern, 60)}"


@lru_cache(maxsize=256)
def _expression(path: str) -> Any:
    import jmespath  # loaded with the config that has such a path

    return jmespath.compile(path)
