"""95 % intervals of a score: of a proportion by Wilson, of a mean by Student's t, of anything else by bootstrap. Pure.

Wilson (1927) holds also near 0 and 1, where proportions of good models are. Student's distribution has a closed form
for whole degrees of freedom (Abramowitz and Stegun 26.7.3 and 26.7.4), and an expansion for many (26.7.5).
"""

import math
import random
from collections.abc import Callable, Sequence
from functools import lru_cache
from statistics import NormalDist, fmean, variance
from typing import TypeVar

LEVEL = 0.95
_Z = NormalDist().inv_cdf((1 + LEVEL) / 2)
#: Degrees of freedom from which the expansion is as good as the closed form.
_MANY = 100
#: Resamples of a bootstrap, and how many draws it may make in all.
RESAMPLES, DRAWS = 2000, 2_000_000

Item = TypeVar("Item")


def wilson(good: int, of: int) -> tuple[float, float]:
    """The interval of the proportion `good` of `of`, which is at least 1."""
    share, spread = good / of, _Z * _Z / of
    middle = share + spread / 2
    half = _Z * math.sqrt(share * (1 - share) / of + spread / (4 * of))
    low, high = (middle - half) / (1 + spread), (middle + half) / (1 + spread)
    return (0.0 if good == 0 else low), (1.0 if good == of else high)


def student(values: Sequence[float]) -> tuple[float, float] | None:
    """The interval of a mean; None of fewer than two values."""
    if len(values) < 2:
        return None
    mean = fmean(values)
    half = t_quantile(len(values) - 1) * math.sqrt(variance(values, mean) / len(values))
    return mean - half, mean + half


def bootstrap(items: Sequence[Item], statistic: Callable[[Sequence[Item]], float]) -> tuple[float, float] | None:
    """The percentile interval of a statistic, from samples drawn again; the same for the same items. None of fewer
    than two.
    """
    if len(items) < 2:
        return None
    dice = random.Random(len(items))  # noqa: S311 - not for secrets
    times = max(200, min(RESAMPLES, DRAWS // len(items)))
    found = sorted(statistic(dice.choices(items, k=len(items))) for _ in range(times))
    return _percentile(found, (1 - LEVEL) / 2), _percentile(found, (1 + LEVEL) / 2)


@lru_cache(maxsize=256)
def t_quantile(freedom: int) -> float:
    """Two-sided: how many standard errors around a mean hold 95 % at so many degrees of freedom."""
    if freedom > _MANY:
        return _expanded(freedom)
    low, high = _Z, 13.0
    while high - low > 1e-12:
        middle = (low + high) / 2
        if _within(middle, freedom) < LEVEL:
            low = middle
        else:
            high = middle
    return (low + high) / 2


def _within(t: float, freedom: int) -> float:
    """The probability of -t to t."""
    angle = math.atan2(t, math.sqrt(freedom))
    square = math.cos(angle) ** 2
    odd = freedom % 2
    term, total = (math.cos(angle) if odd else 1.0), 0.0
    for step in range(2 if odd else 1, freedom, 2):
        total += term
        term *= square * step / (step + 1)
    total *= math.sin(angle)
    return 2 / math.pi * (angle + total) if odd else total


def _expanded(freedom: int) -> float:
    z, n = _Z, float(freedom)
    first = (z**3 + z) / 4
    second = (5 * z**5 + 16 * z**3 + 3 * z) / 96
    third = (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384
    fourth = (79 * z**9 + 776 * z**7 + 1482 * z**5 - 1920 * z**3 - 945 * z) / 92160
    return z + first / n + second / n**2 + third / n**3 + fourth / n**4


def _percentile(ordered: Sequence[float], share: float) -> float:
    """Between the two values nearest to a share of all."""
    place = share * (len(ordered) - 1)
    below = math.floor(place)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (ordered[above] - ordered[below]) * (place - below)
