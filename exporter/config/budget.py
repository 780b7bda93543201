"""The `budget` block: what canaries may use."""

from typing import Literal, Self

from pydantic import Field, model_validator

from exporter.model.cost import Allowance
from exporter.settings import LargeCount, Settings, problem

_SECONDS = {"1h": 3600.0, "1d": 86400.0}


class Budget(Settings):
    """What canaries may use. One whose worst case would not fit is skipped and counted."""

    tokens: LargeCount | None = Field(None, description="Tokens, those read and those written together.")
    requests: LargeCount | None = Field(None, description="Requests that a model has to answer.")
    per: Literal["1h", "1d"] = Field("1d", description="Of each hour, or of each day, of UTC.")

    @model_validator(mode="after")
    def _some(self) -> Self:
        if self.tokens is None and self.requests is None:
            raise problem("budget", "limits nothing; needs tokens, requests or both")
        return self


def allowance_of(budget: Budget | None) -> Allowance | None:
    """The block as a value."""
    return None if budget is None else Allowance(budget.tokens, budget.requests, _SECONDS[budget.per])
