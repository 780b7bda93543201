"""Every scrape against prometheus_client: the same results, kept and printed by the library."""

import random

import pytest
from prometheus_client import generate_latest

from exporter.metrics.exposition import Exposition
from exporter.metrics.negotiation import OPENMETRICS, TEXT, Format
from exporter.model.failure import Failure, Reason
from exporter.model.job import Job, Kind
from exporter.model.observation import PHASES, Observation, Part
from exporter.model.result import Result
from exporter.model.state import State
from exporter.model.stream import Channel, Outcome, StreamMeter, Tokens
from tests.metrics.oracle import Oracle
from tests.metrics.reading import check_layout, families, same, scrape, series
from tests.metrics.world import World, job

pytestmark = pytest.mark.slow


def any_observation(dice: random.Random, of: Job, reason: Reason | None) -> Observation:
    failure = Failure(reason) if reason else None
    tokens = Tokens(*(dice.randrange(50) for _ in range(4))) if dice.random() < 0.6 else None
    info = {"server": "vllm", "server_version": dice.choice(["0.9", "0.10"])} if dice.random() < 0.3 else {}
    facts = {"max_model_len": dice.choice([4096.0, 8192.0])} if dice.random() < 0.3 else {}
    stream = None
    if of.kind is Kind.STREAM and dice.random() < 0.8:
        meter = StreamMeter(0.0, usage=tokens)
        at = 0.0
        for _ in range(dice.randrange(6)):
            at += dice.expovariate(3)
            meter.token(at, [dice.choice(list(Channel))])
        stream = meter.finish(dice.choice(list(Outcome)), at + dice.random())
    if not of.kind.canary:
        tokens = None
    account = {part: dice.expovariate(3) for part in Part if dice.random() < 0.4}
    return Observation(
        failure=failure, info=info, facts=facts, stream=stream, tokens=tokens, server_seconds=account
    )  # fmt: skip


def any_result(dice: random.Random, world: World, of: Job) -> Result:
    reason = dice.choice(list(Reason)) if dice.random() < 0.4 else None
    sent = dice.random() < 0.9
    phases = {name: dice.random() for name in PHASES if dice.random() < 0.7}
    return world.result(
        of,
        reason,
        duration=dice.expovariate(2) if sent else None,
        phases=phases,
        http_status=dice.choice([200, 404, 503, None]),
        size=dice.choice([0, 7, 100_000, None]),
        certificate=dice.choice([None, 1.8e9 + dice.random()]),
        attempts=dice.randrange(1, 4),
        observation=any_observation(dice, of, reason),
        trace_id=f"{dice.getrandbits(128):032x}",
    )


@pytest.mark.parametrize("form", [TEXT, OPENMETRICS], ids=["text", "openmetrics"])
@pytest.mark.parametrize("seed", range(2))
async def test_scrapes_agree_with_prometheus_client(form: Format, seed: int) -> None:
    """Whatever happened in whatever order, with scrapes in between: what was cached is never stale."""
    dice = random.Random(seed)
    world = World()
    oracle = Oracle("team", clock=lambda: world.now)
    jobs = [
        job(name, probe, kind, labels={"team": team})
        for name, team in (("fraud", "ch\\at"), ('say "hi"\n100%', "§"))
        for probe, kind in (("health", None), ("infer", None), ("stream", None), ("long", Kind.STREAM))
    ]
    for each in jobs:
        world.watch(each)
        oracle.watch(each)
    exposition = Exposition(world.ledger)
    for _ in range(6):
        for _ in range(dice.randrange(12)):
            world.now += dice.random()
            if dice.random() < 0.7:
                result = any_result(dice, world, dice.choice(jobs))
                world.run(result)
                oracle.run(result)
            else:
                name, state, verified = dice.choice(jobs).target.name, dice.choice(list(State)), dice.random() < 0.5
                world.judge(name, state, verified=verified)
                oracle.judge(name, state, verified=verified)
        text = await scrape(exposition, form)
        check_layout(text, form)
        ours = series(families(text, form))
        infos = {key for key in ours if key[0] == "model_probe_info"}
        told = {frozenset(oracle.info(each.target.name).items()) for each in jobs}
        assert {
            frozenset(pair for pair in labels if pair[0] not in ("target", "model", "team")) for _, labels in infos
        } == told
        theirs = series(families(generate_latest(oracle.registry).decode()))
        same({key: value for key, value in ours.items() if key not in infos}, theirs)
