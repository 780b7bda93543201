"""`model-exporter generate`: files for Grafana that come with the package."""

from pathlib import Path

import click

from exporter.cli import options
from exporter.cli.command import Command, Group
from exporter.generate import DASHBOARDS


@click.group(
    "generate",
    cls=Group,
    short_help="Print dashboards for Grafana.",
    examples=("model-exporter generate dashboard fleet > fleet.json",),
)
def command() -> None:
    """Print what Grafana needs to show the metrics. It comes with the package: nothing is downloaded."""


@command.command(
    "dashboard",
    cls=Command,
    short_help="Print a dashboard for Grafana, or write all of them.",
    examples=(
        "model-exporter generate dashboard",
        "model-exporter generate dashboard fleet > fleet.json",
        "model-exporter generate dashboard --directory /var/lib/grafana/dashboards",
    ),
)
@click.argument("name", required=False, type=click.Choice(DASHBOARDS), metavar="[NAME]")
@options.option(
    "--directory",
    type=click.Path(exists=True, file_okay=False, writable=True, path_type=Path),
    metavar="DIR",
    help="Write NAME.json into this directory, without NAME all of them, over what is there.",
)
def dashboard(name: str | None, directory: Path | None) -> None:
    """Print the dashboard NAME as JSON, to be imported into Grafana; without NAME say which there are.

    The data source is chosen on the dashboard.
    """
    from exporter import generate

    if directory is not None:
        for each in (name,) if name else DASHBOARDS:
            path = directory / f"{each}.json"
            try:
                path.write_text(generate.dashboard(each), "utf-8")
            except OSError as error:
                raise click.ClickException(f"{path}: {error.strerror}") from None
            click.echo(str(path))
    elif name:
        click.echo(generate.dashboard(name), nl=False)
    else:
        for each in DASHBOARDS:
            click.echo(f"{each:<{max(map(len, DASHBOARDS))}}  {generate.title(each)}")
