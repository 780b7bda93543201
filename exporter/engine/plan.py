"""When probes run, and what a new list of jobs changes. Pure: no clock, no loop.

Every probe has a *grid*: `phase + k * interval` on the engine's monotonic clock. The phase is a stable hash of the
probe's key, so probes spread over the interval, a restart keeps their order, and a reload moves nobody.
"""

import hashlib
import math
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from exporter.model.job import Job

#: Starts per second that are always welcome, whatever the mean rate: small configs answer at once.
EAGER_RATE = 50.0
#: A Retry-After never stretches an interval beyond this many of it.
MAX_STRETCH = 10.0


def phase(key: tuple[str, str], interval: float) -> float:
    """Where in its interval a probe runs: seconds in [0, interval), the same in every process."""
    digest = hashlib.blake2b("\0".join(key).encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, "big") / 2**64 * interval


def next_due(offset: float, interval: float, after: float) -> float:
    """The first moment of the grid that is later than `after`."""
    due = offset + (math.floor((after - offset) / interval) + 1) * interval
    # Rounding may hand back the moment we stand on.
    return due if due - after > 1e-6 else due + interval


def lost_slots(due: float, interval: float, now: float) -> int:
    """How many moments of the grid passed unused when the one at `due` is looked at only now."""
    return 1 + max(0, math.floor((now - due) / interval))


def start_window(intervals: Mapping[float, int]) -> float:
    """Seconds over which the first runs of new probes are spread; `intervals` counts probes per interval.

    Probes with a longer interval than the window have their first run inside it, the others just take their grid.
    The window is the shortest that adds no more than half of the mean rate, or `EAGER_RATE` where that is more: one
    target is asked at once, ten thousand fill their interval evenly.
    """
    mean = sum(count / interval for interval, count in intervals.items())
    extra = max(EAGER_RATE, mean / 2)
    slower = sum(intervals.values())
    floor = 0.0
    for interval, count in sorted(intervals.items()):
        window = max(floor, slower / extra)
        if window < interval:
            return window
        floor = interval
        slower -= count
    return floor


def first_due(offset: float, interval: float, now: float, window: float) -> float:
    """The first run of a new probe: its wait for the grid, shrunk as the window is shorter than the interval."""
    wait = next_due(offset, interval, now) - now
    return now + wait * min(1.0, window / interval)


def recheck_delay(recheck: float, interval: float, failures: int) -> float:
    """Seconds until a canary that failed `failures` times in a row is asked again: doubling, at most its interval."""
    return min(interval, recheck * 2.0 ** min(failures - 1, 32))


def stretched(interval: float, retry_after: float) -> float:
    """What a server's Retry-After (seconds) asks for, within bounds."""
    return min(retry_after, MAX_STRETCH * interval)


@dataclass(frozen=True, slots=True)
class Changes:
    """What a new list of jobs does. A job whose fingerprint changed is in `removed` (old) and in `added` (new)."""

    added: tuple[Job, ...]
    removed: tuple[Job, ...]
    kept: tuple[Job, ...]


def reconcile(old: Mapping[tuple[str, str], Job], new: Iterable[Job]) -> Changes:
    """Compare by key and fingerprint only. `kept` holds the new jobs: their labels may differ."""
    added, kept = [], []
    unseen = dict(old)
    for job in new:
        before = unseen.pop(job.key, None)
        if before is not None and before.fingerprint == job.fingerprint:
            kept.append(job)
        else:
            added.append(job)
            if before is not None:
                unseen[job.key] = before
    return Changes(tuple(added), tuple(unseen.values()), tuple(kept))


def count_intervals(jobs: Iterable[Job]) -> Counter[float]:
    """How many jobs there are per interval."""
    return Counter(job.schedule.interval for job in jobs)
