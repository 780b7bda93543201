"""`model-exporter probe`: one look at one server, now."""

import asyncio
import json
import sys
from typing import TYPE_CHECKING

import click

from exporter.cli import errors, options
from exporter.cli.command import Command
from exporter.cli.sheet import sheet

if TYPE_CHECKING:
    from exporter.once import ProbeReport

_KINDS = ("health", "ready", "metadata", "infer", "stream")


@click.command(
    "probe",
    cls=Command,
    short_help="Ask one model server how it is, once, now.",
    examples=(
        "model-exporter probe http://127.0.0.1:8000 --stream",
        "model-exporter probe http://127.0.0.1:8080 --protocol open_inference --model fraud --count 20",
    ),
)
@click.argument("url")
@options.option(
    "--protocol",
    type=options.Protocol(),
    default="auto",
    show_default=True,
    metavar="P",
    help="What the server speaks, such as openai or open_inference; auto finds out.",
)
@options.option("--model", default="", metavar="M", help="The model to ask for, where a server has several.")
@options.option(
    "--probe",
    "kinds",
    type=click.Choice(_KINDS),
    multiple=True,
    help="Ask only this; can be repeated. Without it: all that costs nothing.",
)
@options.option("--stream", is_flag=True, help="Also stream a few tokens: the question that matters, and it costs.")
@options.option(
    "--count",
    type=click.IntRange(1, 10_000),
    default=1,
    show_default=True,
    metavar="N",
    help="Ask N times, one after the other, and show minimum, median and maximum.",
)
@options.option(
    "--timestamps",
    type=click.Choice(("loop", "kernel")),
    default="loop",
    show_default=True,
    help="Whose stamps times are made of: with kernel, of when an answer arrived, and not of when it was read.",
)
@options.as_json("Print one JSON object instead of a table.")
def command(
    url: str,
    protocol: str,
    model: str,
    kinds: tuple[str, ...],
    stream: bool,
    count: int,
    timestamps: str,
    as_json: bool,
) -> None:
    """Ask the model server at URL how it is: once, now.

    Shows what the server is, what each probe found and how long each part took. Exit 0 when every probe is healthy,
    1 when one is not.
    """
    from exporter import log
    from exporter.cli import probe_json, probe_report

    log.configure("error")
    if stream and kinds:
        kinds = (*kinds, "stream")
    with errors.told():
        reports = asyncio.run(_ask(url, protocol, model, tuple(dict.fromkeys(kinds)), stream, count, timestamps))
    if as_json:
        click.echo(json.dumps(probe_json.document(reports), ensure_ascii=False))
    else:
        probe_report.tell(sheet(), reports)
    sys.exit(0 if probe_json.healthy(reports) else 1)


async def _ask(
    url: str, protocol: str, model: str, kinds: tuple[str, ...], stream: bool, count: int, timestamps: str
) -> "list[ProbeReport]":
    from exporter import once
    from exporter.model.job import Kind

    wanted = tuple(Kind(kind) for kind in kinds)
    settings = {"timestamps": timestamps}
    progress = sheet(sys.stderr)
    reports = []
    with progress.live(transient=True) as live:
        for done in range(count):
            if live is not None and count > 1:
                live.text(f"{done} of {count}")
            reports.append(
                await once.probe(url, protocol=protocol, model=model, kinds=wanted, stream=stream, settings=settings)
            )
    return reports
