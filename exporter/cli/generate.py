"""`model-exporter generate`: files for Prometheus and Grafana that come with the package."""

from pathlib import Path

import click

from exporter.cli import errors, options
from exporter.cli.command import Command, Group
from exporter.generate import DASHBOARDS


@click.group(
    "generate",
    cls=Group,
    short_help="Print rules and a scrape config for Prometheus, and dashboards.",
    examples=(
        "model-exporter generate alerts > model-exporter.rules.yaml",
        "model-exporter generate dashboard fleet > fleet.json",
        "model-exporter generate scrape-config --address models.example:10838",
    ),
)
def command() -> None:
    """Print what Prometheus and Grafana need. It comes with the package: nothing is downloaded."""


@command.command(
    "dashboard",
    cls=Command,
    short_help="Print a dashboard for Grafana, or write all of them.",
    examples=(
        "model-exporter generate dashboard",
        "model-exporter generate dashboard fleet > fleet.json",
        "model-exporter generate dashboard --directory .",
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
                raise click.ClickException(f"{path} cannot be written: {error.strerror}") from None
            click.echo(str(path))
    elif name:
        click.echo(generate.dashboard(name), nl=False)
    else:
        for each in DASHBOARDS:
            click.echo(f"{each:<{max(map(len, DASHBOARDS))}}  {generate.title(each)}")


@command.command(
    "alerts",
    cls=Command,
    short_help="Print the alerts and recording rules for Prometheus.",
    examples=("model-exporter generate alerts > /etc/prometheus/rules/model-exporter.rules.yaml",),
)
def alerts() -> None:
    """Print every alert and recording rule as one file for `rule_files`. Each alert names its runbook."""
    from exporter import generate

    click.echo(generate.rules(), nl=False)


@command.command(
    "scrape-config",
    cls=Command,
    short_help="Print how Prometheus scrapes the exporter.",
    examples=(
        "model-exporter generate scrape-config",
        "model-exporter generate scrape-config --address models.example:10838 --config models.yml",
    ),
)
@options.option(
    "--address",
    metavar="HOST:PORT",
    default="127.0.0.1:10838",
    show_default=True,
    help="Where Prometheus finds the exporter.",
)
@options.option("--route-prefix", metavar="P", default="", help="The path it serves below, as given to `run`.")
@options.config(help="Print a job for /probe with each module of this config too; can be repeated.")
def scrape_config(address: str, route_prefix: str, config: tuple[Path, ...]) -> None:
    """Print scrape_configs: one job for the exporter, and with --config one for /probe with each module."""
    from exporter import generate

    modules: list[str] = []
    if config:
        from exporter.config import loader

        with errors.told(config):
            modules = sorted(loader.load(config).file.modules)
    prefix = "/" + route_prefix.strip("/") if route_prefix.strip("/") else ""
    click.echo(generate.scrape_config(address, modules, prefix), nl=False)
