"""`model-exporter deploy`: bring a model to environments, one wave after the other, and take it back again."""

import asyncio
import os
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from exporter.cli import deploy_report, errors, options
from exporter.cli.command import Command
from exporter.cli.sheet import sheet

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from exporter.model.deployment import Deployment
    from exporter.rollout.deploy import Rules
    from exporter.rollout.group import Group, Planned, Seat
    from exporter.rollout.seats import Seats
    from exporter.rollout.verdict import GateVerdict

STATE = "model-exporter-deploy.jsonl"


class Wave(click.ParamType[tuple[str, ...]]):
    """`ENV[,ENV]...`."""

    name = "env[,env]..."

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, ...]:
        """See the class."""
        if isinstance(value, tuple):
            return value
        names = tuple(name.strip() for name in value.split(","))
        if not all(names):
            self.fail(f"{value!r} has an empty name in it; allowed: such as staging or eu,us.", param, ctx)
        return names


@click.command(
    "deploy",
    cls=Command,
    short_help="Bring a model to environments, wave by wave; take it back.",
    examples=(
        "model-exporter deploy --config models.yml --model fraud --version 4 --to staging --to eu,us --dry-run",
        "model-exporter deploy --config models.yml --rollback 20261125-181500-3f9a",
    ),
)
@options.config(required=True, help="The config with the targets and environments; can be repeated.")
@options.option("--model", metavar="M", default="", help="The model, as its targets name it.")
@options.option("--version", metavar="V", default="", help="The version. Default: what the server's repository has.")
@options.option(
    "--to",
    type=Wave(),
    multiple=True,
    metavar="ENV[,ENV]...",
    help="A wave: environments that get the model together. Each further --to is a wave that begins when all of the "
    "one before it is good.",
)
@options.option(
    "--parallel",
    type=click.IntRange(1, 100),
    default=4,
    show_default=True,
    metavar="N",
    help="Environments of a wave at the same time.",
)
@options.option(
    "--timeout",
    type=options.Duration(zero=False),
    default="10m",
    show_default=True,
    metavar="D",
    help="How long one environment may take, until its targets are good.",
)
@options.option("--stop-on-failure", is_flag=True, help="When one fails, begin no other environment of its wave.")
@options.option(
    "--state",
    type=click.Path(dir_okay=False, path_type=Path),
    default=STATE,
    show_default=True,
    metavar="FILE",
    help="Where each step is recorded before it is made.",
)
@options.option("--dry-run", is_flag=True, help="Look at the servers, print the calls, change nothing.")
@options.option("--rollback", metavar="ID", default="", help="Take back what a deployment in --state did.")
@options.option("--force", is_flag=True, help="Patch an InferenceService that Argo CD or Flux owns, too.")
@options.as_json("Print one JSON object.")
def command(
    config: tuple[Path, ...],
    model: str,
    version: str,
    to: tuple[tuple[str, ...], ...],
    state: Path,
    dry_run: bool,
    rollback: str,
    force: bool,
    as_json: bool,
    **rules: Any,
) -> None:
    """Bring a model to environments; exit 0 when all of them are good.

    An environment is good when its servers have what was asked for and, after that, its targets pass the same gate as
    in `wait`: a load call that was answered well proves nothing. Exit 1 when one is not, 2 when something is asked for
    that cannot be done: then nothing was touched.
    """
    from exporter import log
    from exporter.config import loader
    from exporter.config.environments import deployment
    from exporter.rollout.deploy import Rules
    from exporter.rollout.record import RecordError
    from exporter.rollout.ways import Cannot

    _check(model, version, to, dry_run=dry_run, rollback=rollback)
    log.configure("error")
    with errors.told(config):
        known = deployment(loader.load(config).file)
    command = _Command(config, known, state, Rules(**rules), force=force, as_json=as_json)
    try:
        if rollback:
            good = asyncio.run(command.roll_back(rollback))
        else:
            good = asyncio.run(command.deploy(model, version, to, dry_run=dry_run))
    except (Cannot, RecordError) as error:
        for line in str(error).splitlines():
            click.echo(f"Error: {line}", err=True)
        sys.exit(2)
    sys.exit(0 if good else 1)


def _check(model: str, version: str, to: Sequence[Sequence[str]], *, dry_run: bool, rollback: str) -> None:
    """Refuse options that do not go together."""
    if rollback:
        if dry_run:
            raise click.UsageError("--dry-run and --rollback do not go together.")
        if model or version or to:
            raise click.UsageError("--rollback takes back all of a deployment: leave --model, --version and --to out.")
        return
    if not model:
        raise click.UsageError("Missing option '--model': which model is it?")
    if not to:
        raise click.UsageError("Missing option '--to': which environments of the config?")
    names = [name for wave in to for name in wave]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise click.UsageError(f"{', '.join(twice)} would be deployed to twice: name each environment once.")


@dataclass(frozen=True, slots=True)
class _Command:
    """One run of the command, with what its options say."""

    config: Sequence[Path]
    known: "Deployment"
    state: Path
    rules: "Rules"
    force: bool
    as_json: bool

    async def deploy(self, model: str, version: str, to: Sequence[Sequence[str]], *, dry_run: bool) -> bool:
        """Plan, and unless it is a dry run, do it; whether all is good."""
        from exporter.rollout.deploy import Outcome, deploy
        from exporter.rollout.group import plan
        from exporter.rollout.record import Record
        from exporter.rollout.ways import Wanted

        identity = f"{time.strftime('%Y%m%d-%H%M%S', time.gmtime())}-{os.urandom(2).hex()}"
        wanted = Wanted(model, version, identity)
        async with self._seats(wanted) as seats:
            waves = [[self._group(name, seats) for name in wave] for wave in to]
            planned = await plan(group for wave in waves for group in wave)
            if dry_run:
                self._print_plan(planned, to)
                return not any(each.failure for each in planned)
            with Record(self.state, identity) as record:
                record.begin(model, version, to)
                click.echo(f"deployment {identity}, recorded in {self.state}", err=True)
                with sheet(sys.stderr).live(transient=True) as live:
                    reports = await deploy(waves, self.rules, record, deploy_report.progress(live))
                good = all(report.outcome is Outcome.GOOD for report in reports)
                record.end(good=good)
        self._print(deploy_report.deployed_json(wanted, reports, good, self.state), lambda: deploy_report.tell(reports))
        if any(report.calls for report in reports) and not good:
            click.echo(f"to take it back: {self._back(identity)}", err=True)
        return good

    async def roll_back(self, identity: str) -> bool:
        """Take a deployment back; whether nothing of it is left."""
        from exporter.rollout.back import roll_back
        from exporter.rollout.record import Record

        with Record(self.state, identity, new=False) as record:
            entry = record.entry(identity)
            async with self._seats(entry.wanted) as seats:
                with sheet(sys.stderr).live(transient=True) as live:
                    returns = await roll_back(
                        entry.newest_first, seats.again, self.rules, record, deploy_report.going_back(live)
                    )
            good = all(each.good for each in returns)
            record.end(good=good, rollback=True)
        self._print(deploy_report.undone_json(identity, returns, good), lambda: deploy_report.tell_back(returns))
        return good

    def _group(self, name: str, seats: "Seats") -> "Group":
        from exporter.rollout.group import Group

        async def gate(
            there: "Sequence[Seat]", timeout: float, on_update: "Callable[[GateVerdict], None]"
        ) -> "GateVerdict":
            from exporter import once
            from exporter.options import Options
            from exporter.rollout.wait import Terms

            names = [site.target.name for site in seats.sites(name)]
            version = seats.wanted.version if all(seat.way.tells_version for seat in there) else ""
            options = Options(config=tuple(self.config), only=frozenset(names))
            terms = Terms(tuple(("target", each) for each in names), version=version)
            return await once.wait(options, terms, timeout, on_update)

        return Group(name, lambda: seats.of(name), gate)

    @asynccontextmanager
    async def _seats(self, wanted: Any) -> "AsyncIterator[Seats]":
        from exporter import USER_AGENT
        from exporter.rollout.caller import Identity
        from exporter.rollout.seats import Seats
        from exporter.transport import Transport

        transport = Transport(user_agent=USER_AGENT)
        identity = Identity(transport)
        try:
            yield Seats(self.known, wanted, transport, identity, self.force)
        finally:
            identity.close()
            await transport.close()

    def _back(self, identity: str) -> str:
        files = " ".join(f"--config {path}" for path in self.config)
        return f"model-exporter deploy {files} --state {self.state} --rollback {identity}"

    def _print_plan(self, planned: "Sequence[Planned]", to: Sequence[Sequence[str]]) -> None:
        self._print(deploy_report.planned_json(planned, to), lambda: deploy_report.tell_plan(planned, to))

    def _print(self, value: Any, tell: Callable[[], None]) -> None:
        if self.as_json:
            click.echo(deploy_report.as_text(value))
        else:
            tell()
