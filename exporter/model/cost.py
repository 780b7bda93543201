"""What canaries use, and how much of it they may."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Cost:
    """Tokens, read and written together, and requests that a model has to answer.

    Of a job: the most that one attempt uses.
    """

    tokens: int = 0
    requests: int = 1

    def __add__(self, other: "Cost") -> "Cost":
        return Cost(self.tokens + other.tokens, self.requests + other.requests)

    def __sub__(self, other: "Cost") -> "Cost":
        return Cost(self.tokens - other.tokens, self.requests - other.requests)

    def times(self, number: int) -> "Cost":
        """The cost of doing it again and again."""
        return Cost(self.tokens * number, self.requests * number)

    def most(self, other: "Cost") -> "Cost":
        """The greater of each."""
        return Cost(max(self.tokens, other.tokens), max(self.requests, other.requests))


NOTHING = Cost(0, 0)
ONE_REQUEST = Cost(0, 1)


@dataclass(frozen=True, slots=True)
class Allowance:
    """A budget as the config has it: what may be used in each window of `per` seconds. None: as much as you like."""

    tokens: int | None
    requests: int | None
    per: float

    def covers(self, cost: Cost) -> bool:
        """Whether that much may be used in one window."""
        return (self.tokens is None or cost.tokens <= self.tokens) and (
            self.requests is None or cost.requests <= self.requests
        )


@dataclass(frozen=True, slots=True)
class Balance:
    """Where a budget stands: what was charged to it in the present window, which ends at `until`, Unix time."""

    allowance: Allowance
    spent: Cost
    until: float

    @property
    def remaining_tokens(self) -> int | None:
        """Tokens that are left; None where they are not limited."""
        return None if self.allowance.tokens is None else max(0, self.allowance.tokens - self.spent.tokens)

    @property
    def remaining_requests(self) -> int | None:
        """Requests that are left; None where they are not limited."""
        return None if self.allowance.requests is None else max(0, self.allowance.requests - self.spent.requests)
