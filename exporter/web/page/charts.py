"""Small pictures of numbers, as outlines for SVG. All have words that say the same."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from exporter.ledger import RECENT_BAD, RECENT_GOOD, ProbeRecord
from exporter.model.observation import PHASES
from exporter.model.result import Past
from exporter.web.words import latency

#: Runs a strip shows, the width of a bar with its gap, and the strip's height, in the units of its outlines.
STRIP_RUNS, STRIP_STEP, STRIP_HEIGHT = 24, 5, 24


@dataclass(frozen=True, slots=True)
class Strip:
    """The last runs as bars: outlines of those that were healthy, and of those that were not."""

    healthy: str
    failed: str
    width: int
    words: str


@dataclass(frozen=True, slots=True)
class Piece:
    """One phase of a run: where it stands in the bar, in hundredths of the whole, and how long it took."""

    name: str
    start: float
    width: float
    took: str


def runs(probe: ProbeRecord) -> Strip | None:
    """How long the last runs of a probe took, and which of them failed; None before there are two."""
    shown = _history(probe)
    if len(shown) < 2:
        return None
    failed = sum(not good for _, _, good in shown)
    words = f"last {len(shown)} runs of {probe.job.probe}: " + (f"{failed} failed" if failed else "all healthy")
    healthy = [seconds for _, seconds, good in shown if good]
    return _strip([(seconds, good) for _, seconds, good in shown], f"{words}{_range(healthy)}")


def first_tokens(probe: ProbeRecord) -> Strip | None:
    """How long the first token of the last healthy runs took; None before there are two."""
    found = [good.ttft for good in probe.recent.newest(STRIP_RUNS) if good.ttft is not None]
    if len(found) < 2:
        return None
    return _strip([(seconds, True) for seconds in reversed(found)],
                  f"first token of the last {len(found)} healthy runs of {probe.job.probe}{_range(found)}")  # fmt: skip


def phases(probe: ProbeRecord) -> tuple[Piece, ...]:
    """Where the time of the last run went, in the order things happen."""
    whole = sum(probe.phases.values())
    pieces, at = [], 0.0
    for name in PHASES:
        if (seconds := probe.phases.get(name)) is not None:
            share = 100 * seconds / whole if whole else 0.0
            pieces.append(Piece(name, round(at, 2), round(share, 2), latency(seconds)))
            at += share
    return tuple(pieces)


def _range(values: Sequence[float]) -> str:
    return f", {latency(min(values))} to {latency(max(values))}" if any(values) else ""


def _strip(bars: Sequence[tuple[float, bool]], words: str) -> Strip:
    longest = max(seconds for seconds, _ in bars)
    paths: dict[bool, list[str]] = {True: [], False: []}
    for position, (seconds, good) in enumerate(bars):
        share, left, across = seconds / longest if longest else 0.0, position * STRIP_STEP, STRIP_STEP - 1
        if good:
            height = max(2, round(share * STRIP_HEIGHT))
            paths[True].append(f"M{left} {STRIP_HEIGHT}v-{height}h{across}v{height}z")
        else:
            # Whole and broken in the middle, so that it stands out where colours do not.
            half = STRIP_HEIGHT // 2 - 1
            paths[False] += (f"M{left} {bottom}v-{half}h{across}v{half}z" for bottom in (STRIP_HEIGHT, half))
    return Strip("".join(paths[True]), "".join(paths[False]), len(bars) * STRIP_STEP - 1, words)


def _history(probe: ProbeRecord) -> Sequence[tuple[float, float, bool]]:
    """The newest runs in order: (Unix time, seconds, whether healthy).

    Good and failed ones are kept apart, each to its own bound, so what is older than the oldest of a full store would
    show one kind only.
    """
    good = [(at, 0.0 if math.isnan(seconds) else seconds, True) for at, seconds in probe.recent]
    since = good[0][0] if len(good) >= RECENT_GOOD else 0.0
    if len(probe.recent_failures) >= RECENT_BAD:
        since = max(since, probe.recent_failures[0].at)
    bad = [run for past in probe.recent_failures for run in _spread(past)]
    return sorted((run for run in (*good, *bad) if run[0] >= since), key=lambda run: run[0])[-STRIP_RUNS:]


def _spread(past: Past) -> Iterable[tuple[float, float, bool]]:
    """Failures that are kept as one, as many as they were."""
    shown = min(past.count, STRIP_RUNS)
    step = (past.at - past.first_at) / (past.count - 1) if past.count > 1 else 0.0
    return [(past.at - step * back, past.duration or 0.0, False) for back in range(shown)]
