"""The cost of a scrape, ours beside prometheus_client's for the same series, in this process."""

import statistics
import time
from collections.abc import Callable, Iterable
from typing import NamedTuple

from prometheus_client import CollectorRegistry, Metric, generate_latest
from prometheus_client.parser import text_string_to_metric_families


class ScrapeCost(NamedTuple):
    """CPU seconds for one scrape of `series` series."""

    series: int
    ours: float
    theirs: float


class _Fixed:
    def __init__(self, families: list[Metric]) -> None:
        self._families = families

    def collect(self) -> Iterable[Metric]:
        return self._families


def reference(text: str, rounds: int = 3) -> tuple[int, float]:
    """Series in an exposition, and CPU seconds prometheus_client takes to render the same ones."""
    families = list(text_string_to_metric_families(text))
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Fixed(families))
    return sum(len(family.samples) for family in families), _cost(lambda: generate_latest(registry), rounds)


def _cost(render: Callable[[], object], rounds: int) -> float:
    taken = []
    for _ in range(rounds):
        started = time.process_time()
        render()
        taken.append(time.process_time() - started)
    return statistics.median(taken)
