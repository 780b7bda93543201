"""Series of budgets and of what keeps probes from running."""

from dataclasses import replace

from exporter.metrics.exposition import Exposition
from exporter.metrics.negotiation import TEXT
from exporter.model.cost import Allowance, Balance, Cost
from tests.metrics.reading import check_layout, lines_of, scrape
from tests.metrics.world import World, job

LABELS = 'target="assistant",model="llama-3"'


def prefixed(text: str) -> list[str]:
    return [line for line in text.splitlines() if line.startswith("model_probe_budget")]


async def test_a_budget_and_what_is_left_of_it(world: World) -> None:
    world.watch(job("assistant", "health"), job("fraud", "health"))
    exposition = Exposition(world.ledger)
    assert prefixed(await scrape(exposition, TEXT)) == []
    world.ledger.balance("assistant", Balance(Allowance(1000, 10, 3600.0), Cost(250, 4), 1.0))
    text = await scrape(exposition, TEXT)
    check_layout(text, TEXT)
    assert prefixed(text) == [
        f"model_probe_budget_remaining_tokens{{{LABELS}}} 750",
        f"model_probe_budget_remaining_requests{{{LABELS}}} 6",
        f"model_probe_budget_limit_tokens{{{LABELS}}} 1000",
        f"model_probe_budget_limit_requests{{{LABELS}}} 10",
    ]


async def test_only_what_is_limited_and_never_less_than_nothing(world: World) -> None:
    world.watch(job("assistant", "health"))
    world.ledger.balance("assistant", Balance(Allowance(1000, None, 3600.0), Cost(1300, 4), 1.0))
    exposition = Exposition(world.ledger)
    assert prefixed(await scrape(exposition, TEXT)) == [
        f"model_probe_budget_remaining_tokens{{{LABELS}}} 0",
        f"model_probe_budget_limit_tokens{{{LABELS}}} 1000",
    ]
    world.ledger.balance("assistant", None)
    assert prefixed(await scrape(exposition, TEXT)) == []


async def test_the_budget_of_all_together_is_no_series_of_a_target(world: World) -> None:
    world.watch(job("assistant", "health"))
    world.ledger.balance("", Balance(Allowance(1000, None, 3600.0), Cost(1, 1), 1.0))
    assert prefixed(await scrape(Exposition(world.ledger), TEXT)) == []


async def test_replicas_show_what_they_share(world: World) -> None:
    for address in ("10.0.0.1:80", "10.0.0.2:80"):
        of = job(f"assistant@{address}", "health")
        world.watch(replace(of, target=replace(of.target, group="assistant", address=address)))
    world.ledger.balance("assistant", Balance(Allowance(None, 10, 3600.0), Cost(0, 4), 1.0))
    text = await scrape(Exposition(world.ledger), TEXT)
    assert lines_of(text, "model_probe_budget_remaining_requests") == [
        f'model_probe_budget_remaining_requests{{{LABELS},address="10.0.0.1:80"}} 6',
        f'model_probe_budget_remaining_requests{{{LABELS},address="10.0.0.2:80"}} 6',
    ]


async def test_maintenance_pauses_every_probe(world: World) -> None:
    world.watch(job("assistant", "health"), job("assistant", "stream"))
    exposition = Exposition(world.ledger)
    for until, shown in ((1.0, 1), (None, 0)):
        world.ledger.rest("assistant", until)
        assert lines_of(await scrape(exposition, TEXT), "model_probe_paused") == [
            f'model_probe_paused{{{LABELS},probe="{probe}",reason="maintenance"}} {shown}'
            for probe in ("health", "stream")
        ]
