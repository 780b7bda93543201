"""`model-exporter wait`: a gate for pipelines."""

import asyncio
import json
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from exporter.cli import errors, options
from exporter.cli.command import Command
from exporter.cli.sheet import Live, Table, sheet
from exporter.cli.words import clean, count, seconds

if TYPE_CHECKING:
    from exporter.rollout.wait import GateVerdict, Standing

#: Targets in the live table: those that hold the gate up come first.
_SHOWN = 15


@click.command(
    "wait",
    cls=Command,
    short_help="Wait until all targets are good: a gate for pipelines.",
    examples=("model-exporter wait --config models.yml --select team=chat --timeout 10m && ./go-on.sh",),
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
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    metavar="N",
    help="How many good runs in a row each target must have.",
)
@options.as_json("Print the verdict as JSON.")
def command(
    config: tuple[Path, ...], select: tuple[tuple[str, str], ...], timeout: float, consecutive: int, as_json: bool
) -> None:
    """Wait until all targets are good; exit 0 then, 1 when the time is over first.

    A target is good when its state is healthy and its canaries (or, where it has none, its health and ready probes)
    had N healthy runs in a row that began after this command did. What happened before proves nothing.
    """
    from exporter import app, log, once

    log.configure("error")
    watched = sheet(sys.stderr)
    began = time.monotonic()
    with errors.told(config), watched.live(transient=True) as live:
        verdict = asyncio.run(
            once.wait(
                app.Options(config=config, listen=(), reload_interval=0.0, shutdown_grace=0.0, windows=False),
                select=select,
                consecutive=consecutive,
                timeout=timeout,
                on_update=_progress(live, began, timeout),
            )
        )
    if not verdict.standings:
        raise click.UsageError(_nothing(config, select))
    if as_json:
        click.echo(json.dumps(verdict.as_json()))
    else:
        _tell(verdict, time.monotonic() - began)
    sys.exit(0 if verdict.ready else 1)


def _nothing(config: Sequence[Path], select: Sequence[tuple[str, str]]) -> str:
    """Why no target was selected, and what could have been."""
    from exporter.config import build, loader
    from exporter.rollout.wait import traits

    if not select:
        return "The config has no target to wait for."
    known: dict[str, set[str]] = {}
    for job in build.build(loader.load(config).file).jobs:
        for key, value in traits(job.target).items():
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
            str(standing.reason or ""),
            clean(standing.detail, 100) + (f" (try `{standing.hint}`)" if standing.hint else ""),
        )
        for standing in standings
    ]
    return Table(
        ("target", "state", "good runs", "reason", "detail"), rows, right=frozenset({"good runs"}), wrap="detail"
    ).without_empty()


def _tell(verdict: "GateVerdict", took: float) -> None:
    out = sheet()
    if verdict.ready:
        out.line(f"good: {count(len(verdict.standings), 'target')}, after {seconds(took)}", strong=True)
        return
    many = count(len(verdict.standings), "target")
    out.line(f"not good: {len(verdict.blocking)} of {many}, after {seconds(took)}", strong=True)
    out.table(_table(verdict.blocking))
