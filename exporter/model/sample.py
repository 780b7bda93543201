"""What is kept of an answer so that the next one can be held against it: little, whatever the answer's size.

Only the beginning of an answer is looked at, so taking a sample costs about as much for any answer.
"""

import math
import sys
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

from exporter.model.observation import Output

#: Characters of text, and steps through a structure, that are looked at.
TEXT_SEEN = 16_384
STEPS = 1024
#: Characters of text, and numbers spread over all that were looked at, that are kept.
TEXT_KEPT = 128
NUMBERS_KEPT = 64

#: Distances that are no difference: arithmetic in another order (another batch, another GPU) moves the last digits.
NEAR = 1e-3
NEAR_ANGLE = 1e-4

#: Numbers beyond this are infinite to a float.
_MOST = sys.float_info.max


@dataclass(frozen=True, slots=True, eq=False)
class Sample:
    """One answer. `length` and `count` are how much text and how many numbers were seen, `digest` is of all that text,
    and `whole` of all those numbers where each of them is whole.

    `angular`: the numbers are an embedding, of which the direction is what matters.
    """

    digest: int
    text: str
    length: int
    numbers: "array[float]"
    count: int
    whole: int | None = None
    angular: bool = False


def take(output: Output) -> Sample | None:
    """The sample of an answer; None of one without text and numbers."""
    found = _taken(output)
    return found if found.length or found.count else None


def _taken(output: Output) -> Sample:
    if output.vectors:
        return _sample("", list(islice(_flat(output.vectors), STEPS)), angular=True)
    if output.essence is not None:
        return _of_structure(output.essence)
    if output.text:
        return _sample(output.text[:TEXT_SEEN], [])
    if output.body:
        return _sample(output.body[:TEXT_SEEN].decode("utf-8", "replace"), [])
    return _sample("", []) if output.value is None else _of_structure(output.value)


def same(one: Sample, other: Sample) -> bool:
    """Whether two answers agree: in their text and whole numbers to the letter, in other numbers nearly."""
    if one.digest != other.digest or one.count != other.count:
        return False
    if one.whole is not None and other.whole is not None:
        return one.whole == other.whole
    return _apart(one, other) <= (NEAR_ANGLE if one.angular else NEAR)


def distance(one: Sample, other: Sample) -> float:
    """How far two answers are from each other, from 0 (alike) to 1, the same in both directions.

    Of texts the edits from one to the other per character of the longer, of embeddings one minus the cosine, of other
    numbers the length of the difference per sum of the lengths. An answer with text and numbers is as far as the
    farther of the two.
    """
    written = 0.0
    if one.text != other.text:
        written = edits(one.text, other.text) / max(len(one.text), len(other.text))
    found = max(written, _apart(one, other))
    if found == 0.0 and not same(one, other):
        # They differ somewhere behind what is kept.
        return 1 / max(one.length, other.length, one.count, other.count, 1)
    return found


def edits(one: str, other: str) -> int:
    """Levenshtein distance: characters to insert, remove or replace.

    A column of the table at a time, as the bits of one number (G. Myers 1999, in the form of H. Hyyrö 2003).
    """
    if not one:
        return len(other)
    places: dict[str, int] = {}
    for place, char in enumerate(one):
        places[char] = places.get(char, 0) | 1 << place
    mask, last = (1 << len(one)) - 1, 1 << (len(one) - 1)
    up, down, score = mask, 0, len(one)
    for char in other:
        equal = places.get(char, 0)
        diagonal = equal | down
        across = (((equal & up) + up) ^ up) | equal
        rises = (down | ~(across | up)) & mask
        falls = up & across
        score += bool(rises & last) - bool(falls & last)
        rises = rises << 1 | 1
        up = (falls << 1 | ~(diagonal | rises)) & mask
        down = rises & diagonal & mask
    return score


def _of_structure(value: Any) -> Sample:
    texts: list[str] = []
    numbers: list[float] = []
    room = TEXT_SEEN
    for leaf in _leaves(value):
        if isinstance(leaf, int | float) and not isinstance(leaf, bool) and -_MOST <= leaf <= _MOST:
            numbers.append(float(leaf))
        elif room > 0:
            # What is no number to work with, NaN among it, has to be the same to the letter.
            text = leaf[:room] if isinstance(leaf, str) else "a large number" if type(leaf) is int else str(leaf)
            room -= len(text) + 1
            texts.append(text)
    return _sample("\n".join(texts), numbers)


def _sample(text: str, numbers: Sequence[float], *, angular: bool = False) -> Sample:
    step = max(1, math.ceil(len(numbers) / NUMBERS_KEPT))
    return Sample(
        digest=hash(text),
        text=text[:TEXT_KEPT],
        length=len(text),
        numbers=array("d", numbers[::step]),
        count=len(numbers),
        whole=hash(tuple(numbers)) if not angular and all(map(float.is_integer, numbers)) else None,
        angular=angular,
    )


def _leaves(value: Any) -> Iterator[Any]:
    """Keys and values of a JSON value in an order that is its own, as far as STEPS lead."""
    waiting = [value]
    for _ in range(STEPS):
        if not waiting:
            return
        item = waiting.pop()
        if isinstance(item, dict):
            for key in sorted(islice(item, STEPS), reverse=True):
                waiting += (item[key], key)
        elif isinstance(item, list | tuple):
            waiting.extend(reversed(item[:STEPS]))
        else:
            yield item


def _flat(vectors: Sequence[Sequence[float]]) -> Iterator[float]:
    for vector in vectors:
        yield from map(float, vector)


def _apart(one: Sample, other: Sample) -> float:
    """The distance of the numbers."""
    if one.count != other.count or one.angular is not other.angular:
        return 1.0
    if one.numbers == other.numbers:
        return 0.0
    # Scaled before they are squared or added: those of large numbers would be infinite.
    largest = max(max(map(abs, one.numbers)), max(map(abs, other.numbers)))
    left, right = [number / largest for number in one.numbers], [number / largest for number in other.numbers]
    lengths = math.hypot(*left), math.hypot(*right)
    if not one.angular:
        return min(1.0, math.dist(left, right) / (lengths[0] + lengths[1]))
    if not all(lengths):
        return 1.0
    cosine = math.fsum((a / lengths[0]) * (b / lengths[1]) for a, b in zip(left, right, strict=True))
    return min(1.0, max(0.0, 1.0 - cosine))
