"""Embeddings: how answers hold them, and checks on them. Nothing here knows a server; rankings are in rankings.py.

A vector is a list of numbers, or (OpenAI's `encoding_format: base64`) base64 of little-endian float32. One that holds
NaN, infinity or null (which is how some JSON writers put NaN) is no vector: that is `malformed`, whatever is expected.
"""

import base64
import binascii
import math
import re
import struct
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Annotated, Any, Self

from pydantic import BeforeValidator, Field, ValidationInfo, WithJsonSchema, model_validator

from exporter.model.failure import Failure, Reason, joined
from exporter.protocols.numbers import Range, finite, instead
from exporter.protocols.reading import kind, parse
from exporter.protocols.text import quote
from exporter.settings import Count, Settings, problem, read_text

Vector = tuple[float, ...]

_NAN = re.compile(rb"[\[,:]\s*(NaN|-?Infinity)\b")


# Settings


def _vectors(value: Any, info: ValidationInfo) -> Any:
    allowed = "allowed: a list of numbers, a list of such lists, or {file: PATH} of a JSON file that holds either"
    if isinstance(value, dict) and list(value) == ["file"]:
        try:
            value = parse(read_text(value, info))
        except Failure as failure:
            raise problem("vector", f"the file is not JSON: {failure.detail}; {allowed}") from None
    if not isinstance(value, list) or not value:
        raise problem("vector", f"found {{found}}; {allowed}", found=value)
    rows = value if isinstance(value[0], list) else [value]
    try:
        vectors = read_vectors(rows)
    except Failure as failure:
        raise problem("vector", f"{failure.detail}; {allowed}") from None
    if not all(map(any, vectors)):
        raise problem("vector", f"found a vector of zeros, which has no direction; {allowed}")
    return vectors


_ROW = {"type": "array", "items": {"type": "number"}, "minItems": 1}
_FILE = {
    "type": "object",
    "properties": {"file": {"type": "string", "minLength": 1}},
    "required": ["file"],
    "additionalProperties": False,
}

#: Vectors for the first inputs, in order: one, a list of them, or `{file: PATH}` of JSON that holds either.
Vectors = Annotated[
    list[Vector],
    BeforeValidator(_vectors),
    WithJsonSchema({"oneOf": [_ROW, {"type": "array", "items": _ROW, "minItems": 1}, _FILE]}),
]


class NormRange(Range):
    """A Euclidean norm: one number with a tolerance, or a range."""

    value: float | None = Field(default=None, ge=0, allow_inf_nan=False, description="The norm.")
    tolerance: float = Field(default=0.01, ge=0, allow_inf_nan=False, description="How far from `value` it may be.")

    @model_validator(mode="after")
    def _one(self) -> Self:
        if (self.value is None) == (self.min is None and self.max is None):
            raise problem("norm", "needs exactly one of value and {min, max}")
        return self

    def holds(self, number: float) -> bool:
        """Whether a norm is the expected one."""
        return super().holds(number) if self.value is None else abs(number - self.value) <= self.tolerance

    def __str__(self) -> str:
        return super().__str__() if self.value is None else f"{self.value:g} (tolerance {self.tolerance:g})"


def _norm(value: Any) -> Any:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return {"value": value}
    if isinstance(value, dict | NormRange):
        return value
    raise problem("norm", "found {found}; allowed: a number, {value, tolerance} or {min, max}", found=value)


#: `{value, tolerance}` or `{min, max}`, or the value alone.
Norm = Annotated[NormRange, BeforeValidator(_norm, json_schema_input_type=float | NormRange)]


class Cosine(Settings):
    """How near vectors must be to ones that are known to be right."""

    to: Vectors = Field(
        description="The right vector of the first input, or a list of them for the first inputs, or {file: PATH} of "
        "a JSON file that holds either."
    )
    at_least: float = Field(default=0.99, ge=-1, le=1, description="Smallest cosine similarity.")


class VectorExpect(Settings):
    """What must hold of every vector."""

    dimension: Count | None = Field(default=None, description="Numbers in a vector.")
    count: Count | None = Field(default=None, description="How many vectors there must be.")
    norm: Norm | None = Field(
        default=None,
        description="Euclidean norm: {value, tolerance} or {min, max}, or a number, such as 1 for normalised vectors.",
    )
    cosine: Cosine | None = Field(default=None, description="How near vectors must be to known ones.")


# Reading


def parse_numbers(body: bytes) -> Any:
    """The JSON of an answer that is numbers. Raises `Failure` (malformed), which tells NaN by its name."""
    try:
        return parse(body)
    except Failure:
        if found := _NAN.search(body):
            name = found[1].decode()
            raise Failure(Reason.MALFORMED, f"the answer holds {name}, where there have to be numbers") from None
        raise


def read_vectors(rows: Sequence[Any]) -> list[Vector]:
    """Vectors from what an answer holds in their places, in its order.

    Raises `Failure`: `empty` for none, or for one without numbers, `malformed` for anything that is no vector.
    """
    if not rows:
        raise Failure(Reason.EMPTY, "the answer holds no vector")
    return [_vector(row, f"vector {place}") for place, row in enumerate(rows)]


def _vector(row: Any, name: str) -> Vector:
    if isinstance(row, str):
        row = _decoded(row, name)
    if not isinstance(row, list | tuple):
        raise Failure(Reason.MALFORMED, f"{name} is {kind(row)}; a list of numbers was expected")
    if not row:
        raise Failure(Reason.EMPTY, f"{name} is empty")
    for place, number in enumerate(row):
        if isinstance(number, list):
            raise Failure(Reason.MALFORMED, f"{name} is a list of lists: is it a vector for each token?")
        if not finite(number):
            raise Failure(Reason.MALFORMED, f"element {place} of {name} is {instead(number)}")
    return tuple(map(float, row))


def _decoded(text: str, name: str) -> Vector:
    try:
        data = base64.b64decode(text, validate=True)
        return struct.unpack(f"<{len(data) // 4}f", data)
    except (binascii.Error, ValueError, struct.error):
        raise Failure(Reason.MALFORMED, f"{name} is a string, and not base64 of float32: {quote(text, 60)}") from None


# Checks


def check_vectors(expect: VectorExpect, vectors: Sequence[Sequence[float]]) -> str | None:
    """What does not hold of vectors that `read_vectors` gave back, in words; None when everything does."""
    found: list[str] = []
    if expect.count is not None and len(vectors) != expect.count:
        found.append(f"there are {len(vectors)} vectors, expected {expect.count}")
    for check in (_check_dimension, _check_norm, _check_cosine):
        found += islice(check(expect, vectors), 1)  # of many vectors that are wrong alike, one is enough
    return joined(found) if found else None


def _check_dimension(expect: VectorExpect, vectors: Sequence[Sequence[float]]) -> Iterator[str]:
    for place, vector in enumerate(vectors):
        if expect.dimension is not None and len(vector) != expect.dimension:
            yield f"vector {place} has {len(vector)} dimensions, expected {expect.dimension}"


def _check_norm(expect: VectorExpect, vectors: Sequence[Sequence[float]]) -> Iterator[str]:
    for place, vector in enumerate(vectors):
        if expect.norm is not None and not expect.norm.holds(norm := math.hypot(*vector)):
            yield f"the norm of vector {place} is {norm:.4g}, expected {expect.norm}"


def _check_cosine(expect: VectorExpect, vectors: Sequence[Sequence[float]]) -> Iterator[str]:
    if expect.cosine is None:
        return
    if len(vectors) < len(expect.cosine.to):
        yield f"there are {len(vectors)} vectors to compare with {len(expect.cosine.to)} known ones"
    for place, (known, vector) in enumerate(zip(expect.cosine.to, vectors, strict=False)):
        if len(known) != len(vector):
            yield f"vector {place} has {len(vector)} dimensions, the known one {len(known)}"
            continue
        found = cosine(known, vector)
        if found is None:
            yield f"vector {place} is all zeros"
        elif not found >= expect.cosine.at_least:
            least = f"expected at least {expect.cosine.at_least:g}"
            yield f"the cosine of vector {place} to the known one is {found:.4f}, {least}"


def cosine(left: Sequence[float], right: Sequence[float]) -> float | None:
    """Cosine similarity of two vectors of the same dimension; None where one has no direction."""
    lengths = math.hypot(*left), math.hypot(*right)
    if not all(lengths):
        return None
    # Divided before they are multiplied: the product of large numbers would be infinite.
    return math.fsum((a / lengths[0]) * (b / lengths[1]) for a, b in zip(left, right, strict=True))
