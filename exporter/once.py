"""Work that ends by itself, on the same parts as the daemon: ask a target once, evaluate one, wait until targets are
good.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any

from exporter import USER_AGENT, protocols
from exporter.app import Daemon
from exporter.config import on_demand
from exporter.config.loader import ConfigError
from exporter.contracts import AskMany
from exporter.engine import Engine, Limits
from exporter.evaluation import Evaluations, Progress, Record
from exporter.ledger import Ledger
from exporter.model.job import Job, Kind
from exporter.model.observation import Detection, Observation, Proposal
from exporter.model.result import Result
from exporter.options import Options
from exporter.rollout.wait import GateVerdict, Pace, Tally, Terms
from exporter.slices import unhurried
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
            asked = [await engine.once(job) for job in on_demand.jobs_for_url(url, model=model)]
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
        jobs = on_demand.jobs_for_url(url, protocol=protocol, model=model, probes=names, settings=settings)
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
        on_demand.jobs_for_url(url, protocol=protocol, model=model, probes=[proposal.kind], settings=settings)
    except ConfigError:  # what the server says of itself cannot be asked for
        return None
    return proposal


async def _question(url: str, protocol: str, kind: Kind, model: str = "") -> Observation | None:
    """What a question that no config can name brought; None where the protocol does not offer it."""
    job = on_demand.job_for_question(url, protocol, kind, model)
    if job is None:
        return None
    async with _asking() as engine:
        return (await engine.once(job)).observation


@dataclass(frozen=True, slots=True)
class EvaluationReport:
    """What evaluating a target once found. `record` is None when it broke off before there was anything to tell."""

    result: Result
    record: Record | None


async def evaluate(
    job: Job, limits: Limits, *, on_progress: Callable[[Progress], None] = lambda progress: None
) -> EvaluationReport:
    """Do one run of an `evaluate` job, now. Neither budgets nor the target's state hold it up.

    Raises `BadDataset`, which tells of every bad row, before anything is asked.
    """
    records: list[Record] = []
    transport = Transport(user_agent=USER_AGENT)
    evaluations = Evaluations(lambda: transport.calls, on_record=records.append, on_progress=on_progress)
    async with _asking(transport, limits, evaluations.run) as engine:
        await evaluations.read(job)
        result = await engine.once(job)
    return EvaluationReport(result, records[0] if records else None)


@asynccontextmanager
async def _asking(
    transport: Transport | None = None,
    limits: Limits = Limits(),  # noqa: B008 - frozen
    ask_many: AskMany | None = None,
) -> AsyncIterator[Engine]:
    """An engine for single runs, and one memory for all of them."""
    transport = transport or Transport(user_agent=USER_AGENT)
    memory: dict[str, Any] = {}
    try:
        yield Engine(
            ledger=Ledger(),
            open_exchange=lambda job, deadline, trace_id, *, aside=False: transport.exchange(
                job.target.endpoint, deadline=deadline, trace_id=trace_id, memory=memory
            ),
            limits=limits,
            on_change=lambda change: None,
            on_result=lambda result: None,
            ask_many=ask_many,
        )
    finally:
        await transport.close()


async def wait(
    options: Options,
    terms: Terms = Terms(),  # noqa: B008 - frozen
    timeout: float = 60.0,
    on_update: Callable[[GateVerdict], None] = lambda verdict: None,
) -> GateVerdict:
    """Watch the configured targets until every selected one is good by these terms, or until the timeout in seconds;
    returns the last verdict. Raises ConfigError.
    """
    daemon = Daemon(
        replace(
            options, listen=(), reload_interval=0.0, shutdown_grace=0.0, windows=False, sinks=False, training=False,
            wanted=lambda job: _counts(job, terms), versions=terms.version != "",
        ),
        on_result=lambda result: pace.feed(result),
    )  # fmt: skip
    ledger = daemon.ledger
    # All that it will remember began after this call.
    ledger.kept = max(ledger.kept, terms.consecutive)
    pace = Pace(terms, ledger.clock)
    until = ledger.clock() + timeout
    await daemon.start()
    try:
        while True:
            began = ledger.clock()
            tally = Tally(terms)
            async for record in unhurried(list(ledger)):
                tally.add(record)
            verdict = tally.verdict(daemon.unread)
            on_update(verdict)
            if verdict.ready or verdict.problem or ledger.clock() >= until:
                return verdict
            for target, probe in pace.due(verdict.blocking, ledger):
                daemon.engine.ask(target, probe)
            # Ten thousand targets take a moment to look at: the measuring comes first.
            rest = max(_LOOK, 5 * (ledger.clock() - began))
            await asyncio.sleep(max(0.0, min(rest, until - ledger.clock())))
    finally:
        await daemon.stop()


def _counts(job: Job, terms: Terms) -> bool:
    """Whether a gate needs a job: nobody else is asked, and no golden set is run that nobody wants."""
    if job.kind is Kind.EVALUATE and not terms.evaluate:
        return False
    return terms.selects(job.target) or (job.kind is Kind.DETECT and terms.may_turn_out(job.target))
