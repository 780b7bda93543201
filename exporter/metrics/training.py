"""Metrics of training jobs, by what their logs tell. They are written anew for each scrape: whether a job has stalled
depends on when that is.
"""

from collections.abc import Callable
from operator import attrgetter
from typing import NamedTuple

from exporter.ledger import Dirty, TrainingRecord
from exporter.metrics.blocks import ENCODINGS, TEXT, Encoding
from exporter.metrics.family import Family, Rows, Shape, closed, count, value, values
from exporter.metrics.text import Type, number
from exporter.model.training import Outcome


class _Seen(NamedTuple):
    """A job at the Unix time of a scrape."""

    record: TrainingRecord
    now: float


def _family(name: str, kind: Type, text: str, shape: Shape, labels: tuple[str, ...] = (), series: int = 1) -> Family:
    return Family(
        name=f"model_training_{name}", type=kind, group=Dirty.RUN, rows=Rows.TRAINING, labels=labels, series=series,
        help=text, shape=shape,
    )  # fmt: skip


def _last(name: str) -> Shape:
    read = attrgetter(name)
    return value(lambda seen: read(seen.record))


def _count(name: str) -> Shape:
    read: Callable[[TrainingRecord], int] = attrgetter(name)
    return count(lambda seen: read(seen.record))


def _values(seen: _Seen) -> dict[str, bytes]:
    return {name: number(found).encode() for name, found in seen.record.values.items()}


def _diverged(seen: _Seen) -> int | None:
    return None if seen.record.diverged is None else int(seen.record.diverged)


_G, _C = Type.GAUGE, Type.COUNTER

TRAINING_FAMILIES: tuple[Family, ...] = (
    _family("finished", _G,
        "1 for how the job ended (finished, failed, killed), else 0; all 0 while it goes on, as far as its log, exit "
        "status or tracking server tell.",
        closed(Outcome, lambda seen: [int(seen.record.outcome is outcome) for outcome in Outcome]), ("outcome",),
        len(Outcome)),
    _family("stalled", _G,
        "1 while no value came for longer than stall_after and the job has not ended. Progress bars that are redrawn "
        "without one do not count.",
        count(lambda seen: int(seen.record.stalled(seen.now)))),
    _family("diverged", _G,
        "1 while each of the last values of the loss, or of what the config names, was far above the smallest one, "
        "or not finite. Absent unless the config asks for it.",
        count(_diverged), series=0),
    _family("value", _G,
        "The last number of each name that the log told; NaN and infinite ones as they are. For alarms: between two "
        "scrapes values are lost, so the curve belongs in MLflow or W&B.",
        values(_values, written=True), ("name",), 0),
    _family("step", _G,
        "The last step, batch or round that the log told, as the trainer counts them.", _last("step"), series=0),
    _family("epoch", _G, "The last epoch that the log told, as the trainer counts them.", _last("epoch"), series=0),
    _family("progress_ratio", _G,
        "The done share of the whole job, 0 to 1, where the log tells how much there is to do.", _last("progress"),
        series=0),
    _family("last_value_timestamp_seconds", _G,
        "Unix time at which the newest value was written, or read where that is not known. Absent before the first.",
        _last("last_value_at"), series=0),
    _family("nonfinite_total", _C,
        "Values that were NaN or infinite, from 0. Any increase is worth an alarm.", _count("nonfinite")),
    _family("lines_total", _C, "Lines of the log, blank ones aside, those skipped included.", _count("line_count")),
    _family("lines_skipped_total", _C,
        "Lines that were not looked at: too long, more than could be kept up with, or too dear for the regular "
        "expression.", _count("skipped_lines")),
    _family("dropped_names_total", _C,
        "Values left out because their name is not among those wanted, or is one too many.", _count("dropped_names")),
    _family("reconnects_total", _C, "Times the log had to be opened again.", _count("reconnects")),
)  # fmt: skip

_FILLERS = [encoding.filler(TRAINING_FAMILIES) for encoding in ENCODINGS]


def render(record: TrainingRecord, now: float, encoding: Encoding = TEXT) -> tuple[tuple[bytes, ...], int]:
    """A block per family, and how many samples these have. `now` is the Unix time."""
    labels = encoding.pairs((("training", record.name),))
    return _FILLERS[encoding.number].fill(labels, _Seen(record, now))
