"""`model-exporter demo`: fake model servers and the exporter, with nothing to install or configure."""

import asyncio
import signal
import socket
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from exporter.cli import errors, options
from exporter.cli.command import Command
from exporter.cli.sheet import Live, Sheet, Table, sheet
from exporter.cli.words import clean, count, number, seconds

if TYPE_CHECKING:
    from exporter.app import Daemon
    from exporter.demo.stage import Stage
    from exporter.ledger import TargetRecord
    from exporter.model.state import State

#: Seconds between two looks at the states.
_LOOK = 0.25


@click.command(
    "demo",
    cls=Command,
    short_help="Start fake model servers and watch them: everything works at once.",
    examples=("model-exporter demo", "model-exporter demo --duration 1m"),
)
@options.option(
    "--duration",
    type=options.Duration(zero=False),
    metavar="D",
    help="End by itself after this time; without it, Ctrl-C ends the demo.",
)
def command(duration: float | None) -> None:
    """Start fake model servers and the exporter that watches them: everything works at once.

    Each server goes wrong in its own way within the first minute. All of it stays on this machine: the servers take
    free ports on 127.0.0.1, the exporter 10838 if that is free.
    """
    from exporter import log

    log.configure("error")
    with errors.told():
        asyncio.run(_play(duration))


async def _play(duration: float | None) -> None:
    import yaml

    from exporter.app import Daemon
    from exporter.demo.scenes import config
    from exporter.demo.stage import Stage
    from exporter.options import DEFAULT_PORT, Options

    stop = asyncio.Event()
    for number_ in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number_, stop.set)
    out = sheet()
    async with Stage() as stage:
        with tempfile.TemporaryDirectory(prefix="model-exporter-demo-") as folder:
            path = Path(folder, "demo.yml")
            await asyncio.to_thread(path.write_text, yaml.safe_dump(config(stage.urls), sort_keys=False))
            listen = ("127.0.0.1", _port(DEFAULT_PORT))
            daemon = Daemon(Options(config=(path,), listen=(listen,), reload_interval=0.0, shutdown_grace=0.0))
            try:
                await daemon.start()
                stage.start()
                _introduce(out, stage, daemon)
                await _show(out, daemon, stop, duration)
            finally:
                await daemon.stop()


def _port(wanted: int) -> int:
    """The wanted port, or 0 (any) where another program has it."""
    with socket.socket() as trial:
        trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            trial.bind(("127.0.0.1", wanted))
        except OSError:
            return 0
    return wanted


def _introduce(out: Sheet, stage: "Stage", daemon: "Daemon") -> None:
    host, port = daemon.addresses[0]
    base = f"http://{host}:{port}"
    out.line("The exporter", strong=True)
    out.pairs(
        [
            ("page", f"{base}/"),
            ("metrics", f"{base}/metrics"),
        ]
    )
    out.line()
    out.line("Fake model servers, and what to look for", strong=True)
    out.table(
        Table(
            ("server", "address", "what to look for"),
            [(scene.name, stage.urls[scene.name], scene.look_for) for scene in stage.scenes],
            wrap="what to look for",
        )
    )
    out.line()
    url = stage.urls["assistant"]
    out.line("Ask one yourself; Ctrl-C ends the demo", strong=True)
    out.line(f"  model-exporter probe {url} --stream")
    out.line(f"  curl '{base}/probe?target={url}&module=chat'")
    out.line()


async def _show(out: Sheet, daemon: "Daemon", stop: asyncio.Event, duration: float | None) -> None:
    """Draw the states until it is over: a live table on a terminal, a line for each change elsewhere."""
    began = time.monotonic()
    seen: dict[str, State] = {}
    changes = 0
    with out.live() as live:
        while True:
            past = time.monotonic() - began
            for record in daemon.ledger:
                name = record.target.name
                if seen.get(name) is record.state:
                    continue
                before, seen[name] = seen.get(name), record.state
                if before is None:
                    continue
                changes += 1
                if live is None:
                    out.line(_change(past, record, before))
            if live is not None:
                _draw(live, daemon, past)
            if duration is not None and past >= duration:
                break
            try:
                await asyncio.wait_for(stop.wait(), _LOOK if duration is None else min(_LOOK, duration - past))
                break
            except TimeoutError:
                continue
    out.line(f"The demo ends after {seconds(round(past, 1))}: {count(changes, 'change')} of state seen.")


def _change(past: float, record: "TargetRecord", before: "State") -> str:
    verdict = record.verdict
    why = f"  ({verdict.reason}: {clean(verdict.detail, 120)})" if verdict.reason else ""
    return f"{past:6.1f}s  {record.target.name}: {before} -> {verdict.state}{why}"


def _draw(live: Live, daemon: "Daemon", past: float) -> None:
    now = time.time()
    rows = [_row(record, now) for record in daemon.ledger]
    table = Table(
        ("server", "state", "since", "latency", "1st token", "tokens/s", "seen"),
        rows,
        right=frozenset({"since", "latency", "1st token", "tokens/s"}),
        wrap="seen",
    )
    live.update(f"Live states after {past:.0f} s", table)


def _row(record: "TargetRecord", now: float) -> tuple[str, ...]:
    """One target: its state and what its canary measured last."""
    verdict = record.verdict
    canary = next((probe for probe in record.probes.values() if probe.job.kind.canary), None)
    last = canary.last if canary else None
    stream = last.observation.stream if last else None
    ttft = min(stream.ttft.values(), default=None) if stream else None
    if verdict.reason:
        said = f"{verdict.reason}: {clean(verdict.detail, 90)}"
    else:
        version = record.info.get("model_version") or record.info.get("server_version", "")
        said = f"version {clean(version, 30)}" if version else ""
    return (
        record.target.name,
        str(verdict.state),
        f"{now - record.since:.0f} s",
        seconds(canary.last_duration if canary else None),
        seconds(ttft),
        number(round(stream.output_tokens_per_second) if stream and stream.output_tokens_per_second else None),
        said,
    )
