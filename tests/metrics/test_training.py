"""Series of training jobs, as prometheus_client and promtool read them."""

import math
import subprocess
from collections.abc import Callable

import pytest

from exporter.metrics import training
from exporter.metrics.exposition import Exposition
from exporter.metrics.negotiation import OPENMETRICS, TEXT, Format
from exporter.metrics.page import metrics_page
from exporter.metrics.text import Type
from exporter.metrics.training import TRAINING_FAMILIES
from exporter.model.training import Divergence, Outcome, Reading, Rules
from tests.metrics.reading import check_layout, families, lines_of, scrape, series
from tests.metrics.world import EPOCH, World, job

FORMS = [TEXT, OPENMETRICS]


def numbers(text: str, form: Format = TEXT, of: str = "job-123") -> dict[str, float]:
    """Name, with the label's value that is not the job's, to number."""
    found = {}
    for (name, labels), value in series(families(text, form), "model_training_").items():
        own = dict(labels)
        if own.pop("training") == of:
            found[" ".join([name.removeprefix("model_training_"), *own.values()])] = value
    return found


ENDS = {"finished finished": 0, "finished failed": 0, "finished killed": 0}
COUNTERS = {
    "lines_total": 0, "lines_skipped_total": 0, "dropped_names_total": 0, "nonfinite_total": 0, "reconnects_total": 0,
}  # fmt: skip


@pytest.mark.parametrize("form", FORMS)
async def test_a_job_that_told_nothing(world: World, form: Format) -> None:
    world.ledger.add_training("job-123", Rules())
    text = await scrape(Exposition(world.ledger), form)
    check_layout(text, form)
    assert numbers(text, form) == {"stalled": 0, **ENDS, **COUNTERS}


@pytest.mark.parametrize("form", FORMS)
async def test_a_job(world: World, form: Format) -> None:
    record = world.ledger.add_training("job-123", Rules(divergence=Divergence(values=1)))
    world.ledger.add_training('say "50%"\n\\', Rules())
    exposition = Exposition(world.ledger)
    await scrape(exposition, form)
    values = (("loss", 0.5), ("train/acc %s \0", 1.0), ("§", math.nan), ("x", math.inf))
    record.take(Reading(7, 1.5, 0.25, values), EPOCH + 3)
    record.lines(12)
    record.skipped(2)
    record.reconnected()
    text = await scrape(exposition, form)
    check_layout(text, form)
    found = numbers(text, form)
    assert math.isnan(found.pop("value §"))
    assert found == {
        **ENDS, **COUNTERS,
        "stalled": 0, "diverged": 0, "step": 7, "epoch": 1.5, "progress_ratio": 0.25,
        "last_value_timestamp_seconds": EPOCH + 3,
        "value loss": 0.5, "value train/acc %s": 1.0, "value x": math.inf,
        "lines_total": 12, "lines_skipped_total": 2, "nonfinite_total": 2, "reconnects_total": 1,
    }  # fmt: skip
    assert numbers(text, form, 'say "50%"\n\\') == {"stalled": 0, **ENDS, **COUNTERS}
    assert lines_of(text, "model_training_value") == [
        f'model_training_value{{training="job-123",name="{name}"}} {number}'
        for name, number in (("loss", "0.5"), ("train/acc %s", "1.0"), ("§", "NaN"), ("x", "+Inf"))
    ]


async def test_it_stalls_between_two_scrapes_and_ends(world: World) -> None:
    record = world.ledger.add_training("job-123", Rules(stall_after=60.0))
    exposition = Exposition(world.ledger)
    world.now = 60.0
    assert numbers(await scrape(exposition))["stalled"] == 0
    world.now = 61.0
    assert numbers(await scrape(exposition))["stalled"] == 1
    record.finished(Outcome.FAILED)
    found = numbers(await scrape(exposition))
    assert {name: found[name] for name in ("stalled", *ENDS)} == {"stalled": 0, **ENDS, "finished failed": 1}


async def test_a_job_that_is_removed_leaves_no_series(world: World) -> None:
    world.ledger.add_training("job-123", Rules()).take(Reading(1, values=(("loss", 1.0),)), EPOCH)
    world.watch(job("fraud"))
    exposition = Exposition(world.ledger)
    assert "job-123" in await scrape(exposition)
    world.ledger.remove_training("job-123")
    text = await scrape(exposition)
    assert "model_training_" not in text
    assert 'model_probe_state{target="fraud"' in text


async def test_a_job_that_cannot_be_written_takes_nothing_else_off(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def render(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(training, "render", render)
    world.ledger.add_training("job-123", Rules())
    world.watch(job("fraud"))
    text = await scrape(Exposition(world.ledger))
    assert 'model_probe_state{target="fraud"' in text
    assert "model_training_" not in text
    assert world.ledger.own.internal_errors["metrics"] == 1


def test_declarations() -> None:
    assert [family.name.removeprefix("model_training_") for family in TRAINING_FAMILIES] == [
        "finished", "stalled", "diverged", "value", "step", "epoch", "progress_ratio", "last_value_timestamp_seconds",
        "nonfinite_total", "lines_total", "lines_skipped_total", "dropped_names_total", "reconnects_total",
    ]  # fmt: skip
    text = metrics_page()
    for family in TRAINING_FAMILIES:
        assert (family.type is Type.COUNTER) == family.name.endswith("_total")
        assert f"\n| `{family.name}` | {family.type} | training" in text
    assert "\n| `model_training_value` | gauge | training, name | " in text
    assert f"A job has {len(ENDS) + len(COUNTERS) + 1} series, and one more for each " in text


async def test_promtool_finds_nothing_to_say(world: World, need: Callable[[str, str], str]) -> None:
    promtool = need("promtool", "apt-get install prometheus")
    record = world.ledger.add_training("job-123", Rules(divergence=Divergence()))
    record.take(Reading(7, 1.5, 0.25, (("loss", math.nan), ('valid_0\'s "auc"', math.inf))), EPOCH)
    text = await scrape(Exposition(world.ledger), TEXT)
    ours = text[: text.index("# HELP model_exporter_")]
    assert "model_training_value" in ours
    done = subprocess.run([promtool, "check", "metrics"], input=ours.encode(), capture_output=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
