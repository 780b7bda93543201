"""Metrics of budgets: what the canaries of a target may use, and what is left of it."""

from operator import attrgetter

from exporter.ledger import Dirty
from exporter.metrics.family import Family, Rows, value
from exporter.metrics.text import Type

_SHARED = "Absent where there is no such limit. Replicas of a target share its budget, and each shows all of it."


def _budget(name: str, text: str, read: str) -> Family:
    return Family(
        name=f"model_probe_budget_{name}", type=Type.GAUGE, group=Dirty.RUN, rows=Rows.TARGET, series=0,
        help=f"{text} {_SHARED}", shape=value(attrgetter(f"balance.{read}")), needs="balance",
    )  # fmt: skip


BUDGET_FAMILIES = (
    _budget("remaining_tokens",
        "Tokens that the target's canaries may still use in this hour or day of UTC, runs under way not counted.",
        "remaining_tokens"),
    _budget("remaining_requests",
        "Requests that the target's canaries may still make in this hour or day of UTC, runs under way not counted.",
        "remaining_requests"),
    _budget("limit_tokens", "Tokens that the target's canaries may use in each hour or day.", "allowance.tokens"),
    _budget("limit_requests", "Requests that the target's canaries may make in each hour or day.",
        "allowance.requests"),
)  # fmt: skip
