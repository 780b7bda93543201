import pytest

from exporter.metrics.catalog import FAMILIES
from exporter.metrics.exposition import Exposition
from exporter.metrics.own import OWN
from exporter.metrics.page import TARGET_SERIES, metrics_page, series
from exporter.model.job import Kind
from exporter.model.state import State
from tests.metrics.reading import scrape
from tests.metrics.world import KINDS, World, good, job


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
    assert f"| `{kind}` | {series(kind)} |" in metrics_page()


def test_the_reference_has_every_metric_and_its_labels() -> None:
    text = metrics_page()
    for family in (*FAMILIES, *OWN):
        assert f"\n| `{family.name}` | {family.type} | " in text
    assert "\n| `model_probe_failures_total` | counter | probe, status, reason | " in text
    assert "\n| `model_probe_up` | gauge |  | " in text
    assert not [family.name for family in (*FAMILIES, *OWN) if "|" in family.help]
