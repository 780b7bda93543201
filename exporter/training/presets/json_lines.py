"""JSON lines: an object in a line, whatever stands before it. Numbers are values, those in inner objects are called
`outer.inner`.
"""

import json
from collections.abc import Iterator
from typing import Any, Final

from exporter.model.training import Reading
from exporter.training.presets.numbers import share

_STEP: Final = ("step", "global_step", "iteration", "iter")
_EPOCH: Final = ("epoch",)
_PROGRESS: Final = ("progress",)
#: What loggers put beside a message. A heartbeat that brings nothing else is no value.
_OF_THE_LOGGER: Final = frozenset(
    {"time", "timestamp", "ts", "@timestamp", "asctime", "created", "msecs", "elapsed", "pid", "process", "thread",
     "tid", "line", "lineno", "level", "levelno", "rank", "local_rank", "world_size", "v", "version"}
)  # fmt: skip
_DEPTH: Final = 4
_decode = json.JSONDecoder().raw_decode


def json_lines(line: str) -> Reading | None:
    """Read one line."""
    start = line.find('{"')
    if start < 0:
        return None
    try:
        told, _ = _decode(line, start)
    except (ValueError, RecursionError):
        return None
    found = dict(_numbers(told, "", _DEPTH))
    step, epoch, progress = (_taken(found, names) for names in (_STEP, _EPOCH, _PROGRESS))
    if not found and step is epoch is progress is None:
        return None
    return Reading(
        step=None if step is None else int(step),
        epoch=epoch,
        progress=None if progress is None else share(progress, 100 if progress > 1 else 1),
        values=tuple(found.items()),
    )


def _numbers(told: dict[str, Any], before: str, depth: int) -> Iterator[tuple[str, float]]:
    for key, value in told.items():
        if isinstance(value, bool):
            continue
        if isinstance(value, int | float):
            if key not in _OF_THE_LOGGER:
                yield f"{before}{key}", _float(value)
        elif isinstance(value, dict) and depth > 1:
            yield from _numbers(value, f"{before}{key}.", depth - 1)


def _taken(found: dict[str, float], names: tuple[str, ...]) -> float | None:
    """The first of these that there is, if it is finite; none of them is a value."""
    taken = [number for name in names if (number := found.pop(name, None)) is not None and abs(number) < float("inf")]
    return taken[0] if taken else None


def _float(number: float) -> float:
    try:
        return float(number)
    except OverflowError:  # an integer of more than 308 digits
        return float("inf") if number > 0 else float("-inf")
