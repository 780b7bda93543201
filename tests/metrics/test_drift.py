"""What /metrics says of a canary's answers."""

from dataclasses import replace

from exporter.metrics.exposition import Exposition, render_results
from exporter.metrics.negotiation import TEXT
from exporter.model.failure import Reason
from exporter.model.observation import Output
from exporter.model.sample import take
from tests.metrics.reading import scrape
from tests.metrics.world import World, job


def lines(text: str) -> dict[str, str]:
    found = [line.rsplit(" ", 1) for line in text.splitlines() if line.startswith("model_probe_canary_")]
    return {name.partition("{")[0].removeprefix("model_probe_canary_"): number for name, number in found}


async def test_match_distance_and_changes(world: World) -> None:
    of = replace(job(probe="infer"), drift=True)
    world.watch(of)
    exposition = Exposition(world.ledger)

    async def after(answer: str | None, reason: Reason | None = None) -> dict[str, str]:
        sample = None if answer is None else take(Output(text=answer))
        world.run(replace(world.result(of, reason), sample=sample))
        return lines(await scrape(exposition))

    assert await after("good") == {"output_changes_total": "0"}
    assert await after("good") == {"match": "1", "distance": "0.0", "output_changes_total": "0"}
    assert await after("goad") == {"match": "0", "distance": "0.25", "output_changes_total": "1"}
    assert await after(None, Reason.TIMEOUT) == {"output_changes_total": "1"}


async def test_a_canary_that_is_not_watched_has_no_such_series(world: World) -> None:
    of = job(probe="infer")
    world.watch(of)
    world.run(world.result(of))
    assert lines(await scrape(Exposition(world.ledger))) == {}


async def test_one_run_has_nothing_to_compare(world: World) -> None:
    of = replace(job(probe="infer"), drift=True)
    result = replace(world.result(of), sample=take(Output(text="good")))
    assert lines(render_results([result], TEXT).decode()) == {}
