"""Work that ends by itself, on the same parts as the daemon: ask a target once, wait until targets are good."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from exporter import protocols
from exporter.app import USER_AGENT, Daemon, Options
from exporter.config import build
from exporter.config.loader import ConfigError
from exporter.engine import Engine, Limits
from exporter.ledger import Ledger, TargetRecord
from exporter.model.job import Kind
from exporter.model.observation import Detection, Observation, Proposal
from exporter.model.result import Result
from exporter.rollout.wait import Gate, GateVerdict
from exporter.transport import Transport

#: Seconds between two looks of `wait`.
_LOOK = 0.2


@dataclass(frozen=True, slots=True)
class ProbeReport:
    """What asking a target once found. `detection` is None when the protocol was named, or when nothing was found."""

    detection: Detection | None
    results: list[Result]


async def probe(
    url: str,
    *,
    protocol: str = "auto",
    model: str = "",
    kinds: Sequence[Kind] = (),
    stream: bool = False,
    settings: Mapping[str, Any] | None = None,
) -> ProbeReport:
    """Ask a target once: all probes at the same time, each with its own attempts.

    `kinds` names the probes (the protocol's default set when empty), `stream` adds one, `settings` holds further keys
    of the target as a config file would have them. Raises ConfigError when they make no sense together.
    """
    detection: Detection | None = None
    async with _asking() as engine:
        if protocol == "auto":
            asked = [await engine.once(job) for job in build.jobs_for_url(url, model=model)]
            detection = asked[0].observation.detected
            if detection is None:
                return ProbeReport(None, asked)
            protocol = detection.protocol
        names = [str(kind) for kind in kinds] or None
        if stream and not kinds:
            default = detection.probes if detection else protocols.load(protocol).default_kinds
            names = [*map(str, default), "stream"]
        elif names is None and detection is not None:
            names = list(detection.probes)
        jobs = build.jobs_for_url(url, protocol=protocol, model=model, probes=names, settings=settings)
        return ProbeReport(detection, list(await asyncio.gather(*(engine.once(job) for job in jobs))))


async def catalogue(url: str, protocol: str) -> tuple[str, ...]:
    """The models a server lists; none where it has no list or does not tell. Raises ConfigError."""
    observation = await _question(url, protocol, Kind.CATALOGUE)
    return (observation.models or ()) if observation is not None else ()


async def propose(url: str, protocol: str, model: str = "") -> Proposal | None:
    """A canary for a server and a model, by what the server tells; None where there is nothing to propose.

    Raises ConfigError.
    """
    observation = await _question(url, protocol, Kind.PROPOSE, model)
    proposal = observation.proposal if observation is not None else None
    if proposal is None:
        return None
    try:
        settings = {"probes": {proposal.kind: dict(proposal.settings)}}
        build.jobs_for_url(url, protocol=protocol, model=model, probes=[proposal.kind], settings=settings)
    except ConfigError:  # what the server says of itself cannot be asked for
        return None
    return proposal


async def _question(url: str, protocol: str, kind: Kind, model: str = "") -> Observation | None:
    """What a question that no config can name brought; None where the protocol does not offer it."""
    job = build.job_for_question(url, protocol, kind, model)
    if job is None:
        return None
    async with _asking() as engine:
        return (await engine.once(job)).observation


@asynccontextmanager
async def _asking() -> AsyncIterator[Engine]:
    """An engine for single runs, and one memory for all of them."""
    transport = Transport(user_agent=USER_AGENT)
    memory: dict[str, Any] = {}
    try:
        yield Engine(
            ledger=Ledger(),
            open_exchange=lambda job, deadline, trace_id, *, aside=False: transport.exchange(
                job.target.endpoint, deadline=deadline, trace_id=trace_id, memory=memory
            ),
            limits=Limits(),
            on_change=lambda change: None,
            on_result=lambda result: None,
        )
    finally:
        await transport.close()


async def wait(
    options: Options,
    *,
    select: Sequence[tuple[str, str]] = (),
    consecutive: int = 1,
    timeout: float = 60.0,
    on_update: Callable[[GateVerdict], None] = lambda verdict: None,
) -> GateVerdict:
    """Watch the configured targets until every selected one is good, or until the timeout; returns the last verdict."""
    daemon = Daemon(options, on_result=lambda result: gate.feed(result))
    gate = Gate(since=daemon.ledger.clock(), consecutive=consecutive, select=select)
    until = daemon.ledger.clock() + timeout
    await daemon.start()
    try:
        while True:
            gate.watch(daemon.jobs, daemon.unread)
            verdict = gate.verdict(
                lambda name: daemon.ledger.targets[name].verdict, lambda name: _passed_over(daemon.ledger.targets[name])
            )
            on_update(verdict)
            if verdict.ready or daemon.ledger.clock() >= until:
                return verdict
            await asyncio.sleep(min(_LOOK, max(0.0, until - daemon.ledger.clock())))
    finally:
        await daemon.stop()


def _passed_over(record: TargetRecord) -> dict[str, str]:
    """Probes that do not run just now, and why."""
    return {name: reason for name, probe in record.probes.items() for reason, on in probe.paused.items() if on}
