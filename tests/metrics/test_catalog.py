import re
import subprocess
from collections.abc import Callable

import pytest

from exporter.metrics.catalog import FAMILIES, TARGET_SERIES, reference, series
from exporter.metrics.exposition import Exposition
from exporter.metrics.negotiation import TEXT
from exporter.metrics.own import OWN
from exporter.metrics.text import Type
from exporter.model.failure import Reason
from exporter.model.job import Kind
from exporter.model.observation import Observation
from exporter.model.state import State
from exporter.model.stream import Tokens
from tests.metrics.reading import scrape
from tests.metrics.world import World, job, streamed

KINDS = [Kind.HEALTH, Kind.READY, Kind.METADATA, Kind.INFER, Kind.STREAM]


def good(kind: Kind) -> Observation:
    tokens = Tokens(input=4, output=2)
    if kind is Kind.STREAM:
        return streamed(tokens)
    return Observation(tokens=tokens if kind is Kind.INFER else None)


@pytest.mark.parametrize("kind", KINDS)
async def test_series_per_probe_kind_are_those_stated(world: World, kind: Kind) -> None:
    of = job(probe=kind)
    world.watch(of)
    world.run(world.result(of, observation=good(kind)))
    world.judge("assistant", State.HEALTHY)
    text = await scrape(Exposition(world.ledger))
    lines = [line for line in text.splitlines() if line.startswith("model_probe_")]
    assert len([line for line in lines if 'probe="' in line]) == series(kind)
    assert len([line for line in lines if 'probe="' not in line]) == TARGET_SERIES + kind.canary  # its load_seconds
    assert f"| `{kind}` | {series(kind)} |" in reference()


def test_declarations() -> None:
    names = [family.name for family in FAMILIES]
    assert len(set(names)) == len(names)
    reserved = {"target", "model", "job", "instance", "le"}
    for family in FAMILIES:
        assert family.name.startswith("model_probe_")
        assert (family.type is Type.COUNTER) == family.name.endswith("_total")
        assert re.fullmatch(r'[^"\\\n]{12,}\.', family.help), family.name
        assert not reserved & set(family.labels), family.name


def test_the_reference_has_every_metric_and_its_labels() -> None:
    text = reference()
    for family in (*FAMILIES, *OWN):
        assert f"\n| `{family.name}` | {family.type} | " in text
    assert "\n| `model_probe_failures_total` | counter | probe, status, reason | " in text
    assert "\n| `model_probe_up` | gauge |  | " in text
    assert not [family.name for family in (*FAMILIES, *OWN) if "|" in family.help]


async def test_promtool_finds_nothing_to_say(world: World, need: Callable[[str, str], str]) -> None:
    promtool = need("promtool", "apt-get install prometheus")
    for kind in KINDS:
        of = job(probe=kind, labels={"team": 'ch\\at "1"\n%s §'})
        world.watch(of)
        world.run(world.result(of, observation=good(kind)))
        world.run(world.result(of, Reason.TIMEOUT, observation=Observation(info={"server": "vllm"}, facts={"a": 1.5})))
        world.ledger.skip(of, "missed")
    world.judge("assistant", State.ZOMBIE)
    exposition = Exposition(world.ledger)
    await scrape(exposition)
    text = await scrape(exposition, TEXT)
    done = subprocess.run([promtool, "check", "metrics"], input=text.encode(), capture_output=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
