"""What readings of a server's load say of a canary that was slow, or of one that was not. Pure."""

from exporter.engine.table import UNKNOWN_LOAD, Signs
from exporter.model.load import Load


def signs(first: Load | None, last: Load | None, most_waiting: float | None) -> Signs:
    """What was read at a canary's start and after its end amounts to; either may be missing.

    `most_waiting` is the length of a queue from which the operator calls a server saturated that still answers.
    """
    latest = last or first
    if latest is None:
        return UNKNOWN_LOAD
    waiting, running, capacity = latest.waiting or 0.0, latest.running, latest.capacity
    full = running is not None and capacity is not None and running >= capacity
    return Signs(
        queue=waiting > 0 or full,
        progress=first is not None and last is not None and _moved(first.progress, last.progress),
        over=most_waiting is not None and waiting >= most_waiting,
    )


def over(load: Load | None, most_waiting: float | None) -> str:
    """What people read of a server that answers and is saturated all the same."""
    waiting = load.waiting if load is not None else None
    return f"the canary passed, and {waiting or 0:g} requests wait (saturated_at: {most_waiting or 0:g})"


def _moved(before: float | None, after: float | None) -> bool:
    """A counter that fell was set back: the server started anew, and shows no work."""
    return before is not None and after is not None and after > before
