"""Scorers: what one answer is worth beside the expected one, and what all of them amount to. Pure, and picklable.

`mark` says what one example is worth, `total` what all marks are: the score with its 95 % interval. Of most scorers the
mark is a number and the score its mean; where every mark is 0 or 1 that is a proportion, and has Wilson's interval.
"""

import json
import math
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any, ClassVar, NamedTuple

from pydantic import TypeAdapter, ValidationError

from exporter.evaluation import answers, intervals
from exporter.evaluation.answers import Unreadable
from exporter.model.evaluation import Scoring
from exporter.protocols import patterns, values
from exporter.settings import shown

_REGEX: TypeAdapter[str] = TypeAdapter(patterns.Regex)
_JMESPATH: TypeAdapter[str] = TypeAdapter(values.JmesPath)

#: What an example is worth: a number, or a pair of classes (expected, answered).
Mark = float | tuple[str, str]


class Total(NamedTuple):
    """A score and its interval, None where too few examples were scored for one."""

    value: float
    interval: tuple[float, float] | None


class Scorer(ABC):
    """Base: the mean of marks, of which more is better."""

    name: ClassVar[str]
    lower_is_better: ClassVar[bool] = False
    #: Least and greatest score there can be; None: any.
    span: ClassVar[tuple[float, float] | None] = (0.0, 1.0)

    def unfit(self, expected: Any) -> str | None:
        """What is wrong with an expected value, in words; None when nothing is."""
        return None

    @abstractmethod
    def mark(self, answer: Any, expected: Any) -> Mark:
        """What an answer is worth. Raises `Unreadable`."""

    def total(self, marks: Sequence[Mark]) -> Total:
        """What at least one mark amounts to."""
        return _mean(_plain(marks), self.span)

    def value(self, marks: Sequence[Mark]) -> float:
        """The same without its interval."""
        return fmean(_plain(marks))


class Accuracy(Scorer):
    """The share of answers that are the expected class.

    Of an answer that is a list of numbers, one for each class, where the number of a class is expected, the largest
    counts.
    """

    name = "accuracy"

    def unfit(self, expected: Any) -> str | None:
        """A class is anything but nothing."""
        return "a class is expected, found null" if expected is None else None

    def mark(self, answer: Any, expected: Any) -> Mark:
        """1 or 0."""
        return float(_class(answer, expected) == answers.label(expected))


class ExactMatch(Scorer):
    """The share of answers that are the expected text to the letter."""

    name = "exact_match"

    def mark(self, answer: Any, expected: Any) -> Mark:
        """1 or 0."""
        return float(answers.text(answers.fitted(answer, expected)) == answers.text(expected))


@dataclass(frozen=True, slots=True)
class F1(Scorer):
    """The F1 of the classes: `average` over them is plain (macro), by how often each is expected (weighted), or of all
    examples together (micro).
    """

    average: str = "macro"
    name: ClassVar[str] = "f1"

    def unfit(self, expected: Any) -> str | None:
        """As of accuracy."""
        return Accuracy().unfit(expected)

    def mark(self, answer: Any, expected: Any) -> Mark:
        """The two classes."""
        return answers.label(expected), _class(answer, expected)

    def total(self, marks: Sequence[Mark]) -> Total:
        """The score; its interval is by bootstrap."""
        pairs = [mark for mark in marks if isinstance(mark, tuple)]
        return Total(self._score(pairs), intervals.bootstrap(pairs, self._score))

    def value(self, marks: Sequence[Mark]) -> float:
        """The score."""
        return self._score([mark for mark in marks if isinstance(mark, tuple)])

    def _score(self, pairs: Sequence[tuple[str, str]]) -> float:
        counted = Counter(pairs)
        right = {one: many for (one, other), many in counted.items() if one == other}
        wanted: Counter[str] = Counter()
        given: Counter[str] = Counter()
        for (one, other), many in counted.items():
            wanted[one] += many
            given[other] += many
        if self.average == "micro":
            return sum(right.values()) / len(pairs)
        classes = sorted(wanted | given)
        each = [2 * right.get(one, 0) / (wanted[one] + given[one]) for one in classes]
        if self.average == "weighted":
            return math.fsum(f1 * wanted[one] for f1, one in zip(each, classes, strict=True)) / len(pairs)
        return fmean(each)


class MeanAbsoluteError(Scorer):
    """The mean distance from the expected number; of a list of numbers the mean over them."""

    name = "mae"
    lower_is_better = True
    span = (0.0, math.inf)

    def unfit(self, expected: Any) -> str | None:
        """Numbers are needed."""
        return _no_numbers(expected)

    def mark(self, answer: Any, expected: Any) -> Mark:
        """The distance."""
        return fmean(abs(one - other) for one, other in _pairs(answer, expected))


class RootMeanSquareError(MeanAbsoluteError):
    """The root of the mean squared distance. Its interval is the root of that of the mean."""

    name = "rmse"

    def mark(self, answer: Any, expected: Any) -> Mark:
        """The squared distance."""
        try:
            found = fmean((one - other) ** 2 for one, other in _pairs(answer, expected))
        except OverflowError:
            raise Unreadable("the answer is too far away to be squared") from None
        return found

    def total(self, marks: Sequence[Mark]) -> Total:
        """The root of the mean."""
        mean = _mean(_plain(marks), self.span)
        interval = None if mean.interval is None else (math.sqrt(mean.interval[0]), math.sqrt(mean.interval[1]))
        return Total(math.sqrt(mean.value), interval)

    def value(self, marks: Sequence[Mark]) -> float:
        """The root of the mean."""
        return math.sqrt(super().value(marks))


class Cosine(Scorer):
    """The mean cosine similarity to the expected vector."""

    name = "cosine"
    span = (-1.0, 1.0)

    def unfit(self, expected: Any) -> str | None:
        """A vector with a direction is needed."""
        if not isinstance(expected, list) or (wrong := _no_numbers(expected)):
            return f"a list of numbers is expected, found {shown(expected)}"
        return wrong if any(answers.numbers(expected)) else "a vector of zeros has no direction"

    def mark(self, answer: Any, expected: Any) -> Mark:
        """The similarity."""
        one, other = map(list, zip(*_pairs(answer, expected), strict=True))
        if not any(one):
            raise Unreadable("the answer is a vector of zeros")
        # Scaled before they are squared: those of large numbers would be infinite.
        one, other = [_scaled(vector) for vector in (one, other)]
        similar = math.fsum(a * b for a, b in zip(one, other, strict=True)) / (math.hypot(*one) * math.hypot(*other))
        return min(1.0, max(-1.0, similar))


class Regex(Scorer):
    """The share of answers in which the expected regular expression is found."""

    name = "regex"

    def unfit(self, expected: Any) -> str | None:
        """A pattern that can be compiled is needed."""
        if not isinstance(expected, str):
            return f"a regular expression is expected, found {shown(expected)}"
        return _wrong(_REGEX, expected)

    def mark(self, answer: Any, expected: Any) -> Mark:
        """1 or 0."""
        try:
            return float(patterns.found(expected, answers.text(answers.fitted(answer, expected))))
        except TimeoutError:
            raise Unreadable("the regular expression takes too long on the answer") from None


class JmesPath(Scorer):
    """The share of answers of which the expected JMESPath expression is true; text may hold the JSON it looks at."""

    name = "jmespath"

    def unfit(self, expected: Any) -> str | None:
        """An expression that can be compiled is needed."""
        if not isinstance(expected, str):
            return f"a JMESPath expression is expected, found {shown(expected)}"
        return _wrong(_JMESPATH, expected)

    def mark(self, answer: Any, expected: Any) -> Mark:
        """1 or 0."""
        return float(values.find(expected, _json(answer)) is True)


class Command(Scorer):
    """The mean of what a program says of each example. It is asked elsewhere; this is what its marks amount to."""

    name = "command"
    span = None

    def mark(self, answer: Any, expected: Any) -> Mark:
        """Not here."""
        raise Unreadable("a program scores this")


SCORERS: Mapping[str, type[Scorer]] = {
    scorer.name: scorer
    for scorer in (
        Accuracy, ExactMatch, F1, MeanAbsoluteError, RootMeanSquareError, Cosine, Regex, JmesPath, Command,
    )
}  # fmt: skip


def scorer_of(scoring: Scoring) -> Scorer:
    """The scorer that an evaluation asks for."""
    return F1(scoring.average) if scoring.scorer == F1.name else SCORERS[scoring.scorer]()


def _class(answer: Any, expected: Any) -> str:
    """The class an answer names."""
    answer = answers.fitted(answer, expected)
    wanted = answers.number_in(expected)
    if isinstance(answer, list) and wanted is not None and wanted.is_integer():
        place = answers.largest(answer)
        answer = answer if place is None else place
    return answers.label(answer)


def _pairs(answer: Any, expected: Any) -> list[tuple[float, float]]:
    """Numbers of both, one by one."""
    found, wanted = answers.numbers(answers.fitted(answer, expected)), answers.numbers(expected)
    if len(found) != len(wanted):
        raise Unreadable(f"the answer has {len(found)} numbers, expected {len(wanted)}")
    return list(zip(found, wanted, strict=True))


def _no_numbers(expected: Any) -> str | None:
    try:
        return None if answers.numbers(expected) else "a number is expected, found an empty list"
    except Unreadable:
        return f"a number, or a list of numbers, is expected, found {shown(expected)}"


def _wrong(kind: TypeAdapter[str], expected: str) -> str | None:
    try:
        kind.validate_python(expected)
    except ValidationError as error:
        return str(error.errors(include_url=False)[0]["msg"])
    return None


def _json(answer: Any) -> Any:
    if isinstance(answer, str):
        try:
            return json.loads(answer)
        except (ValueError, RecursionError):
            return answer
    return answer


def _scaled(vector: list[float]) -> list[float]:
    most = max(map(abs, vector))
    return [each / most for each in vector]


def _plain(marks: Sequence[Mark]) -> list[float]:
    return [mark for mark in marks if not isinstance(mark, tuple)]


def _mean(marks: Sequence[float], span: tuple[float, float] | None) -> Total:
    value = fmean(marks)
    if all(mark in (0.0, 1.0) for mark in marks) and span in ((0.0, 1.0), None):
        return Total(value, intervals.wilson(int(sum(marks)), len(marks)))
    interval = intervals.student(marks)
    if interval is None or span is None:
        return Total(value, interval)
    return Total(value, (max(span[0], interval[0]), min(span[1], interval[1])))
