"""`model-exporter init`: a config for servers that are there."""

import asyncio
import sys
from dataclasses import replace
from typing import TYPE_CHECKING

import click

from exporter.cli import errors
from exporter.cli.command import Command
from exporter.cli.sheet import Live, sheet
from exporter.cli.words import clean

if TYPE_CHECKING:
    from collections.abc import Callable

    from exporter.cli.propose import Canary, Entry
    from exporter.model.observation import Detection
    from exporter.once import ProbeReport

#: Models of one server that get a target each.
MOST_TARGETS = 3


@click.command(
    "init",
    cls=Command,
    short_help="Ask servers what they are and print a config.",
    examples=("model-exporter init http://127.0.0.1:8000 http://127.0.0.1:8080 > models.yml",),
)
@click.argument("urls", nargs=-1, required=True, metavar="URL...")
def command(urls: tuple[str, ...]) -> None:
    """Ask each server what it is and print a config that watches it.

    A server that lists its models gets a target for each of the first three. The canary that is proposed (a short
    chat, a prediction on zeros) is tried once; one that the server refuses is written as a comment, with the reason.
    Exit 1 when a server could not be recognised; its target is printed all the same.
    """
    from exporter import log
    from exporter.cli.propose import write

    log.configure("error")
    with errors.told():
        entries = asyncio.run(_ask_all(dict.fromkeys(urls)))
    click.echo(write(entries), nl=False)
    unknown = [entry for entry in entries if not entry.protocol]
    for entry in unknown:
        click.echo(f"Not recognised: {_shown(entry.url)}: {clean(entry.why)}", err=True)
    sys.exit(1 if unknown else 0)


async def _ask_all(urls: "dict[str, None]") -> "list[Entry]":
    with sheet(sys.stderr).live(transient=True) as live:
        return [entry for url in urls for entry in await _ask(url, live)]


async def _ask(url: str, live: Live | None) -> "list[Entry]":
    from exporter import once
    from exporter.cli.propose import Entry

    def tell(text: str) -> None:
        if live is not None:
            live.text(f"{_shown(url)}: {text} ...")

    tell("what is it")
    report = await once.probe(url)
    found = report.detection
    if found is None:
        return [Entry(url, "", "", _trouble(report), "", (), (), None)]
    tell("which models")
    listed = await once.catalogue(url, found.protocol)
    models, others = listed[:MOST_TARGETS] or ("",), listed[MOST_TARGETS:]
    entries = [await _entry(url, found, model, tell) for model in models]
    entries[-1] = replace(entries[-1], others=others)
    return entries


async def _entry(url: str, found: "Detection", model: str, tell: "Callable[[str], None]") -> "Entry":
    from exporter import protocols
    from exporter.cli.propose import Entry

    tell(f"does {clean(model, 60)} answer" if model else "does it answer")
    canary = await _canary(url, found.protocol, model)
    wanting = tuple(kind.value for kind in protocols.load(found.protocol).kinds if kind.canary)
    return Entry(url, found.protocol, found.server, found.why, model, (), found.probes, canary, wanting)


async def _canary(url: str, protocol: str, model: str) -> "Canary | None":
    """The canary for a protocol, tried; None where we do not know what to ask."""
    from exporter import once
    from exporter.cli.propose import Canary
    from exporter.model.failure import Evidence
    from exporter.model.job import Kind

    proposal = await once.propose(url, protocol, model)
    if proposal is None:
        return None
    report = await once.probe(
        url, protocol=protocol, model=model, kinds=(Kind(proposal.kind),),
        settings={"probes": {proposal.kind: dict(proposal.settings)}},
    )  # fmt: skip
    # A server that is slow, busy or gone says nothing against the question, nor does a model that was left asleep.
    misfit = any(result.evidence in (Evidence.REFUSED, Evidence.WRONG, Evidence.BROKEN) for result in report.results)
    return Canary(proposal.kind, proposal.settings, proposal.comment, _trouble(report), misfit)


def _shown(url: str) -> str:
    """A url for the screen: its query may hold a key."""
    return clean(url.partition("?")[0])


def _trouble(report: "ProbeReport") -> str:
    """Why the first run that was not healthy was not; empty when all were."""
    for result in report.results:
        if result.skipped:
            return f"the model is {result.skipped}"
        if result.reason is not None:
            return f"{result.reason}: {result.detail}" if result.detail else str(result.reason)
    return "" if report.results else "nothing was asked"
