"""What `model-exporter evaluate` shows people: a bar while it runs, then the score, its parts and what is not right."""

from typing import TYPE_CHECKING

from exporter.cli.sheet import Sheet, Table
from exporter.cli.words import ADVICE, bar, clean, seconds
from exporter.model.failure import Status
from exporter.model.score import Outcome

if TYPE_CHECKING:
    from exporter.evaluation import Progress, Record
    from exporter.model.result import Result

#: Examples in the table: the first that are not right.
_SHOWN = 20


def running(progress: "Progress") -> str:
    """How far a run has come, on one line."""
    outcomes, of = progress.outcomes, progress.examples
    done = of - outcomes[Outcome.NOT_ASKED]
    wrong = [f"{outcomes[one]} {one}" for one in (Outcome.FAILED, Outcome.UNREADABLE) if outcomes[one]]
    return ", ".join([f"{bar(done / of)} {done} of {of}", *wrong])


def tell(out: Sheet, record: "Record", result: "Result") -> None:
    """Print what a run found."""
    fields = record.fields
    verdicts = {Status.HEALTHY: "good", Status.UNHEALTHY: "not good", Status.ERROR: "inconclusive"}
    out.line(f"{verdicts[result.status]}: {_score(record, result)}", strong=True)
    if result.status is Status.ERROR and result.reason is not None:
        out.line(ADVICE[result.reason])
    out.line()
    outcomes = ", ".join(f"{many} {name.replace('_', ' ')}" for name, many in fields["outcomes"].items() if many)
    rows = [
        ("target", f"{record.job.target.title}, probe {record.job.probe}"),
        ("examples", f"{len(record.asked)}: {outcomes}"),
        ("data set", f"{fields['dataset'][:12]} (SHA-256)"),
        ("took", seconds(fields["seconds"])),
    ]
    out.pairs(rows)
    _tags(out, record)
    _examples(out, record)


def _score(record: "Record", result: "Result") -> str:
    fields = record.fields
    if fields["score"] is None:
        return clean(result.detail, 400)
    said = f"{fields['metric']} {fields['score']:.4g}"
    if fields["low"] is not None:
        said += f" (95 % interval {fields['low']:.4g} to {fields['high']:.4g})"
    if fields["threshold"] is not None:
        word = "at most" if record.scorer.lower_is_better else "at least"
        said += f", {word} {fields['threshold']:.4g} is asked for"
    return said


def _tags(out: Sheet, record: "Record") -> None:
    from exporter.evaluation.tags import by_tag

    parts = by_tag(record.asked, record.scorer)
    if parts:
        rows = [
            (
                clean(part.tag, 40),
                str(part.examples),
                str(part.scored),
                "" if part.value is None else f"{part.value:.4g}",
            )
            for part in parts
        ]
        out.line()
        out.table(
            Table(
                ("tag", "examples", "scored", record.scorer.name),
                rows,
                right=frozenset({"examples", "scored", record.scorer.name}),
            )
        )


def _examples(out: Sheet, record: "Record") -> None:
    wrong = [each for each in record.asked if not record.right(each)]
    if not wrong:
        return
    rows = [
        (
            clean(each.example.id, 40),
            str(each.outcome).replace("_", " ") if each.worth is None else f"{each.worth:.4g}",
            clean(each.wanted, 40),
            clean(each.shown, 60),
            clean(": ".join(part for part in (str(each.reason or ""), each.detail) if part), 100),
        )
        for each in wrong[:_SHOWN]
    ]
    out.line()
    out.table(Table(("example", "score", "expected", "answer", "detail"), rows, wrap="detail").without_empty())
    if len(wrong) > _SHOWN:
        out.line(f"and {len(wrong) - _SHOWN} more: --json shows all")
