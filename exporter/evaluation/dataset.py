"""Data sets: the text of a golden set as examples, or everything that is wrong with it. Pure.

JSONL: a line `{"id", "input", "expected", "tags"}` for each example. CSV: a heading with these columns; `input` holds
JSON, or each key of it has a column `input.KEY`.
"""

import csv
import hashlib
import io
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from exporter.evaluation.scorers import Scorer
from exporter.model.evaluation import MakeQuestion, Unusable
from exporter.model.failure import Failure
from exporter.protocols.reading import kind, parse

MAX_EXAMPLES = 10_000
MAX_ID = 128
_KEYS = ("id", "input", "expected", "tags")
_INPUT = "input."


class BadDataset(Exception):
    """A data set that cannot be used. `problems` are lines for people, `NAME:LINE: what, and what is allowed`."""

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = list(problems)


@dataclass(frozen=True, slots=True)
class Example:
    """One row. `line` is where it begins, from 1."""

    line: int
    id: str
    input: dict[str, Any]
    expected: Any
    tags: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Dataset:
    """All rows, and the SHA-256 of the text they were in."""

    digest: str
    examples: tuple[Example, ...]


def read(data: bytes, name: str, form: str, scorer: Scorer, question: MakeQuestion) -> Dataset:
    """The data set in a text of the form `jsonl` or `csv`. Raises `BadDataset` that tells of every bad row."""
    try:
        text = data.removeprefix(b"\xef\xbb\xbf").decode()
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise BadDataset([f"{name}:{line}: not UTF-8 (byte {error.start})"]) from None
    problems: list[str] = []
    examples: list[Example] = []
    first: dict[str, int] = {}
    for line, row in _csv_rows(text) if form == "csv" else _json_rows(text):
        if len(examples) >= MAX_EXAMPLES:
            problems.append(f"{name}:{line}: more than {MAX_EXAMPLES} examples")
            break
        found, wrong = (None, [row]) if isinstance(row, str) else _example(line, row, scorer, question)
        if found is not None:
            examples.append(found)
            if (other := first.setdefault(found.id, line)) != line:
                wrong.append(f"id: duplicate {found.id[:60]!r}, first at line {other}")
        problems += (f"{name}:{line}: {each}" for each in wrong)
    if not examples and not problems:
        problems.append(f"{name}:1: no example; a line for each is expected")
    if problems:
        raise BadDataset(problems)
    return Dataset(hashlib.sha256(data).hexdigest(), tuple(examples))


def _example(
    line: int, row: dict[str, Any], scorer: Scorer, question: MakeQuestion
) -> tuple[Example | None, list[str]]:
    """A row as an example, as far as it has an id, and all that is wrong with it."""
    wrong = [f"{key[:60]}: unknown key; allowed: {', '.join(_KEYS)}" for key in row if key not in _KEYS]
    wrong += [f"{key}: required key is missing" for key in _KEYS[:3] if key not in row]
    name, asked, tags = row.get("id"), row.get("input"), row.get("tags", [])
    if isinstance(name, int) and not isinstance(name, bool):
        name = str(name)
    if "id" in row and not (isinstance(name, str) and 0 < len(name) <= MAX_ID and name.isprintable()):
        wrong.append(f"id: found {kind(name)}; allowed: printable text of 1 to {MAX_ID} characters, or an integer")
        name = None
    if "expected" in row and (unfit := scorer.unfit(row["expected"])):
        wrong.append(f"expected: {unfit}")
    if not (isinstance(tags, list) and all(isinstance(tag, str) for tag in tags)):
        wrong.append("tags: a list of texts is expected")
        tags = []
    if "input" in row:
        wrong += _input_problems(asked, question)
    if not isinstance(name, str):
        return None, wrong
    made = asked if isinstance(asked, dict) else {}
    return Example(line, name, made, row.get("expected"), tuple(tags)), wrong


def _input_problems(asked: Any, question: MakeQuestion) -> Iterator[str]:
    if not isinstance(asked, dict):
        yield f"input: found {kind(asked)}; an object with keys of this protocol's infer probe is expected"
        return
    try:
        question(asked)
    except Unusable as error:
        for path, message in error.problems:
            yield f"input.{path}: {message}" if path else f"input: {message}"


def _json_rows(text: str) -> Iterator[tuple[int, dict[str, Any] | str]]:
    """Line and object of each row; what is wrong in place of an object that is none."""
    for line, written in enumerate(text.split("\n"), 1):
        if not written.strip():
            continue
        try:
            row = parse(written)
        except Failure as failure:
            yield line, failure.detail.replace("the body", "the line", 1).partition("): ")[0].rstrip(")") + ")"
            continue
        yield line, row if isinstance(row, dict) else f"found {kind(row)}; an object is expected"


def _csv_rows(text: str) -> Iterator[tuple[int, dict[str, Any] | str]]:
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    heading: list[str] | None = None
    line = 1
    while True:
        try:
            row = next(reader, None)
        except csv.Error as error:
            yield line, f"not CSV: {error}"
            return
        if row is None:
            return
        if heading is None:
            heading = [cell.strip() for cell in row]
            if wrong := _heading_problem(heading):
                yield line, wrong
                return
        elif any(row):
            yield line, _csv_row(heading, row)
        line = reader.line_num + 1


def _heading_problem(heading: Sequence[str]) -> str | None:
    if len(set(heading)) < len(heading):
        return "the heading names a column twice"
    unknown = [name for name in heading if name not in _KEYS and not (name.startswith(_INPUT) and name != _INPUT)]
    if unknown:
        return f"unknown column {unknown[0][:60]!r}; allowed: {', '.join(_KEYS)}, input.KEY"
    if "input" in heading and any(name.startswith(_INPUT) for name in heading):
        return "the heading has input and input.KEY; allowed: one of them"
    return None


def _csv_row(heading: Sequence[str], cells: Sequence[str]) -> dict[str, Any] | str:
    if len(cells) != len(heading):
        return f"found {len(cells)} cells; the heading has {len(heading)}"
    row: dict[str, Any] = {}
    asked: dict[str, Any] = {}
    for name, cell in zip(heading, cells, strict=True):
        if name.startswith(_INPUT):
            if cell:
                asked[name.removeprefix(_INPUT)] = _value(cell, lambda text: text.lstrip()[:1] in ("[", "{"))
        elif name == "tags":
            row[name] = [tag.strip() for tag in cell.split(";") if tag.strip()]
        elif name == "id":
            row[name] = cell
        else:
            row[name] = _value(cell, lambda text: True)
    return row if "input" in heading else {**row, "input": asked}


def _value(cell: str, is_json: Callable[[str], bool]) -> Any:
    """A cell as JSON where it is that, else its text."""
    if not is_json(cell):
        return cell
    try:
        return json.loads(cell, parse_constant=_no_constant)
    except (ValueError, RecursionError):
        return cell


def _no_constant(name: str) -> Any:
    raise ValueError(name)
