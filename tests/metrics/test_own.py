import pytest
from prometheus_client import ProcessCollector, generate_latest

from exporter import __version__
from exporter.ledger import Own
from exporter.metrics.exposition import Exposition
from exporter.metrics.negotiation import OPENMETRICS, TEXT, Format
from exporter.metrics.own import OWN, OwnMetrics
from tests.metrics.reading import check_layout, families, same, scrape, series
from tests.metrics.world import World


def busy(own: Own) -> None:
    own.in_flight, own.waiting, own.slots = 3, 2, 500
    own.missed_slots, own.suspect = 7, 1
    for seconds in (0.0004, 0.02, 3.0, 60.0):
        own.schedule_delay.observe(seconds)
        own.loop_lag.observe(seconds / 10)
    own.reloads["success"] += 1
    own.reload_successful, own.reload_success_at = True, 1_700_000_000.5
    own.targets = {"config": 12, 'odd "source"\n': 1}
    own.on_demand["denied"] += 2
    own.component_restarts["wheel"] += 1
    own.internal_errors["engine"] += 4
    own.scrape_seconds, own.scrape_series = 0.0125, 999


@pytest.mark.parametrize("form", [TEXT, OPENMETRICS], ids=["text", "openmetrics"])
async def test_the_scrape_says_what_the_registry_holds(world: World, form: Format) -> None:
    busy(world.ledger.own)
    text = await scrape(Exposition(world.ledger), form)
    check_layout(text, form)
    ours = series(families(text, form), "model_exporter_")
    world.ledger.own.scrape_seconds, world.ledger.own.scrape_series = 0.0125, 999  # as they were during the scrape
    registry = OwnMetrics(world.ledger.own).registry
    same(ours, series(families(generate_latest(registry).decode()), "model_exporter_"))
    found = {name: value for (name, labels), value in ours.items() if not labels}
    assert found["model_exporter_missed_slots_total"] == 7
    assert found["model_exporter_schedule_delay_seconds_count"] == 4
    assert found["model_exporter_schedule_delay_seconds_sum"] == pytest.approx(63.0204)
    assert found["model_exporter_config_last_reload_success_timestamp_seconds"] == 1_700_000_000.5
    assert found["model_exporter_scrape_series"] == 999
    assert ours["model_exporter_schedule_delay_seconds_bucket", frozenset({("le", "0.025")})] == 2
    assert ours["model_exporter_targets", frozenset({("source", 'odd "source"\n')})] == 1


async def test_a_new_exporter(world: World) -> None:
    """Counters with closed labels are there from 0; what did not happen yet has no number."""
    found = series(families(await scrape(Exposition(world.ledger))), "model_exporter_")
    names = {name for name, _ in found}
    for result in ("success", "failure"):
        assert found["model_exporter_config_reloads_total", frozenset({("result", result)})] == 0
    for result in ("ok", "bad_request", "denied", "limited"):
        assert found["model_exporter_on_demand_total", frozenset({("result", result)})] == 0
    assert not names & {"model_exporter_scrape_series", "model_exporter_config_last_reload_success_timestamp_seconds"}
    ((_, build),) = (key for key in found if key[0] == "model_exporter_build_info")
    assert dict(build).keys() == {"version", "python", "loop"}
    assert dict(build)["version"] == __version__
    assert dict(build)["loop"] == "asyncio"


async def test_process_and_platform(world: World) -> None:
    text = await scrape(Exposition(world.ledger))
    found = {family.name for family in families(text)}
    assert {"process_cpu_seconds", "process_resident_memory_bytes", "process_open_fds", "python_info"} <= found
    assert not [name for name in found if name.startswith("python_gc")]


async def test_a_proc_that_cannot_be_read_takes_nothing_else_off(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def collect(_: object) -> None:
        float("unlimited")

    monkeypatch.setattr(ProcessCollector, "collect", collect)
    text = await scrape(Exposition(world.ledger))
    assert "model_exporter_build_info" in text
    assert "python_info" in text
    assert "process_" not in text


def test_every_own_metric_has_a_help_and_a_name_of_its_own() -> None:
    assert len({family.name for family in OWN}) == len(OWN)
    for family in OWN:
        assert family.name.startswith("model_exporter_")
        assert family.help.endswith(".")
        assert not set(family.help) & set('"\\\n')
