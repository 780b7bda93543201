"""The table of `check --cost`: what canaries use in a day."""

from exporter.cli.sheet import Sheet, Table
from exporter.cli.words import count
from exporter.config.spending import Canary, Spending, Usage
from exporter.model.cost import Allowance
from exporter.settings import format_duration


def show(found: Spending, sheet: Sheet) -> None:
    """Print the table and the sums."""
    if not found.canaries:
        sheet.line("no canary: nothing that is asked costs tokens or makes a model work")
        return
    sheet.table(_table(found.canaries))
    sheet.line(f"{count(len(found.canaries), 'canary', 'canaries')}, a day: {_usage(found.planned)}")
    if found.allowed != found.planned:
        sheet.line(f"with budgets: at most {_usage(found.allowed)}")
    sheet.line("While a canary fails it is asked sooner: only a budget bounds that.")


def _table(canaries: tuple[Canary, ...]) -> Table:
    rows = [
        (
            f"{each.target} ({each.note})" if each.note else each.target,
            each.probe,
            _whole(each.runs),
            _whole(each.worst.tokens),
            _whole(each.usage.tokens),
            _whole(each.usage.requests),
            _cap(each),
        )
        for each in canaries
    ]
    numbers = ("runs/day", "tokens/run", "tokens/day", "requests/day")
    return Table(("target", "probe", *numbers, "capped by"), rows, right=frozenset(numbers))


def _cap(canary: Canary) -> str:
    if canary.cap is None:
        return ""
    return f"{'limits.budget' if canary.overall else 'its budget'}: {_limit(canary.cap)}"


def _limit(budget: Allowance) -> str:
    limits = ((budget.tokens, "tokens"), (budget.requests, "requests"))
    shown = ", ".join(f"{_whole(limit)} {what}" for limit, what in limits if limit is not None)
    return f"{shown} per {format_duration(budget.per)}"


def _usage(usage: Usage) -> str:
    return f"{_whole(usage.tokens)} tokens, {_whole(usage.requests)} requests"


def _whole(number: float) -> str:
    return f"{number:,.0f}"
