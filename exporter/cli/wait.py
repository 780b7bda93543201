"""`model-exporter wait`: a gate for pipelines."""

import asyncio
import json
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from exporter.cli import errors, options
from exporter.cli.command import Command
from exporter.cli.sheet import Live, Table, sheet
from exporter.cli.words import clean, count, seconds
from exporter.model.target import MAX_ADDRESSES

if TYPE_CHECKING:
    from exporter.rollout.wait import GateVerdict, Standing

#: Targets in the live table: those that hold the gate up come first.
_SHOWN = 15


@click.command(
    "wait",
    cls=Command,
    short_help="Wait until all targets are good: a gate for pipelines.",
    examples=(
        "model-exporter wait --config models.yml --select team=chat --timeout 10m && ./go-on.sh",
        "model-exporter wait --config models.yml --version 3 --max-ttft 2s --json",
    ),
)
@options.config(required=True, help="The config that says what must be good; can be repeated.")
@options.option(
    "--select",
    type=options.Pair(),
    multiple=True,
    metavar="K=V",
    help="Only targets with this label; also target=, model= and protocol=. Repeated: several values of one key are "
    "alternatives, different keys must all fit.",
)
@options.option(
    "--timeout",
    type=options.Duration(zero=False),
    default="5m",
    show_default=True,
    metavar="D",
    help="When to give up.",
)
@options.option(
    "--consecutive",
    type=click.IntRange(1, 1000),
    default=3,
    show_default=True,
    metavar="N",
    help="How many good runs in a row each target must have.",
)
@options.option(
    "--version",
    metavar="V",
    default="",
    help="The version of the model that each target must serve. Those that nothing asks for it are asked now.",
)
@options.option(
    "--min-addresses",
    type=click.IntRange(1, MAX_ADDRESSES),
    default=1,
    metavar="N",
    help="How many addresses each target must be found at, all of them good.",
)
@options.option(
    "--max-duration",
    type=options.Duration(zero=False),
    metavar="D",
    help="How long the answer of a good run may take.",
)
@options.option(
    "--max-ttft",
    type=options.Duration(zero=False),
    metavar="D",
    help="How long the first token of a good run may take.",
)
@options.option(
    "--evaluate",
    is_flag=True,
    help="Also run the golden sets of the targets; each must end well.",
)
@options.as_json("Print the verdict as JSON.")
def command(
    config: tuple[Path, ...],
    select: tuple[tuple[str, str], ...],
    timeout: float,
    as_json: bool,
    **wanted: Any,
) -> None:
    """Wait until all targets are good; exit 0 then, 1 when the time is over first.

    A target is good when its state is healthy and its canaries (or, where it has none, its health and ready probes)
    had N healthy runs in a row that began after this command did. What happened before proves nothing. Runs that are
    missing are pulled forward.
    """
    from exporter import log, once
    from exporter.options import Options
    from exporter.rollout.wait import Terms

    terms = Terms(select=select, **wanted)
    log.configure("error")
    watched = sheet(sys.stderr)
    began = time.monotonic()
    with errors.told(config), watched.live(transient=True) as live:
        verdict = asyncio.run(
            once.wait(Options(config=config), terms, timeout=timeout, on_update=_progress(live, began, timeout))
        )
    if verdict.problem:
        raise click.UsageError(verdict.problem if verdict.standings else _nothing(config, select))
    if as_json:
        click.echo(json.dumps(verdict.as_json()))
    else:
        _tell(verdict, time.monotonic() - began)
    sys.exit(0 if verdict.ready else 1)


def _nothing(config: Sequence[Path], select: Sequence[tuple[str, str]]) -> str:
    """Why no target was selected, and what could have been."""
    from exporter.config import build, loader

    if not select:
        return "The config has no target to wait for."
    known: dict[str, set[str]] = {}
    for job in build.build(loader.load(config).file).jobs:
        for key, value in job.target.traits.items():
            known.setdefault(key, set()).add(value)
    if not known:
        return "No target is selected: the config itself names none, and what was found does not fit."
    hints = []
    for key in dict.fromkeys(key for key, _ in select):
        values = sorted(known.get(key, ()))
        more = ", ..." if len(values) > _SHOWN else ""
        hints.append(f"{key} is {', '.join(values[:_SHOWN])}{more}" if values else f"no target has {key}")
    wanted = " ".join(f"{key}={value}" for key, value in select)
    return (
        f"No target is selected by {wanted}: in this config {'; '.join(hints)}. "
        f"Targets can be selected by {', '.join(sorted(known))}."
    )


def _progress(live: Live | None, began: float, timeout: float) -> "Callable[[GateVerdict], None]":
    def update(verdict: "GateVerdict") -> None:
        if live is not None:
            good = len(verdict.standings) - len(verdict.blocking)
            past = f"{time.monotonic() - began:.0f} s of {seconds(timeout)}"
            shown = sorted(verdict.standings, key=lambda standing: standing.good)[:_SHOWN]
            live.update(f"{good} of {count(len(verdict.standings), 'target')} good, {past}", _table(shown))

    return update


def _table(standings: "Sequence[Standing]") -> Table:
    rows = [
        (
            standing.target,
            str(standing.state),
            f"{standing.have}/{standing.want}",
            standing.version,
            str(standing.reason or ""),
            clean(standing.detail, 100) + (f" (try `{standing.hint}`)" if standing.hint else ""),
        )
        for standing in standings
    ]
    return Table(
        ("target", "state", "good runs", "version", "reason", "detail"),
        rows,
        right=frozenset({"good runs"}),
        wrap="detail",
    ).without_empty()


def _tell(verdict: "GateVerdict", took: float) -> None:
    out = sheet()
    if verdict.ready:
        out.line(f"good: {count(len(verdict.standings), 'target')}, after {seconds(took)}", strong=True)
        return
    many = count(len(verdict.standings), "target")
    out.line(f"not good: {len(verdict.blocking)} of {many}, after {seconds(took)}", strong=True)
    out.table(_table(verdict.blocking))
