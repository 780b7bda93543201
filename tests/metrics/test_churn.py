"""However much a server changes its mind, the number of series is what the config says."""

from exporter.metrics.exposition import Exposition
from exporter.model.failure import Reason
from exporter.model.observation import Observation
from tests.metrics.reading import families, scrape, series
from tests.metrics.world import World, job

NAMES = 1000


def told(number: int) -> Observation:
    """What a server says of itself, another thing each time."""
    info = {key: f"{key}-{number}" for key in ("server", "server_version", "model_version", "platform", f"k{number}")}
    return Observation(info=info)


async def test_a_thousand_names_that_one_server_tells_make_no_series(world: World) -> None:
    of = job(probe="metadata")
    world.watch(of)
    exposition = Exposition(world.ledger)
    counts = set()
    for number in range(NAMES):
        world.now += 15
        world.run(world.result(of, observation=told(number)))
        if number % 100 == 1:
            text = await scrape(exposition)
            counts.add(len(series(families(text), "model_probe_")))
            assert f"model_version-{number}" in text
            assert f"model_version-{number - 1}" not in text
    assert len(counts) == 1


async def test_a_thousand_models_that_come_and_go_leave_nothing(world: World) -> None:
    """As a catalogue lists them: each is watched, fails for a reason of its own, and is gone."""
    stays = job()
    world.watch(stays)
    world.run(world.result(stays))
    exposition = Exposition(world.ledger)
    before = await scrape(exposition)
    reasons = list(Reason)
    for number in range(NAMES):
        comes = job(f"gateway/model-{number}", model=f"model-{number}")
        world.watch(comes)
        world.run(world.result(comes, reasons[number % len(reasons)]))
        if number % 250 == 0:
            assert f"model-{number}" in await scrape(exposition)
        world.ledger.remove(*comes.key)
    after = await scrape(exposition)
    assert "gateway/" not in after
    assert series(families(after), "model_probe_") == series(families(before), "model_probe_")
    assert len(world.ledger.targets) == 1
