"""Whether answers and metadata are still what they were, in words and as plain values."""

from collections.abc import Iterator
from typing import Any

from exporter.ledger import ProbeRecord, TargetRecord


def notes(record: TargetRecord) -> Iterator[str]:
    """What is another than it was, of answers first."""
    for name, probe in record.probes.items():
        drift = probe.drift
        if drift is None:
            continue
        if drift.match is False:
            far = "" if drift.gap is None else f", distance {drift.gap:.2g}"
            before = f"; it changed {times(drift.changes)} so far" if drift.changes > 1 else ""
            yield f"{name}: the last answer is another than those before{far}{before}"
        elif drift.changes:
            yield f"{name}: its answer changed {times(drift.changes)}"
    if record.metadata_changes:
        yield "changed: " + ", ".join(f"{key} {times(count)}" for key, count in record.metadata_changes.items())


def values(probe: ProbeRecord) -> dict[str, Any] | None:
    """Of one probe; None where its answers are not held against each other. What the last run did not show is null."""
    drift = probe.drift
    return None if drift is None else {"match": drift.match, "distance": drift.gap, "changes": drift.changes}


def times(count: int) -> str:
    """`once`, `3 times`."""
    return "once" if count == 1 else f"{count} times"
