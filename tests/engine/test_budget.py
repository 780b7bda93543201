"""Budgets by themselves: what is reserved, charged and left, whatever the order of things."""

from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.engine.budget import Budgets, Hold
from exporter.model.cost import NOTHING, Allowance, Balance, Cost

HOUR, DAY = 3600.0, 86400.0
NOON = 1_700_000_000.0 - 1_700_000_000.0 % DAY + DAY / 2


@dataclass
class Till:
    """Budgets on a clock of ours, and what they told."""

    now: float = NOON
    told: dict[str, Balance | None] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.budgets = Budgets(lambda: self.now, self.told.__setitem__)

    def take(self, overall: Allowance | None = None, **each: Allowance) -> None:
        self.budgets.take(each, overall)

    def run(self, title: str, cost: Cost, used: Cost | None = None) -> bool:
        hold = self.budgets.reserve(title, cost)
        if hold is not None:
            self.budgets.settle(hold, cost if used is None else used)
        return hold is not None


def tokens(number: int, per: float = DAY) -> Allowance:
    return Allowance(number, None, per)


def requests(number: int, per: float = DAY) -> Allowance:
    return Allowance(None, number, per)


@pytest.fixture
def till() -> Till:
    return Till()


def test_without_a_budget_there_is_no_end(till: Till) -> None:
    assert all(till.run("a", Cost(10**9)) for _ in range(3))
    assert till.told == {}


def test_the_worst_case_is_reserved_and_what_was_used_is_charged(till: Till) -> None:
    till.take(a=tokens(100))
    first = till.budgets.reserve("a", Cost(60))
    assert first is not None
    assert till.budgets.reserve("a", Cost(60)) is None
    till.budgets.settle(first, Cost(20))
    assert till.budgets.reserve("a", Cost(80)) is not None
    balance = till.told["a"]
    assert balance is not None
    assert (balance.remaining_tokens, balance.remaining_requests) == (80, None)


def test_requests_are_counted_too(till: Till) -> None:
    till.take(a=requests(3))
    assert [till.run("a", Cost(0)) for _ in range(5)] == [True, True, True, False, False]
    assert till.told["a"].remaining_requests == 0  # type: ignore[union-attr]


def test_what_is_given_back_unused_can_be_had_again(till: Till) -> None:
    till.take(a=requests(1))
    assert till.run("a", Cost(0), NOTHING)
    assert till.run("a", Cost(0))
    assert not till.run("a", Cost(0))


def test_settling_again_changes_nothing(till: Till) -> None:
    till.take(a=tokens(100))
    hold = till.budgets.reserve("a", Cost(50))
    assert hold is not None
    till.budgets.settle(hold, Cost(50))
    till.budgets.settle(hold, Cost(50))
    assert till.told["a"].spent == Cost(50)  # type: ignore[union-attr]


def test_of_several_budgets_all_have_room_or_none_is_touched(till: Till) -> None:
    till.take(tokens(100), a=tokens(1000), b=tokens(1000))
    assert till.run("a", Cost(90))
    assert not till.run("b", Cost(20))
    assert till.told["b"].spent == NOTHING  # type: ignore[union-attr]
    till.take(None, a=tokens(1000), b=tokens(1000))
    assert till.run("b", Cost(1000))  # nothing of it was left reserved


def test_windows_are_hours_and_days_of_utc(till: Till) -> None:
    till.now = NOON + 1800
    till.take(tokens(100, HOUR), a=tokens(100, DAY))
    assert till.budgets.roll(till.now) == NOON + HOUR
    assert till.run("b", Cost(100))
    assert not till.run("b", Cost(1))
    till.now = NOON + HOUR - 0.001
    assert not till.run("b", Cost(1))
    till.now = NOON + HOUR
    assert till.run("a", Cost(100))
    till.now = NOON + 2 * HOUR
    assert not till.run("a", Cost(1))  # the day goes on
    till.now = NOON + DAY / 2
    assert till.run("a", Cost(100))
    assert till.told["a"].until == NOON + DAY / 2 + DAY  # type: ignore[union-attr]


def test_the_end_of_a_window_is_told_without_a_run(till: Till) -> None:
    till.take(a=tokens(100, HOUR))
    till.run("a", Cost(70))
    till.now += HOUR
    till.budgets.roll(till.now)
    assert till.told["a"].remaining_tokens == 100  # type: ignore[union-attr]


def test_a_reservation_that_lasts_into_the_next_window_counts_there(till: Till) -> None:
    till.take(a=tokens(100, HOUR))
    hold = till.budgets.reserve("a", Cost(60))
    till.now += HOUR
    assert hold is not None
    assert till.budgets.reserve("a", Cost(60)) is None
    till.budgets.settle(hold, Cost(60))
    assert till.budgets.reserve("a", Cost(60)) is None
    assert till.budgets.reserve("a", Cost(40)) is not None


def test_another_limit_keeps_what_is_spent(till: Till) -> None:
    till.take(tokens(100), a=tokens(100))
    till.run("a", Cost(60))
    till.take(tokens(500), a=tokens(50))
    assert till.told["a"].remaining_tokens == 0  # type: ignore[union-attr]
    assert not till.run("a", Cost(1))
    till.take(tokens(500), a=tokens(70, HOUR))
    assert till.told["a"].remaining_tokens == 10  # type: ignore[union-attr]
    assert till.told[""].remaining_tokens == 440  # type: ignore[union-attr]


def test_a_budget_that_is_gone_is_told(till: Till) -> None:
    till.take(tokens(1), a=tokens(1))
    till.take()
    assert till.told == {"a": None, "": None}
    assert till.run("a", Cost(100))


def test_a_clock_that_is_put_back_opens_no_window_again(till: Till) -> None:
    till.take(a=tokens(100, HOUR))
    till.run("a", Cost(100))
    till.now -= 1
    assert not till.run("a", Cost(1))
    till.now = NOON
    assert not till.run("a", Cost(1))


def test_a_clock_that_was_far_ahead_does_not_close_it_for_ever(till: Till) -> None:
    till.now = NOON + 1000 * DAY
    till.take(a=tokens(100))
    till.run("a", Cost(100))
    till.now = NOON
    assert till.run("a", Cost(100))


def test_a_run_that_was_dearer_than_its_worst_case_is_charged_in_full(till: Till) -> None:
    till.take(a=tokens(100))
    assert till.run("a", Cost(60), Cost(250))
    assert till.told["a"].remaining_tokens == 0  # type: ignore[union-attr]
    assert not till.run("a", Cost(1))


@given(
    limit=st.integers(1, 500),
    runs=st.lists(st.tuples(st.integers(0, 200), st.integers(0, 400)), max_size=40),
)
def test_one_after_the_other_at_most_one_run_goes_over(limit: int, runs: list[tuple[int, int]]) -> None:
    """Whatever a server makes of a request: its worst case may be wrong."""
    till = Till()
    till.take(a=tokens(limit))
    spent, dearest = 0, 0
    for cost, used in runs:
        if till.run("a", Cost(cost), Cost(used)):
            spent, dearest = spent + used, max(dearest, used)
    assert spent <= limit + dearest


COSTS = st.integers(0, 60)
#: What may happen: a run is admitted, or it is not; one of those under way ends, with a share of its worst case used or
#: (None) nothing asked; time goes by; the config is read again.
STEPS = st.one_of(
    st.tuples(st.just("reserve"), st.sampled_from("ab"), COSTS),
    st.tuples(st.just("reserve"), st.sampled_from("ab"), COSTS),
    st.tuples(st.just("settle"), st.integers(0, 20), st.none() | st.floats(0.5, 1)),
    st.tuples(st.just("settle"), st.integers(0, 20), st.none() | st.floats(0.5, 1)),
    st.tuples(st.just("wait"), st.sampled_from([1.0, 600.0, HOUR]), st.none()),
    st.tuples(st.just("reload"), st.none(), st.none()),
)


def adds_up(till: Till) -> None:
    """What is reserved and what was charged is within each budget, and what is told of it too."""
    for budget in till.budgets._budgets():
        assert min(budget.held.tokens, budget.held.requests, budget.spent.tokens, budget.spent.requests) >= 0
        assert budget.allowance.covers(budget.held + budget.spent)
    for balance in till.told.values():
        assert balance is not None
        assert all(left is None or left >= 0 for left in (balance.remaining_tokens, balance.remaining_requests))


@given(
    each=st.integers(1, 150),
    overall=st.integers(1, 200),
    count=st.integers(1, 6),
    steps=st.lists(STEPS, min_size=20, max_size=80),
)
def test_no_order_of_things_spends_more_than_a_budget(each: int, overall: int, count: int, steps: list[Any]) -> None:
    """`a` has a budget of its own and `b` has none, and both share one; no run uses more than its worst case."""
    till, under_way, charged = Till(), list[tuple[str, Hold]](), dict[tuple[str, int], Cost]()
    limits = {"a": Allowance(each, count, HOUR), "": Allowance(overall, None, DAY)}
    till.take(limits[""], a=limits["a"])
    for step, one, other in steps:
        if step == "reserve":
            hold = till.budgets.reserve(one, Cost(other))
            under_way += [] if hold is None else [(one, hold)]
        elif step == "settle" and under_way:
            title, hold = under_way.pop(one % len(under_way))
            used = NOTHING if other is None else Cost(int(hold.cost.tokens * other), 1)
            till.budgets.settle(hold, used)
            for name in {title, ""} & limits.keys():
                window = name, int(till.now // limits[name].per)
                charged[window] = charged.get(window, NOTHING) + used
        elif step == "wait":
            till.now += one
            assert till.budgets.roll(till.now) > till.now
        elif step == "reload":
            till.take(limits[""], a=limits["a"])
        for (name, _), spent in charged.items():
            assert spent.tokens <= (limits[name].tokens or 0), "never over"
            assert name == "" or spent.requests <= count
        adds_up(till)
    for _, hold in under_way:
        till.budgets.settle(hold, NOTHING)
    assert all(budget.held == NOTHING for budget in till.budgets._budgets()), "nothing stays reserved"
