"""What a gate asks for: which targets, and what each of them has to have shown."""

from collections.abc import Iterable
from dataclasses import dataclass

from exporter.model.target import Target

#: What is known of a target that is still to be found only once it was.
_FOUND = frozenset({"target", "model", "protocol", "address"})


@dataclass(frozen=True, slots=True)
class Terms:
    """When a gate opens. Durations are seconds; None: any will do.

    `select` names targets by labels, `target`, `model`, `protocol` and `address`: pairs of one key are alternatives,
    different keys must all hold, none means all. `consecutive` good runs in a row are wanted of each; a run that took
    longer than `max_duration`, or whose first token took longer than `max_ttft`, is not a good one. `version` is the
    one that must be served, `""`: any. `min_addresses`: how many servers a target must be found to have, all of which
    must be good. `evaluate`: its golden sets must have been run, well, too.
    """

    select: tuple[tuple[str, str], ...] = ()
    consecutive: int = 3
    version: str = ""
    min_addresses: int = 1
    max_duration: float | None = None
    max_ttft: float | None = None
    evaluate: bool = False

    def __post_init__(self) -> None:
        if self.consecutive < 1 or self.min_addresses < 1:
            raise ValueError("consecutive and min_addresses must be at least 1")

    def selects(self, target: Target) -> bool:
        """Whether a target is meant."""
        return _fits(target, self.select)

    def may_select(self, target: Target) -> bool:
        """Whether targets may be meant that will be found where this one stands: of them only the labels are known."""
        return _fits(target, ((key, value) for key, value in self.select if key not in _FOUND))

    def may_turn_out(self, target: Target) -> bool:
        """Whether a target may be meant once it is known what it speaks."""
        return _fits(target, ((key, value) for key, value in self.select if key != "protocol"))


def _fits(target: Target, select: Iterable[tuple[str, str]]) -> bool:
    wanted: dict[str, bool] = {}
    for key, value in select:
        wanted[key] = wanted.get(key, False) or target.trait(key) == value
    return all(wanted.values())
