"""`model-exporter init`: a config for servers that are there."""

import asyncio
import sys
from typing import TYPE_CHECKING, Any

import click

from exporter.cli import errors
from exporter.cli.command import Command
from exporter.cli.sheet import Live, sheet
from exporter.cli.words import clean

if TYPE_CHECKING:
    from exporter.cli.propose import Canary, Proposal
    from exporter.model.endpoint import Endpoint
    from exporter.once import ProbeReport


@click.command(
    "init",
    cls=Command,
    short_help="Ask servers what they are and print a config.",
    examples=("model-exporter init http://127.0.0.1:8000 http://127.0.0.1:8080 > models.yml",),
)
@click.argument("urls", nargs=-1, required=True, metavar="URL...")
def command(urls: tuple[str, ...]) -> None:
    """Ask each server what it is and print a config that watches it.

    The canary that is proposed (a short chat, a prediction on zeros) is tried once; one that the server refuses is
    written as a comment, with the reason. Exit 1 when a server could not be recognised; its target is printed all the
    same.
    """
    from exporter import log
    from exporter.cli.propose import write

    log.configure("error")
    with errors.told():
        proposals = asyncio.run(_ask_all(dict.fromkeys(urls)))
    click.echo(write(proposals), nl=False)
    unknown = [proposal for proposal in proposals if not proposal.protocol]
    for proposal in unknown:
        click.echo(f"Not recognised: {_shown(proposal.url)}: {clean(proposal.why)}", err=True)
    sys.exit(1 if unknown else 0)


async def _ask_all(urls: "dict[str, None]") -> "list[Proposal]":
    with sheet(sys.stderr).live(transient=True) as live:
        return [await _ask(url, live) for url in urls]


async def _ask(url: str, live: Live | None) -> "Proposal":
    from exporter import once
    from exporter.cli import inquire
    from exporter.cli.propose import Proposal

    def tell(text: str) -> None:
        if live is not None:
            live.text(f"{_shown(url)}: {text} ...")

    tell("what is it")
    report = await once.probe(url)
    found = report.detection
    if found is None:
        return Proposal(url, "", "", _trouble(report), "", (), (), None)
    endpoint = report.results[0].job.target.endpoint
    tell("which models")
    listed = await inquire.models(endpoint, found.protocol)
    model = listed[0] if listed else ""
    tell("does it answer")
    canary = await _canary(url, found.protocol, model, endpoint)
    return Proposal(url, found.protocol, found.server, found.why, model, listed[1:], found.probes, canary)


async def _canary(url: str, protocol: str, model: str, endpoint: "Endpoint") -> "Canary | None":
    """The canary for a protocol, tried; None where we do not know what to ask."""
    from exporter import once
    from exporter.cli import inquire, propose
    from exporter.model.failure import Evidence
    from exporter.model.job import Kind

    settings: dict[str, Any]
    if protocol == "openai" and model:
        name, settings = "stream", propose.stream_settings()
        comment = "The real question: does it speak, and how fast? About two dozen tokens a run."
    elif protocol == "open_inference" and model and (tensors := await inquire.inputs(endpoint, model)):
        name, settings = "infer", propose.infer_settings(tensors)
        comment = "The real question: does it predict? Put a true example in place of the zeros, and expect its answer."
    else:
        return None
    report = await once.probe(
        url, protocol=protocol, model=model, kinds=(Kind(name),), settings={"probes": {name: settings}}
    )
    # A server that is slow, busy or gone says nothing against the question.
    misfit = any(result.evidence in (Evidence.REFUSED, Evidence.WRONG, Evidence.BROKEN) for result in report.results)
    return propose.Canary(name, settings, comment, _trouble(report), misfit)


def _shown(url: str) -> str:
    """A url for the screen: its query may hold a key."""
    return clean(url.partition("?")[0])


def _trouble(report: "ProbeReport") -> str:
    """Why the first run that was not healthy was not; empty when all were."""
    for result in report.results:
        if result.reason is not None:
            return f"{result.reason}: {result.detail}" if result.detail else str(result.reason)
    return "" if report.results else "nothing was asked"
