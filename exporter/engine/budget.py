"""Budgets: the worst case of a run is reserved before it starts, what it used is charged when it has ended. Pure.

A window is an hour or a day of UTC. What is reserved counts against every window it lasts into, so that at no moment
more is charged and reserved than a budget allows; a run that used more than its worst case is charged all of it, and
the next one then waits for the window that has room.
"""

from collections.abc import Callable, Iterator, Mapping
from math import floor, inf

from exporter.model.cost import NOTHING, Allowance, Balance, Cost

#: Hears where a budget stands after a change: its target's title (`""` for all together), None when it is gone.
Tell = Callable[[str, Balance | None], None]


class Budget:
    """One budget. Times are Unix time, in seconds."""

    __slots__ = ("allowance", "held", "spent", "title", "_window")

    def __init__(self, title: str, allowance: Allowance, now: float) -> None:
        self.title = title
        self.allowance = allowance
        self.held = self.spent = NOTHING
        self._window = floor(now / allowance.per)

    @property
    def until(self) -> float:
        """The end of the present window."""
        return (self._window + 1) * self.allowance.per

    def balance(self) -> Balance:
        """Where it stands, runs under way left out."""
        return Balance(self.allowance, self.spent, self.until)

    def change(self, allowance: Allowance, now: float) -> None:
        """Put another limit in force. What was spent stays spent, also when the windows become others."""
        if allowance.per != self.allowance.per:
            self._window = floor(now / allowance.per)
        self.allowance = allowance

    def roll(self, now: float) -> bool:
        """Begin the window of `now`, if that is another one; True then."""
        window = floor(now / self.allowance.per)
        # A clock that is put back by a little opens no window again; one that was far ahead does not close it for ever.
        if window in (self._window, self._window - 1):
            return False
        self._window, self.spent = window, NOTHING
        return True

    def admits(self, cost: Cost) -> bool:
        """Whether there is room for a run's worst case."""
        return self.allowance.covers(self.spent + self.held + cost)


class Hold:
    """A worst case that is reserved until it is settled."""

    __slots__ = ("budgets", "cost", "open")

    def __init__(self, budgets: tuple[Budget, ...], cost: Cost) -> None:
        self.budgets = budgets
        self.cost = cost
        self.open = True


class Budgets:
    """The budget of each target that has one, by its title, and that of all together."""

    def __init__(self, wall: Callable[[], float], tell: Tell) -> None:
        self._wall = wall
        self._tell = tell
        self._each: dict[str, Budget] = {}
        self._all: Budget | None = None

    def take(self, allowances: Mapping[str, Allowance], overall: Allowance | None) -> None:
        """Make these the budgets. One that was there before keeps what is spent of it."""
        now = self._wall()
        for title in self._each.keys() - allowances.keys():
            del self._each[title]
            self._tell(title, None)
        for title, allowance in allowances.items():
            self._each[title] = self._changed(self._each.get(title), title, allowance, now)
        if overall is not None:
            self._all = self._changed(self._all, "", overall, now)
        elif self._all is not None:
            self._all = None
            self._tell("", None)

    def reserve(self, title: str, cost: Cost) -> Hold | None:
        """Reserve a run's worst case in every budget that it falls under, or in none: None where one has no room."""
        own = self._each.get(title)
        budgets = tuple(budget for budget in (own, self._all) if budget is not None)
        now = self._wall()
        for budget in budgets:
            self._roll(budget, now)
        if not all(budget.admits(cost) for budget in budgets):
            return None
        for budget in budgets:
            budget.held += cost
        return Hold(budgets, cost)

    def settle(self, hold: Hold, used: Cost) -> None:
        """Give a reservation back, and charge what was used. Once; later calls do nothing."""
        if not hold.open:
            return
        hold.open = False
        now = self._wall()
        for budget in hold.budgets:
            self._roll(budget, now)
            budget.held -= hold.cost
            budget.spent += used
            self._tell(budget.title, budget.balance())

    def roll(self, now: float) -> float:
        """Begin the windows whose time has come. Returns when the next one ends; never, where there is no budget."""
        for budget in self._budgets():
            self._roll(budget, now)
        return min((budget.until for budget in self._budgets()), default=inf)

    def _budgets(self) -> Iterator[Budget]:
        yield from self._each.values()
        if self._all is not None:
            yield self._all

    def _roll(self, budget: Budget, now: float) -> None:
        if budget.roll(now):
            self._tell(budget.title, budget.balance())

    def _changed(self, budget: Budget | None, title: str, allowance: Allowance, now: float) -> Budget:
        if budget is None:
            budget = Budget(title, allowance, now)
        elif budget.allowance != allowance:
            budget.roll(now)
            budget.change(allowance, now)
        self._tell(title, budget.balance())
        return budget
