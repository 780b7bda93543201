"""libyaml's complaints in our words, with the place a person has to look at."""

from typing import Any

import yaml

_OPEN = ("while parsing a flow sequence", "while parsing a flow mapping")
_WORDS = {
    "could not find expected ':'": "a key without ':'",
    "did not find expected key": "a key is expected here; look at the indentation and the quotes around it",
    "did not find expected '-' indicator": "a list entry '- ' is expected here; look at the indentation",
    "mapping values are not allowed in this context": "a ':' where no key can stand; quote text that holds ': '",
    "block sequence entries are not allowed in this context": "a '- ' where no list entry can stand",
}


def explain(error: yaml.YAMLError, data: bytes, opened: tuple[int, int] | None) -> tuple[int, int, str]:
    """Line and column from 1, and what is wrong there. `opened` is where the innermost list or mapping began."""
    place: Any = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    if place is None:
        return 1, 1, f"cannot be read as YAML: {getattr(error, 'reason', None) or 'unexpected text'}"
    line, column = place.line + 1, place.column + 1
    lines = data.splitlines()
    context = getattr(error, "context", None) or ""
    problem = getattr(error, "problem", None) or "unexpected text"
    start: Any = getattr(error, "context_mark", None)
    if context in _OPEN and start is not None:
        opened = (start.line + 1, start.column + 1)
    bracket = _character(lines, *opened) if opened else ""
    if (context in _OPEN or line > len(lines)) and opened and bracket in ("[", "{"):
        closing = "]" if bracket == "[" else "}"
        place = f"line {opened[0]}, column {opened[1]}"
        return line, column, f"'{bracket}' opened at {place} is not closed; '{closing}' is expected"
    if any(_tabbed(lines, number) for number in (line, line - 1)):
        return line, column, "a tab in the indentation; allowed: spaces"
    if problem == "found unexpected end of stream" and start is not None:
        return start.line + 1, start.column + 1, "the quote opened here is not closed"
    if problem == "found character that cannot start any token":
        return line, column, f"'{_character(lines, line, column)}' cannot begin a value; quote it"
    return line, column, f"cannot be read as YAML: {_WORDS.get(problem, problem)}"


def _character(lines: list[bytes], line: int, column: int) -> str:
    return lines[line - 1].decode(errors="replace")[column - 1 : column] if 0 < line <= len(lines) else ""


def _tabbed(lines: list[bytes], number: int) -> bool:
    if not 0 < number <= len(lines):
        return False
    text = lines[number - 1]
    return b"\t" in text[: len(text) - len(text.lstrip())]
