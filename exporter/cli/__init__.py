"""The command line: `main` is the group, each command has a file of its own."""

import click

from exporter import __version__
from exporter.cli import check, demo, deploy, evaluate, follow, generate, init, probe, run, wait
from exporter.cli.command import Group


@click.group(
    cls=Group,
    examples=("model-exporter demo", "model-exporter run --target http://127.0.0.1:8000"),
    context_settings={"max_content_width": 100},
)
@click.version_option(__version__, prog_name="model-exporter")
def main() -> None:
    """Watch model servers from the outside and tell Prometheus the truth about them.

    Exit codes: 0 good; 1 the thing that was checked is not good; 2 wrong usage or config.
    """


for module in (run, check, probe, init, wait, deploy, follow, evaluate, generate, demo):
    main.add_command(module.command)
