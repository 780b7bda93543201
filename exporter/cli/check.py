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
    from exporter.config.loader import Loaded, Problem


@click.command(
    "check",
    cls=Command,
    short_help="Say everything that is wrong with config files.",
    examples=(
        "model-exporter check models.yml",
        "model-exporter check --cost models.yml",
        "model-exporter check --web-config web.yml models.yml",
    ),
)
@click.argument("files", nargs=-1, metavar="FILE...", type=click.Path(path_type=Path))
@options.option("--cost", is_flag=True, help="Also print what the canaries will use in a day.")
@options.option(
    "--web-config", type=click.Path(path_type=Path), metavar="FILE", help="Check this web config too, or it alone."
)
def command(files: tuple[Path, ...], cost: bool, web_config: Path | None) -> None:
    """Say everything that is wrong with config files, one problem a line.

    Each reads FILE:LINE:COLUMN: path: what was found, and what is allowed. Several files are taken as `run` takes
    them: as one config. No server is asked anything; golden sets in files are read. Warnings do not make a config
    wrong; one tells of a budget that has no room for a single run.
    """
    if not files and web_config is None:
        raise click.MissingParameter(param_type="argument", param_hint="'FILE...'")
    read, warnings = _read(files, web_config)
    if read is None:
        click.echo("good: a web config" + (f", {count(len(warnings), 'warning')}" if warnings else ""))
        return
    loaded, built = read
    if rows := _bad_rows(built):
        click.echo("\n".join(rows))
        click.echo(f"not good: {count(len(rows), 'problem')}", err=True)
        sys.exit(2)
    if cost:
        from exporter.cli.spending import show
        from exporter.config.spending import spending

        show(spending(built), sheet())
    targets = len({job.target.name for job in built.jobs})
    summary = f"good: {count(targets, 'target')}, {count(len(built.jobs), 'probe')}"
    if sources := len(loaded.file.discovery or ()):
        summary += f", {count(sources, 'source')} of further targets"
    if jobs := len(loaded.file.training or ()):
        summary += f", {count(jobs, 'training job')}"
    if warnings:
        summary += f", {count(len(warnings), 'warning')}"
    click.echo(summary)


def _read(files: tuple[Path, ...], web_config: Path | None) -> tuple["tuple[Loaded, Built] | None", list["Problem"]]:
    """What was read of the config, if there is one, and the warnings, which are printed. Ends here on problems."""
    from exporter.config import loader
    from exporter.config.problems import MOST

    problems: list[loader.Problem] = []
    warnings: list[loader.Problem] = []
    read = None
    try:
        if web_config is not None:
            from exporter.config import web_file

            warnings += web_file.load(web_config).warnings
    except loader.ConfigError as error:
        problems += error.problems
    try:
        if files:
            (loaded,) = loader.beforehand(files)
            from exporter.config import build  # with the ledger and all that a good config needs

            read = loaded, build.build(loaded.file)
            warnings += loaded.warnings
    except loader.ConfigError as error:
        problems += error.problems
    for told in problems or warnings:
        click.echo(str(told))
    if problems:
        found = count(len(problems), "problem") if len(problems) <= MOST else f"more than {MOST} problems"
        click.echo(f"not good: {found}", err=True)
        sys.exit(2)
    return read, warnings


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
