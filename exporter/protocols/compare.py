"""Whether numbers and structures from a model are the expected ones. Pure, never recursive: data comes from peers."""

import math
from collections.abc import Sequence
from typing import Any

from exporter.protocols.reading import kind
from exporter.protocols.text import quote


def difference(
    expected: Any, found: Any, tolerance: float = 0.0, where: str = "value", *, rtol: float = 0.0
) -> str | None:
    """The first place where two JSON values differ, in words; None when they agree.

    Numbers agree when they are at most `tolerance` and `rtol` times the expected one apart; a boolean is not a number;
    objects may hold further keys.
    """
    waiting = [(where, expected, found)]
    while waiting:
        place, left, right = waiting.pop()
        if isinstance(left, dict) and isinstance(right, dict):
            for key in reversed(left):
                if key not in right:
                    return f"{place} has no key {quote(str(key), 60)}"
                waiting.append((f"{place}.{quote(str(key), 60)}", left[key], right[key]))
        elif isinstance(left, list | tuple) and isinstance(right, list):
            if len(left) != len(right):
                return f"{place} has {len(right)} elements, expected {len(left)}"
            waiting.extend((f"{place}[{index}]", left[index], right[index]) for index in reversed(range(len(left))))
        elif not _equal(left, right, tolerance, rtol):
            allowed = [f"{name} {value:g}" for name, value in (("tolerance", tolerance), ("rtol", rtol)) if value]
            near = f" ({', '.join(allowed)})" if allowed else ""
            return f"{place} is {show(right)}, expected {show(left)}{near}"
    return None


def flatten(data: Sequence[Any]) -> list[Any]:
    """The elements of a tensor written flat or nested, in row-major order; booleans become 0 and 1."""
    flat: list[Any] = []
    waiting = [iter(data)]
    while waiting:
        for item in waiting[-1]:
            if isinstance(item, list | tuple):
                waiting.append(iter(item))
                break
            flat.append(int(item) if isinstance(item, bool) else item)
        else:
            waiting.pop()
    return flat


def show(value: Any) -> str:
    """A value for people: scalars as JSON has them, containers by type."""
    if isinstance(value, str):
        return f'"{quote(value, 60)}"'
    if value is None or isinstance(value, dict | list | tuple):
        return kind(list(value) if isinstance(value, tuple) else value)
    if isinstance(value, bool):
        return "true" if value else "false"
    # int() of a very long number is possible, its text is not.
    return f"{value:g}" if isinstance(value, float) else str(value) if abs(value) < 10**60 else "a very large number"


def _equal(left: Any, right: Any, tolerance: float, rtol: float) -> bool:
    if isinstance(left, bool) or isinstance(right, bool):
        return left is right
    if isinstance(left, int | float) and isinstance(right, int | float):
        try:
            apart = abs(left - right)
            # Infinity is as near to infinity as to anything else.
            return left == right or (apart <= tolerance + rtol * abs(left) and math.isfinite(apart))
        except OverflowError:
            return False
    return type(left) is type(right) and bool(left == right)
