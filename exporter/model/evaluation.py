"""Golden sets: what an evaluation asks, and how the answers are judged."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from exporter.model.cost import ONE_REQUEST, Cost
from exporter.model.endpoint import Tls
from exporter.model.observation import Observation
from exporter.model.secret import Secret


@dataclass(frozen=True, slots=True)
class Source:
    """Where a data set is: a `path`, or a `url` that is asked with `headers`. `form` is `jsonl` or `csv`; at most
    `limit` bytes are read.
    """

    name: str
    form: str
    limit: int
    path: str = ""
    url: str = ""
    headers: tuple[tuple[str, Secret], ...] = ()
    tls: Tls = field(default_factory=Tls)


@dataclass(frozen=True, slots=True)
class Scoring:
    """How answers are judged. `scorer` is the name of one, or `command` with the program to start; `answer` is where in
    the server's JSON the answer stands (JMESPath), `""` where its protocol knows that.
    """

    scorer: str
    command: tuple[str, ...] = ()
    average: str = "macro"
    answer: str = ""


@dataclass(frozen=True, slots=True)
class Threshold:
    """The worst score that is good: `bound` itself, or `drop` worse than the one kept in the file `baseline`."""

    bound: float | None = None
    drop: float = 0.0
    baseline: str = ""


@dataclass(frozen=True, slots=True)
class Question:
    """An example as its target is asked it: what asks, and the most that asking it once uses."""

    ask: Callable[[Any], Awaitable[Observation]]
    cost: Cost = ONE_REQUEST


class Unusable(Exception):
    """An input that cannot be asked. `problems` says all that is wrong with it: (path below `input`, message)."""

    def __init__(self, problems: tuple[tuple[str, str], ...]) -> None:
        super().__init__(problems)
        self.problems = problems


#: Makes a question of an example's `input`. Raises `Unusable`.
MakeQuestion = Callable[[Mapping[str, Any]], Question]


@dataclass(frozen=True, slots=True)
class Evaluation:
    """All there is to know of an `evaluate` probe."""

    source: Source
    scoring: Scoring
    question: MakeQuestion
    threshold: Threshold = Threshold()
    min_coverage: float = 0.95
    in_flight: int = 1
    save: str = ""
