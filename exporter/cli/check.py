"""`model-exporter check`: every problem of config files, at once."""

import sys
from pathlib import Path

import click

from exporter.cli import options
from exporter.cli.command import Command
from exporter.cli.sheet import sheet
from exporter.cli.words import count


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
    them: as one config. No server is asked anything. Warnings do not make a config wrong; one tells of a budget that
    has no room for a single run.
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
    if cost:
        show(spending(built), sheet())
    targets = len({job.target.name for job in built.jobs})
    summary = f"good: {count(targets, 'target')}, {count(len(built.jobs), 'probe')}"
    if catalogues := len(loaded.file.discovery or ()):
        summary += f", {count(catalogues, 'catalogue')}"
    if loaded.warnings:
        summary += f", {count(len(loaded.warnings), 'warning')}"
    click.echo(summary)
