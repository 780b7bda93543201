"""What of an answer a scorer sees, and the forms it may have. Pure.

Answers and expected values are JSON values. A model asked for one thing often answers with a list of one: that is taken
apart as far as the expected value is no list itself.
"""

import json
import math
from collections.abc import Sequence
from typing import Any

from exporter.model.failure import Failure
from exporter.model.observation import Output
from exporter.protocols import values
from exporter.protocols.reading import parse

#: Characters of an answer that are shown, and looked at before.
SHOWN, BEGINNING = 200, 8192


class Unreadable(Exception):
    """An answer of which the scorer can make nothing. Its text is for people, and quotes no answer."""


def taken(output: Output | None, where: str) -> Any:
    """The answer in an output: what the JMESPath `where` finds in its JSON, else the text a model said, the vectors, or
    the predictions. Raises `Unreadable` where there is none.
    """
    if output is None:
        raise Unreadable("there is no answer to score")
    if where:
        found = values.find(where, _whole(output))
        if found is None:
            raise Unreadable("`answer` finds nothing in the answer")
        return found
    if output.vectors:
        return [list(map(float, vector)) for vector in output.vectors]
    if output.text:
        return output.text
    if (tensor := _first_tensor(output.value)) is not None:
        return tensor
    return output.essence if output.essence is not None else _whole(output)


def fitted(answer: Any, expected: Any) -> Any:
    """The answer without the lists of one around it that the expected value does not have."""
    depth = _depth(expected)
    while isinstance(answer, list) and len(answer) == 1 and _depth(answer) > depth:
        answer = answer[0]
    return answer


def number(value: Any) -> float:
    """A value as a number; text may be one. Raises `Unreadable`, also for what is not finite."""
    found = number_in(value)
    if found is None:
        raise Unreadable("the answer is not a number")
    return found


def number_in(value: Any) -> float | None:
    """A value as a number, None where it is none."""
    if isinstance(value, bool) or (isinstance(value, str) and "_" in value):  # Python alone writes 1_000
        return None
    try:
        found = float(value) if isinstance(value, int | float | str) else math.nan
    except (ValueError, OverflowError):
        return None
    return found if math.isfinite(found) else None


def numbers(value: Any) -> list[float]:
    """A number, or all those of a list and its lists, in order. Raises `Unreadable`."""
    if isinstance(value, list):
        return [found for item in value for found in numbers(item)]
    return [number(value)]


def label(value: Any) -> str:
    """A class as it is compared: numbers by what they are worth, text without its case and the blanks around it."""
    if isinstance(value, str) and number_in(value) is None:
        return value.strip().casefold()
    if (found := number_in(value)) is not None:
        return repr(found)
    return json.dumps([label(item) for item in value]) if isinstance(value, list) else text(value)


def text(value: Any) -> str:
    """Text as it is, and anything else as JSON."""
    return value if isinstance(value, str) else json.dumps(value, sort_keys=True, separators=(",", ":"))


def beginning(value: Any) -> str:
    """The beginning of a value as text: more than is shown, so that a credential in it is found whole."""
    return text(value[:BEGINNING] if isinstance(value, list | str) else value)[:BEGINNING]


def cut(whole: str) -> str:
    """As much of a text as is shown."""
    return whole if len(whole) <= SHOWN else f"{whole[: SHOWN - 3]}..."


def largest(scores: Sequence[Any]) -> int | None:
    """The place of the largest of two or more numbers; None where they are none."""
    found = [number_in(score) for score in scores]
    known = [score for score in found if score is not None]
    return known.index(max(known)) if len(known) == len(found) > 1 else None


def _whole(output: Output) -> Any:
    """All of an answer: its JSON where it is that, else text."""
    if output.value is not None:
        return output.value
    said = output.text or output.body.decode("utf-8", "replace")
    if not said.strip():
        raise Unreadable("the answer is empty")
    try:
        return parse(said)
    except Failure:
        return said


def _first_tensor(value: Any) -> Any:
    """The data of the first output of an Open Inference answer, None of any other answer."""
    outputs = value.get("outputs") if isinstance(value, dict) else None
    first = outputs[0] if isinstance(outputs, list) and outputs else None
    return first.get("data") if isinstance(first, dict) and "datatype" in first else None


def _depth(value: Any) -> int:
    return 1 + _depth(value[0]) if isinstance(value, list) and value else int(isinstance(value, list))
