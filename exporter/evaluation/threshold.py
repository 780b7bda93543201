"""The score that is asked for, and whether one is worse. Pure, but for the file that a baseline is kept in."""

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from exporter.evaluation.scorers import Scorer, Total
from exporter.model.evaluation import Threshold

#: Bytes; a baseline has a few hundred.
_MAX = 100_000


class BadBaseline(Exception):
    """A baseline that cannot be held against a run. The message says why, and names the file."""


class Baseline(NamedTuple):
    """A score that later ones are held against, and of what it is."""

    metric: str
    score: float
    dataset: str

    def document(self, about: Mapping[str, Any]) -> dict[str, Any]:
        """As it is kept; `about` is for people."""
        return {"metric": self.metric, "score": self.score, "dataset": self.dataset, **about}


def bound(threshold: Threshold, scorer: Scorer, dataset: str) -> float | None:
    """The worst score that is good; None where none is asked for. Raises `BadBaseline`. It may wait for the disk."""
    if not threshold.baseline:
        return threshold.bound
    baseline = load(threshold.baseline)
    for what, found, wanted in (("metric", baseline.metric, scorer.name), ("dataset", baseline.dataset, dataset)):
        if found != wanted:
            shown = f"{what} is {found[:12]}, that of this run {wanted[:12]}"
            raise BadBaseline(f"the baseline {threshold.baseline} is of another kind: its {shown}")
    return baseline.score + (threshold.drop if scorer.lower_is_better else -threshold.drop)


def below(total: Total, worst: float | None, scorer: Scorer) -> bool:
    """Whether the whole interval is worse than the worst score that is good."""
    if worst is None or total.interval is None:
        return False
    low, high = total.interval
    return low > worst if scorer.lower_is_better else high < worst


def load(path: str) -> Baseline:
    """The baseline in a file. Raises `BadBaseline`."""
    try:
        with Path(path).open("rb") as file:
            found = json.loads(file.read(_MAX))
    except OSError as error:
        raise BadBaseline(f"the baseline {path} cannot be read: {error.strerror}") from None
    except (ValueError, RecursionError):
        raise BadBaseline(f"the baseline {path} is not JSON") from None
    metric, score, dataset = (found.get(key) if isinstance(found, dict) else None for key in Baseline._fields)
    number = isinstance(score, int | float) and not isinstance(score, bool) and math.isfinite(score)
    if not number or not isinstance(metric, str) or not isinstance(dataset, str):
        raise BadBaseline(f"the baseline {path} is none: write it with model-exporter evaluate --save-baseline")
    return Baseline(metric, float(score or 0.0), dataset)
