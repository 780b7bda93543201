"""Scores of the parts of a data set: of the examples that have a tag. Pure."""

from collections.abc import Sequence
from typing import NamedTuple

from exporter.evaluation.ask import Asked
from exporter.evaluation.scorers import Scorer


class Part(NamedTuple):
    """The examples with a tag: how many there are and were scored, and what the latter amount to."""

    tag: str
    examples: int
    scored: int
    value: float | None


def by_tag(asked: Sequence[Asked], scorer: Scorer) -> list[Part]:
    """A part for each tag, in the order of the data set."""
    found: dict[str, list[Asked]] = {}
    for each in asked:
        for tag in dict.fromkeys(each.example.tags):
            found.setdefault(tag, []).append(each)
    parts = []
    for tag, tagged in found.items():
        marks = [each.mark for each in tagged if each.mark is not None]
        parts.append(Part(tag, len(tagged), len(marks), scorer.value(marks) if marks else None))
    return parts
