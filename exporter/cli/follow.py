"""`model-exporter follow`: the log of one training job, live, and how it ended."""

import asyncio
import json
import signal
import sys
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

import click
from click.shell_completion import CompletionItem

from exporter import USER_AGENT
from exporter.cli import options
from exporter.cli.command import Command
from exporter.cli.sheet import Sheet, sheet

if TYPE_CHECKING:
    from exporter.ledger.training import TrainingRecord
    from exporter.model.training import Outcome
    from exporter.training.follow import Follower, Job

#: Seconds of silence after which a job whose log told its end is over: often its last evaluation follows.
_SETTLE = 2.0
#: Seconds between two looks at the job, and between two lines where there is no terminal.
_LOOK, _EVERY = 0.1, 1.0
#: What shells say of a program that was ended by Ctrl-C.
_INTERRUPTED = 130
#: Where the words of COMMAND lie, which click itself would take for a SOURCE.
_WORDS = "exporter.follow.words"


class _Follow(Command):
    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Keep what follows `--` as it is: it is a command with options of its own."""
        if "--" in args:
            at = args.index("--")
            ctx.meta[_WORDS] = tuple(args[at + 1 :])
            args = args[:at]
        return super().parse_args(ctx, args)

    def collect_usage_pieces(self, ctx: click.Context) -> list[str]:
        return ["[OPTIONS]", "SOURCE | -- COMMAND..."]


def _presets(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    from exporter.training.presets import PRESETS

    return [CompletionItem(name) for name in PRESETS if name.startswith(incomplete)]


@click.command(
    "follow",
    cls=_Follow,
    short_help="Follow the log of a training job, live; exit as it ends.",
    examples=(
        "model-exporter follow train.log",
        "model-exporter follow --preset huggingface -- python train.py --epochs 3",
        "kubectl logs -f job/train | model-exporter follow -",
        "model-exporter follow http://trainer:9100/log --regex 'step (?P<step>\\d+) loss (?P<loss>\\S+)'",
        "model-exporter follow mlflow://127.0.0.1:5000/0123456789abcdef0123456789abcdef",
    ),
)
@click.argument("source", required=False, shell_complete=options.files)
@options.option(
    "--preset", metavar="P", shell_complete=_presets,
    help="What prints the lines: huggingface, json, keras, lightgbm, lightning, plain or "
    "xgboost. Default: plain.",
)  # fmt: skip
@options.option(
    "--regex", metavar="R", help="In place of a preset: each named group is a value, but step, steps, epoch, epochs "
    "and progress.",
)  # fmt: skip
@options.option(
    "--diverged", metavar="NAME", help="It is not good either when this value diverged: each of the last 10 was more "
    "than twice the smallest.",
)  # fmt: skip
@options.option(
    "--stall-after", type=options.Duration(zero=False), default="10m", show_default=True, metavar="D",
    help="Show it as stalled when it told no value for so long.",
)  # fmt: skip
@options.as_json("Print one JSON object at the end, and nothing before.")
@click.pass_context
def command(
    ctx: click.Context,
    source: str | None,
    preset: str | None,
    regex: str | None,
    diverged: str | None,
    stall_after: float,
    as_json: bool,
) -> None:
    """Follow the log of a training job, live, until it ends.

    SOURCE is a file, a url of a log (http, https), a run of an MLflow tracking server (mlflow://HOST:PORT/RUN, or
    mlflow+https), a pod (kubernetes://NAMESPACE/POD[/CONTAINER]), or - for standard input. COMMAND is started, and what
    it prints is followed.

    Exit 0 when the job finished; 1 when it failed, was killed or diverged, or its last values are not finite. A job
    ends by COMMAND's exit status, the run's or the pod's status, or a line that says so; where only the log ends, its
    values decide. Ctrl-C ends the following alone, with 130.
    """
    from exporter import log
    from exporter.cli.follow_view import document, good

    words: tuple[str, ...] | None = ctx.meta.get(_WORDS)
    if (source is None) == (not words):
        raise click.UsageError("Give a SOURCE, or a command after --; one of them.")
    log.configure("error")
    entry: dict[str, Any] = {"job": "follow"}
    entry |= {"preset": preset} if preset is not None else {}
    entry |= {"regex": regex} if regex is not None else {}
    entry |= {"diverged": {"name": diverged}} if diverged is not None else {}
    job = _job(entry, source, words or (), stall_after)
    try:
        record, interrupted = asyncio.run(_follow(job, sheet(), quiet=as_json))
    except OSError as error:
        raise click.UsageError(f"Cannot run {job.source.shown}: {error.strerror}.") from None
    if as_json:
        click.echo(json.dumps(document(record, job.source.shown), ensure_ascii=False))
    if interrupted and record.outcome is None:
        sys.exit(_INTERRUPTED)
    sys.exit(0 if good(record) else 1)


def _job(entry: dict[str, Any], source: str | None, words: Sequence[str], stall_after: float) -> "Job":
    """The job as a config file would have it, so that everything is judged as there."""
    from dataclasses import replace

    from exporter.config import loader
    from exporter.config.training import followed
    from exporter.training.follow import Job
    from exporter.training.sources.process import Command as Program
    from exporter.training.sources.process import Pipe

    own = Program(tuple(words)) if words else Pipe() if source == "-" else None
    entry |= {"file": {"path": "-"}} if own is not None else _place(source or "")
    try:
        file = loader.load_values({"training": [entry]}, name="follow").file
    except loader.ConfigError as error:
        told = [f"{problem.path.rpartition('.')[2]}: {problem.message}" for problem in error.problems]
        raise click.UsageError("\n".join(told)) from None
    (job,) = followed(file.training or ())
    assert isinstance(job, Job)  # noqa: S101 - no SOURCE is a glob
    job = replace(job, rules=replace(job.rules, stall_after=stall_after))
    return job if own is None else replace(job, source=own)


def _place(source: str) -> dict[str, Any]:
    """What a SOURCE is in a config file."""
    scheme, colon, _ = source.partition("://")
    scheme = scheme.lower()
    if not colon:
        return {"file": {"path": source}}
    if scheme in ("http", "https"):
        return {"http": {"url": source}}
    parts = urlsplit(source)
    path = [unquote(part) for part in parts.path.split("/") if part]
    if scheme in ("mlflow", "mlflow+http", "mlflow+https") and path:
        prefix = "".join(f"/{part}" for part in path[:-1])
        kind = "https" if scheme.endswith("https") else "http"
        return {"mlflow": {"url": f"{kind}://{parts.netloc}{prefix}", "run": path[-1]}}
    if scheme == "kubernetes" and parts.netloc and len(path) in (1, 2):
        container = {"container": path[1]} if len(path) == 2 else {}
        return {"kubernetes": {"namespace": parts.netloc, "pod": path[0], **container}}
    raise click.UsageError(
        f"{source!r} is no SOURCE; allowed: a file, http://..., https://..., mlflow://HOST:PORT/RUN, "
        "kubernetes://NAMESPACE/POD, or -."
    )


async def _follow(job: "Job", out: Sheet, *, quiet: bool) -> "tuple[TrainingRecord, bool]":
    """Follow until the end; the record, and whether Ctrl-C was the end."""
    from exporter.cli.follow_view import View, good
    from exporter.ledger.training import TrainingRecord
    from exporter.training.follow import Follower, Pace
    from exporter.transport import Transport

    record = TrainingRecord(job.name, job.rules, time.time())
    transport = Transport(user_agent=USER_AGENT)
    shown = sheet(sys.stderr) if quiet else out
    with shown.live(transient=quiet) as live:
        view = View(record, job.source.shown, shown, live, every=_EVERY)
        follower = Follower(job, record, transport, Pace(share=1.0), told=view.note)
        try:
            interrupted = await _until_over(follower, record, None if quiet and live is None else view.draw)
        finally:
            await transport.close()
    if not quiet:
        view.end(good=good(record))
    return record, interrupted


async def _until_over(follower: "Follower", record: "TrainingRecord", draw: Callable[[str], None] | None) -> bool:
    from exporter.training.sources.process import Command as Program

    interrupts = 0

    def interrupt() -> None:
        nonlocal interrupts
        interrupts += 1

    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGINT, interrupt)
    # A program hears Ctrl-C too, and its exit status tells what it made of it.
    program = isinstance(follower.job.source, Program)
    following = asyncio.create_task(follower.run())
    seen: tuple[int, Outcome | None] | None = None
    heard = time.monotonic()
    try:
        while not following.done():
            await asyncio.wait({following}, timeout=_LOOK)
            if draw is not None:
                draw(follower.trouble)
            now = time.monotonic()
            if (record.line_count, record.outcome) != seen:
                seen, heard = (record.line_count, record.outcome), now
            if interrupts > program:
                return True
            if record.outcome is not None and not program and now - heard >= _SETTLE:
                break
        else:
            following.result()
    finally:
        loop.remove_signal_handler(signal.SIGINT)
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)
    return False
