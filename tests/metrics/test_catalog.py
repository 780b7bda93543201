import re
import subprocess
from collections.abc import Callable

from exporter.metrics.catalog import FAMILIES
from exporter.metrics.exposition import Exposition
from exporter.metrics.negotiation import TEXT
from exporter.metrics.text import Type
from exporter.model.failure import Reason
from exporter.model.observation import Observation
from exporter.model.state import State
from tests.metrics.reading import scrape
from tests.metrics.world import KINDS, World, good, job


def test_declarations() -> None:
    names = [family.name for family in FAMILIES]
    assert len(set(names)) == len(names)
    reserved = {"target", "model", "job", "instance", "le"}
    for family in FAMILIES:
        assert family.name.startswith("model_probe_")
        assert (family.type is Type.COUNTER) == family.name.endswith("_total")
        assert re.fullmatch(r'[^"\\\n]{12,}\.', family.help), family.name
        assert not reserved & set(family.labels), family.name


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
