"""Answers that are no answers, whatever is expected: what a model gives back whose arithmetic has broken down.

Broken weights or kernels make every logit NaN, and a server then writes one token again and again (often `!`, the
first of the vocabulary), or bytes that are no text. The limits are such that a short or emphatic answer passes.
"""

import math
import operator
from collections.abc import Sequence
from typing import Any

from pydantic import Field

from exporter.protocols.compare import flatten
from exporter.protocols.text import quote
from exporter.settings import Settings

#: Times a piece has to stand in a row, and characters it may have.
TIMES = 12
PIECE = 16
#: Replacement characters in a row. A single one is a character that max_tokens cut in two.
REPLACED = 8
#: Characters of an answer that are looked at.
SEEN = 4096
#: Types of elements that can be NaN.
FLOATS = ("FP16", "BF16", "FP32", "FP64")

_REPLACEMENT = "\ufffd"


class Sound(Settings):
    """Whether garbage passes."""

    allow_garbage: bool = Field(
        default=False,
        description="Whether an answer may be garbage: one short piece of text a dozen times and nothing else, nothing "
        "but replacement characters, NaN, nothing but infinities.",
    )


def in_text(text: str) -> str | None:
    """What is garbage about a text, in words; None where it may be an answer."""
    start = text[:SEEN]
    said = start.strip() or start
    letters = "".join(said.split())
    if len(letters) >= REPLACED and not letters.strip(_REPLACEMENT):
        return f"garbage: the answer is nothing but replacement characters ({len(letters)})"
    for length in range(1, min(PIECE, len(said) // TIMES) + 1):
        if said[length:] == said[:-length]:
            times, piece = len(said) // length, quote(said[:length].strip(), PIECE)
            return f'garbage: the answer is "{piece}" {times} times' if piece else "garbage: the answer is white space"
    return None


def in_tensor(datatype: Any, data: Any) -> str | None:
    """The same of the elements of a tensor, flat or nested. Some servers write NaN as null."""
    if datatype not in FLOATS or not isinstance(data, list):
        return None
    flat: Sequence[Any] = flatten(data) if data and isinstance(data[0], list) else data
    odd = next((place for place, wrong in enumerate(map(operator.ne, flat, flat)) if wrong), None)
    if odd is None and None in flat:
        odd = flat.index(None)
    if odd is not None:
        return f"garbage: element {odd} is NaN"
    if flat and all(isinstance(each, float) and math.isinf(each) for each in flat):
        return "garbage: every element is infinite"
    return None
