"""Tools that a language model calls: what must hold of a call."""

from collections.abc import Iterable, Mapping
from typing import Annotated, Any

from pydantic import BeforeValidator, Field

from exporter.model.failure import Failure
from exporter.protocols.compare import difference
from exporter.protocols.reading import parse
from exporter.protocols.text import quote
from exporter.protocols.values import FORMS, JsonChecks, check_paths
from exporter.settings import Settings, problem


class ToolCall(Settings):
    """A tool that must be called, with arguments that are JSON."""

    name: str = Field(min_length=1, description="Name of the tool.")
    arguments: dict[str, Any] | None = Field(
        default=None, description="Arguments it must be called with; further ones may be there."
    )
    arguments_json: JsonChecks | None = Field(default=None, description=f"Checks on the arguments: {FORMS}")


def _call(value: Any) -> Any:
    if isinstance(value, str):
        return {"name": value}
    if isinstance(value, dict | ToolCall):
        return value
    raise problem("tool_call", "found {found}; allowed: the name of a tool, or {name:, arguments:}", found=value)


#: A tool's name, or `{name, arguments, arguments_json}`.
OneToolCall = Annotated[
    ToolCall, BeforeValidator(_call, json_schema_input_type=Annotated[str, Field(min_length=1)] | ToolCall)
]


def check_tool(expect: ToolCall, calls: Mapping[int, tuple[str, str]]) -> list[str]:
    """What does not hold of the calls of an answer (name and arguments of each), in words; [] where one is right."""
    arguments = [given for name, given in calls.values() if name == expect.name]
    if not arguments:
        called = ", ".join(name for name, _ in calls.values()) or "none"
        return [f"tool {quote(expect.name, 60)} was not called, but {quote(called, 100)}"]
    wrong = [list(_complaints(expect, given)) for given in arguments]
    return min(wrong, key=len)


def _complaints(expect: ToolCall, arguments: str) -> Iterable[str]:
    name = quote(expect.name, 60)
    try:
        value = parse(arguments or "{}")
    except Failure:
        return [f"the arguments of {name} are not JSON: {quote(arguments, 100)}"]
    found = check_paths(expect.arguments_json or (), value, f"{name}: ")
    if expect.arguments is not None and (other := difference(expect.arguments, value, where=f"{name}: arguments")):
        return [other, *found]
    return found
