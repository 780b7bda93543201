"""Checks on numbers that a model gave back, flat or nested: how near they are to known ones, and their range."""

import sys
from collections.abc import Sequence
from typing import Any, Self

from pydantic import Field, model_validator

from exporter.protocols.compare import difference, flatten, show
from exporter.protocols.reading import kind
from exporter.settings import Settings, problem


class Range(Settings):
    """Numbers from `min` to `max`, both included."""

    min: float | None = Field(default=None, allow_inf_nan=False, description="Smallest number. Default: any.")
    max: float | None = Field(default=None, allow_inf_nan=False, description="Largest number. Default: any.")

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.min is not None and self.max is not None and self.min > self.max:
            raise problem(
                "range", "found min {low}, which is above max {high}; allowed: at most max", low=self.min, high=self.max
            )
        return self

    @property
    def given(self) -> bool:
        """Whether it leaves any number out."""
        return self.min is not None or self.max is not None

    def holds(self, number: float) -> bool:
        """Whether a number is in it; NaN is in none that leaves a number out."""
        return (self.min is None or number >= self.min) and (self.max is None or number <= self.max)

    def __str__(self) -> str:
        if self.min is not None and self.max is not None:
            return f"{self.min:g}" if self.min == self.max else f"{self.min:g} to {self.max:g}"
        if self.min is not None:
            return f"at least {self.min:g}"
        return "any" if self.max is None else f"at most {self.max:g}"


class Near(Settings):
    """How far numbers may be from the expected ones."""

    tolerance: float = Field(default=0.0, ge=0, description="How far a number may be from the expected one.")
    rtol: float = Field(
        default=0.0, ge=0, allow_inf_nan=False, description="The same as a part of the expected one, added to it."
    )


class NumberChecks(Near, Range):
    """What must hold of every number."""


def check_numbers(expect: NumberChecks, wanted: Sequence[Any] | None, data: Sequence[Any], where: str) -> list[str]:
    """What does not hold of numbers, flat or nested, in words: the first that is not the wanted one, and the first
    that is out of range, with how many there are.
    """
    flat = flatten(data)
    found: list[str] = []
    if wanted is not None:
        other = difference(flatten(wanted), flat, expect.tolerance, where, rtol=expect.rtol)
        found += [other] if other else []
    if expect.given:
        out = [place for place, value in enumerate(flat) if not _within(expect, value)]
        if out:
            more = f" (and {len(out) - 1} more)" if len(out) > 1 else ""
            found.append(f"{where}[{out[0]}] is {show(flat[out[0]])}, expected {expect}{more}")
    return found


def finite(value: Any) -> bool:
    """Whether a JSON value is a number that can be worked with."""
    # A comparison holds for no NaN, and an integer of any length can be compared.
    most = sys.float_info.max
    return isinstance(value, int | float) and not isinstance(value, bool) and -most <= value <= most


def instead(value: Any) -> str:
    """What stands where a number should, in words."""
    if value is None:
        return "null, which is how NaN is written by some servers"
    if isinstance(value, float):
        return "NaN" if value != value else "infinite"
    return "too large a number" if isinstance(value, int) and not isinstance(value, bool) else kind(value)


def shape_of(data: Any) -> list[int] | None:
    """The dimensions of nested lists, None where lists side by side are not of one length."""
    shape: list[int] = []
    level = [data]
    while level and any(isinstance(item, list) for item in level):
        sizes = {len(item) if isinstance(item, list) else -1 for item in level}
        if len(sizes) > 1:
            return None
        shape.append(sizes.pop())
        level = [inner for item in level for inner in item]
    return shape


def _within(range_: Range, value: Any) -> bool:
    return isinstance(value, int | float) and range_.holds(value)
