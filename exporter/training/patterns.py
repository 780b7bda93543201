"""Patterns of the operator's: what a line tells by named groups, and which lines tell the end."""

import re
from collections.abc import Mapping
from math import isfinite
from typing import Final

from exporter.model.training import MAX_NAMES, Outcome, Reading
from exporter.protocols import patterns
from exporter.settings import shown
from exporter.training.presets.numbers import share, share_of_epochs

#: Groups that are no values. `steps` and `epochs` are how many there will be.
PLACES: Final = frozenset({"step", "steps", "epoch", "epochs", "progress"})


def check(regex: str) -> None:
    """Raise ValueError, with a message for people, for a pattern that tells nothing."""
    _check_syntax(regex)
    groups = set(re.compile(regex).groupindex)
    if not groups:
        raise ValueError(f"{shown(regex)} has no named group; a value is a group of its name, such as (?P<loss>\\S+)")
    if len(groups & {"name", "value"}) == 1:
        raise ValueError(f"{shown(regex)} has only one of the groups name and value, which go together")


class Pattern:
    """Reads lines by a pattern, searched for again and again in each. A group of any other name than PLACES is a value
    of that name; the groups `name` and `value` together are one whose name the log tells. What is no number is left
    out. `progress` is 0 to 1, or in percent.
    """

    __slots__ = ("_regex",)

    def __init__(self, regex: str) -> None:
        check(regex)
        self._regex = regex

    def __call__(self, line: str) -> Reading | None:
        places: dict[str, float] = {}
        values: dict[str, float] = {}
        for groups in patterns.groups(self._regex, line, MAX_NAMES):
            name = groups.pop("name", None) if "value" in groups else None
            for group, text in groups.items():
                number = _number(text)
                if number is None:
                    continue
                if group in PLACES:
                    if isfinite(number):
                        places[group] = number
                elif group != "value":
                    values[group] = number
                elif name:
                    values[name] = number
        if not places and not values:
            return None
        step, epoch = places.get("step"), places.get("epoch")
        return Reading(
            step=None if step is None else int(step),
            epoch=epoch,
            progress=_progress(places),
            values=tuple(values.items()),
        )


class Ends:
    """Which outcome a line tells, by a pattern for each."""

    __slots__ = ("_patterns",)

    def __init__(self, ends: Mapping[Outcome, str]) -> None:
        for regex in ends.values():
            _check_syntax(regex)
        self._patterns = tuple(ends.items())

    def __call__(self, line: str) -> Outcome | None:
        for outcome, regex in self._patterns:
            if patterns.found(regex, line):
                return outcome
        return None


def _check_syntax(regex: str) -> None:
    if why := patterns.refused(regex):
        raise ValueError(f"{shown(regex)} is not a regular expression: {why}")


def _progress(places: Mapping[str, float]) -> float | None:
    progress = places.get("progress")
    if progress is not None:
        return share(progress, 100 if progress > 1 else 1)
    step, steps, epoch, epochs = (places.get(name) for name in ("step", "steps", "epoch", "epochs"))
    within = None if step is None or steps is None else share(step, steps)
    if epoch is not None and epochs is not None:
        return share_of_epochs(epoch, epochs, within)
    return within


def _number(text: str | None) -> float | None:
    if not text:
        return None
    try:
        return float(text.rstrip("%"))
    except ValueError:
        return None
