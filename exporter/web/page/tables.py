"""The pages of training jobs and of evaluations: one row each, in words."""

from collections.abc import Iterator
from dataclasses import dataclass

from aiohttp import web

from exporter.ledger import Evaluated, Ledger, TargetRecord, TrainingRecord
from exporter.model.score import Outcome
from exporter.slices import unhurried
from exporter.web.doors import Doors
from exporter.web.page import templating
from exporter.web.page.rows import Moment, moment
from exporter.web.words import number

#: Rows of one table, and values that are shown of one job.
ROWS, VALUES = 500, 8


@dataclass(frozen=True, slots=True)
class TrainingRow:
    """One job. `mood` is `ok`, `bad` or `none`; `progress` in hundredths."""

    name: str
    mood: str
    state: str
    step: str
    epoch: str
    progress: int | None
    values: tuple[tuple[str, str], ...]
    last: Moment | None
    lines: str
    trouble: str


@dataclass(frozen=True, slots=True)
class EvaluationRow:
    """One evaluation of one target. `mood` is `ok`, `bad` or `none`."""

    target: str
    name: str
    mood: str
    state: str
    metric: str
    score: str
    threshold: str
    examples: str
    dataset: str
    last: Moment | None
    next: Moment | None


def trainings(ledger: Ledger) -> list[TrainingRow]:
    """The jobs that are followed, in the order of the config."""
    now = ledger.wall()
    return [_training(record, now) for record in list(ledger.trainings.values())[:ROWS]]


async def evaluations(ledger: Ledger) -> list[EvaluationRow]:
    """The evaluations of all targets, in the order of the config."""
    now, rows = ledger.wall(), list[EvaluationRow]()
    async for record in unhurried(list(ledger)):
        if record.evaluations and len(rows) < ROWS:
            rows += evaluations_of(record, now)
    return rows[:ROWS]


def evaluations_of(record: TargetRecord, now: float) -> Iterator[EvaluationRow]:
    """Those of one target."""
    for name, evaluated in record.evaluations.items():
        probe = record.probes.get(name)
        planned = probe.next_at if probe is not None else None
        yield _evaluation(record.target.name, name, evaluated, planned, now)


def _training(record: TrainingRecord, now: float) -> TrainingRow:
    mood, state = "ok", "running"
    if record.outcome is not None:
        mood, state = ("ok" if record.outcome == "finished" else "bad"), str(record.outcome)
    elif record.diverged:
        mood, state = "bad", "diverged"
    elif record.stalled(now):
        mood, state = "bad", "stalled"
    elif record.last_value_at is None:
        mood, state = "none", "nothing told yet"
    told = (
        ("lines skipped", record.skipped_lines),
        ("names dropped", record.dropped_names),
        ("values not finite", record.nonfinite),
        ("times reconnected", record.reconnects),
    )
    return TrainingRow(
        name=record.name,
        mood=mood,
        state=state,
        step=number(record.step) if record.step is not None else "",
        epoch=number(record.epoch) if record.epoch is not None else "",
        progress=round(100 * record.progress) if record.progress is not None else None,
        values=tuple((name, number(value)) for name, value in list(record.values.items())[:VALUES]),
        last=moment(record.last_value_at, now) if record.last_value_at is not None else None,
        lines=number(record.line_count),
        trouble=", ".join(f"{number(count)} {what}" for what, count in told if count),
    )


def _evaluation(target: str, name: str, evaluated: Evaluated, planned: float | None, now: float) -> EvaluationRow:
    score = evaluated.score
    mood, state = "none", "has not run yet"
    if evaluated.last_run_at is not None:
        mood, state = "bad", "not complete"
    if score is not None and score.value is not None:
        mood, state = ("bad", "below its threshold") if score.below else ("ok", "good")
    interval = ""
    if score is not None and score.low is not None and score.high is not None:
        interval = f" ({score.low:.3f} to {score.high:.3f})"
    return EvaluationRow(
        target=target,
        name=name,
        mood=mood,
        state=state,
        metric=score.metric if score is not None else "",
        score=f"{score.value:.3f}{interval}" if score is not None and score.value is not None else "",
        threshold=f"{score.threshold:.3g}" if score is not None and score.threshold is not None else "",
        examples=f"{number(score.outcomes.get(Outcome.SCORED, 0))} of {number(score.examples)}" if score else "",
        dataset=score.dataset[:12] if score is not None else "",
        last=moment(evaluated.last_run_at, now) if evaluated.last_run_at is not None else None,
        next=moment(planned, now) if planned is not None else None,
    )


class TablePages:
    """Answers `/training` and `/evaluations`."""

    def __init__(self, doors: Doors) -> None:
        self._doors = doors

    async def training(self, request: web.Request) -> web.Response:
        """The training jobs that are followed."""
        rows = trainings(self._doors.ledger)
        values = {"here": "training", "ready": self._doors.ready(), "rows": rows,
                  "total": len(self._doors.ledger.trainings)}  # fmt: skip
        return await templating.page("training.html", values)

    async def evaluations(self, request: web.Request) -> web.Response:
        """The evaluations of all targets."""
        rows = await evaluations(self._doors.ledger)
        return await templating.page("evaluations.html", {"here": "evaluations", "ready": self._doors.ready(),
                                                          "rows": rows})  # fmt: skip
