"""`model-exporter evaluate`: one run of a golden set, now."""

import asyncio
import json
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from exporter.cli import errors, options
from exporter.cli.command import Command
from exporter.cli.sheet import sheet
from exporter.cli.words import count

if TYPE_CHECKING:
    from exporter.engine import Limits
    from exporter.evaluation import Progress, Record
    from exporter.model.job import Job
    from exporter.model.result import Result


def _output(name: str, what: str) -> Callable[[Any], Any]:
    return options.option(name, type=click.Path(dir_okay=False, path_type=Path), metavar="FILE", help=what)


@click.command(
    "evaluate",
    cls=Command,
    short_help="Ask a model its golden set, once, now.",
    examples=(
        "model-exporter evaluate --config models.yml --target fraud",
        "model-exporter evaluate --config models.yml --target fraud --save-baseline fraud.baseline.json",
    ),
)
@options.config(required=True, help="The config with the evaluate probe; can be repeated.")
@options.option("--target", required=True, metavar="T", help="The target's name.")
@options.option("--probe", metavar="P", help="The evaluate probe's name, where the target has several.")
@_output("--save-baseline", "Keep the score there, for later runs to be held against with `drop`.")
@_output("--junit", "Write a JUnit report there.")
@options.as_json("Print the whole run with all its examples as one JSON object.")
def command(
    config: tuple[Path, ...], target: str, probe: str | None, save_baseline: Path | None, junit: Path | None,
    as_json: bool,
) -> None:  # fmt: skip
    """Ask a model every example of a golden set, score the answers, and say whether the score is good.

    Exit 0 when it is, 1 when it is below the threshold, and also when the run is inconclusive: too few examples were
    answered to say anything. 2 for a data set with a bad row, each of which is named. Budgets and maintenance windows
    of the config do not hold this up.
    """
    from exporter import log
    from exporter.cli import evaluation_report

    log.configure("error")
    for path in (save_baseline, junit):
        if path is not None and not os.access(path.parent, os.W_OK):
            raise click.UsageError(f"{path} cannot be written: its folder is not there, or not writable.")
    with errors.told(config):
        job, limits = _chosen(config, target, probe)
    if save_baseline is not None and job.evaluation is not None:
        threshold = replace(job.evaluation.threshold, baseline="")
        job = replace(job, evaluation=replace(job.evaluation, threshold=threshold))
    result, record = _run(job, limits)
    try:
        if save_baseline is not None:
            _keep(save_baseline, record)
        if junit is not None:
            from exporter.cli.junit import write

            write(junit, record, result)
    except OSError as error:
        raise click.ClickException(f"{error.filename} cannot be written: {error.strerror}") from None
    if as_json:
        click.echo(json.dumps(record.whole(), ensure_ascii=False))
    else:
        evaluation_report.tell(sheet(), record, result)
    sys.exit(0 if result.reason is None else 1)


def _run(job: "Job", limits: "Limits") -> "tuple[Result, Record]":
    """The run. Ends the program where there is nothing to tell of one."""
    from exporter import once
    from exporter.cli.evaluation_report import running
    from exporter.evaluation import BadDataset

    with sheet(sys.stderr).live(transient=True) as live:

        def show(progress: "Progress") -> None:
            if live is not None:
                live.text(running(progress))

        try:
            report = asyncio.run(once.evaluate(job, limits, on_progress=show))
        except BadDataset as error:
            for problem in error.problems:
                click.echo(problem, err=True)
            click.echo(f"not good: {count(len(error.problems), 'problem')} in the data set", err=True)
            sys.exit(2)
    if report.record is None:
        raise click.ClickException(report.result.detail or f"the run ended without a score: {report.result.outcome}")
    return report.result, report.record


def _chosen(config: Sequence[Path], target: str, probe: str | None) -> "tuple[Job, Limits]":
    """The job to run. Raises ConfigError."""
    from exporter.config import build, loader
    from exporter.config.problems import did_you_mean
    from exporter.engine import Limits

    built = build.build(loader.load(config).file)
    jobs = [job for job in built.jobs if job.target.title == target]
    if not jobs:
        names = dict.fromkeys(job.target.title for job in built.jobs)
        raise click.UsageError(f"No target is called {target!r}; {did_you_mean(target, names)}")
    found = {job.probe: job for job in jobs if job.evaluation is not None}
    if not found:
        raise click.UsageError(f"The target {target!r} has no probe of the kind evaluate: see docs/evaluation.md.")
    listed = ", ".join(found)
    if probe is None and len(found) > 1:
        raise click.UsageError(f"The target {target!r} has several evaluate probes; --probe says which: {listed}")
    if probe is not None and probe not in found:
        raise click.UsageError(f"The target {target!r} has no evaluate probe {probe!r}; allowed: {listed}")
    return found[probe or listed], Limits(built.limits.concurrency, built.limits.per_host)


def _keep(path: Path, record: "Record") -> None:
    """Write the baseline, of a run that has a score."""
    from exporter.evaluation.save import save
    from exporter.evaluation.threshold import Baseline

    fields = record.fields
    if fields["score"] is not None:
        about = {key: fields[key] for key in ("evaluation", "low", "high", "coverage")}
        kept = Baseline(fields["metric"], fields["score"], fields["dataset"])
        save(str(path), kept.document({**about, "target": record.job.target.title, "at": round(record.at, 3)}))
