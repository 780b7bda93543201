"""`model-exporter check`: every problem of config files, at once."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from exporter.cli import options
from exporter.cli.command import Command
from exporter.cli.sheet import sheet
from exporter.cli.words import count

if TYPE_CHECKING:
    from exporter.config.build import Built


@click.command(
    "check",
    cls=Command,
    short_help="Say everything that is wrong with config files.",
    examples=("model-exporter check models.yml", "model-exporter check --cost models.yml"),
)
@click.argument("files", nargs=-1, required=True, metavar="FILE...", type=click.Path(path_type=Path))
@options.option("--cost", is_flag=True, help="Also print what the canaries will use in a day.")
def command(files: tuple[Path, ...], cost: bool) -> None:
    """Say everything that is wrong with config files, one problem a line.

    Each reads FILE:LINE:COLUMN: path: what was found, and what is allowed. Several files are taken as `run` takes
    them: as one config. No server is asked anything; golden sets in files are read. Warnings do not make a config
    wrong; one tells of a budget that has no room for a single run.
    """
    from exporter.cli.spending import show
    from exporter.config import build, loader
    from exporter.config.spending import spending

    try:
        loaded = loader.load(files)
        built = build.build(loaded.file)
    except loader.ConfigError as error:
        for problem in error.problems:
            click.echo(str(problem))
        click.echo(f"not good: {count(len(error.problems), 'problem')}", err=True)
        sys.exit(2)
    for warning in loaded.warnings:
        click.echo(str(warning))
    if rows := _bad_rows(built):
        click.echo("\n".join(rows))
        click.echo(f"not good: {count(len(rows), 'problem')}", err=True)
        sys.exit(2)
    if cost:
        show(spending(built), sheet())
    targets = len({job.target.name for job in built.jobs})
    summary = f"good: {count(targets, 'target')}, {count(len(built.jobs), 'probe')}"
    if catalogues := len(loaded.file.discovery or ()):
        summary += f", {count(catalogues, 'catalogue')}"
    if jobs := len(loaded.file.training or ()):
        summary += f", {count(jobs, 'training job')}"
    if loaded.warnings:
        summary += f", {count(len(loaded.warnings), 'warning')}"
    click.echo(summary)


def _bad_rows(built: "Built") -> list[str]:
    """Everything that is wrong with golden sets that are files, each set read once for all targets that are alike."""
    from exporter.evaluation.dataset import BadDataset
    from exporter.evaluation.fetch import read_file

    found: dict[str, None] = {}
    for evaluation in dict.fromkeys(job.evaluation for job in built.jobs if job.evaluation is not None):
        try:
            read_file(evaluation)
        except BadDataset as error:
            found.update(dict.fromkeys(error.problems))
    return list(found)
