"""Series of golden sets."""

from dataclasses import replace
from typing import Any

from exporter.metrics.catalog import FAMILIES
from exporter.metrics.exposition import Exposition
from exporter.metrics.negotiation import OPENMETRICS, TEXT
from exporter.metrics.page import metrics_page
from exporter.model.failure import Failure, Reason
from exporter.model.job import Job, Kind
from exporter.model.observation import Observation
from exporter.model.score import Outcome, Score
from exporter.model.stream import Tokens
from tests.metrics.reading import check_layout, scrape
from tests.metrics.world import EPOCH, World, job

LABELS = 'target="assistant",model="llama-3",evaluation="golden"'
OUTCOMES = {Outcome.SCORED: 148, Outcome.UNREADABLE: 0, Outcome.FAILED: 2, Outcome.NOT_ASKED: 0}
GOOD = Score("accuracy", OUTCOMES, 0.96, 0.92, 0.98, 0.9, below=False, dataset="ab" * 32, seconds=12.5)


def golden(evaluation: Any = "a golden set") -> Job:
    return replace(job("assistant", "golden", Kind.EVALUATE), evaluation=evaluation)


def told(text: str) -> list[str]:
    return [line for line in text.splitlines() if line.startswith("model_probe_evaluation")]


async def test_a_run_and_what_it_found(world: World) -> None:
    run = golden()
    world.watch(run, job("assistant", "health"), job("other", "health"))
    exposition = Exposition(world.ledger)
    assert told(await scrape(exposition, TEXT)) == [
        f'model_probe_evaluation_examples_total{{{LABELS},outcome="{outcome}"}} 0'
        for outcome in ("scored", "unreadable", "failed", "not_asked")
    ]
    world.run(world.result(run, observation=Observation(score=GOOD)))
    text = await scrape(exposition, TEXT)
    check_layout(text, TEXT)
    assert told(text) == [
        f'model_probe_evaluation_score{{{LABELS},metric="accuracy"}} 0.96',
        f'model_probe_evaluation_threshold{{{LABELS},metric="accuracy"}} 0.9',
        f"model_probe_evaluation_coverage{{{LABELS}}} {148 / 150}",
        f"model_probe_evaluation_duration_seconds{{{LABELS}}} 12.5",
        f"model_probe_evaluation_last_run_timestamp_seconds{{{LABELS}}} {EPOCH:.0f}",
        f'model_probe_evaluation_info{{{LABELS},dataset="{"ab" * 32}"}} 1',
        f'model_probe_evaluation_examples_total{{{LABELS},outcome="scored"}} 148',
        f'model_probe_evaluation_examples_total{{{LABELS},outcome="unreadable"}} 0',
        f'model_probe_evaluation_examples_total{{{LABELS},outcome="failed"}} 2',
        f'model_probe_evaluation_examples_total{{{LABELS},outcome="not_asked"}} 0',
    ]
    check_layout(await scrape(exposition, OPENMETRICS), OPENMETRICS)


async def test_what_the_last_run_did_not_find_is_absent(world: World) -> None:
    run = golden()
    world.watch(run)
    exposition = Exposition(world.ledger)
    world.run(world.result(run, observation=Observation(score=GOOD)))
    failure = Failure(Reason.INCONCLUSIVE, "too little")
    empty = Score("accuracy", {**dict.fromkeys(Outcome, 0), Outcome.FAILED: 150}, dataset="cd" * 32)
    world.run(world.result(run, Reason.INCONCLUSIVE, observation=Observation(failure=failure, score=empty)))
    names = [
        line.partition("{")[0].removeprefix("model_probe_evaluation_") for line in told(await scrape(exposition, TEXT))
    ]
    assert names == ["coverage", "duration_seconds", "last_run_timestamp_seconds", "info", *["examples_total"] * 4]
    text = await scrape(exposition, TEXT)
    assert f"model_probe_evaluation_coverage{{{LABELS}}} 0.0" in text
    assert f'{LABELS},outcome="failed"}} 152' in text
    assert "ab" * 32 not in text
    assert 'reason="inconclusive"' in text
    world.run(world.result(run, Reason.INCONCLUSIVE, observation=Observation(failure=failure, score=Score("accuracy"))))
    names = [
        line.partition("{")[0].removeprefix("model_probe_evaluation_") for line in told(await scrape(exposition, TEXT))
    ]
    assert names == ["duration_seconds", "last_run_timestamp_seconds", *["examples_total"] * 4]


async def test_a_probe_that_is_gone_leaves_no_series(world: World) -> None:
    run = golden()
    world.watch(run, job("assistant", "health"))
    world.run(world.result(run, observation=Observation(score=GOOD)))
    world.ledger.remove("assistant", "golden")
    assert told(await scrape(Exposition(world.ledger), TEXT)) == []


async def test_tokens_of_examples_are_told_of_the_probe(world: World) -> None:
    run = golden()
    world.watch(run)
    world.run(world.result(run, observation=Observation(score=GOOD, tokens=Tokens(input=900, output=300))))
    text = await scrape(Exposition(world.ledger), TEXT)
    assert 'model_probe_tokens_total{target="assistant",model="llama-3",probe="golden",token_type="input"} 900' in text


def test_names_and_labels_are_those_promised() -> None:
    found = {family.name: family.labels for family in FAMILIES if family.name.startswith("model_probe_evaluation")}
    assert found == {
        "model_probe_evaluation_score": ("evaluation", "metric"),
        "model_probe_evaluation_threshold": ("evaluation", "metric"),
        "model_probe_evaluation_coverage": ("evaluation",),
        "model_probe_evaluation_duration_seconds": ("evaluation",),
        "model_probe_evaluation_last_run_timestamp_seconds": ("evaluation",),
        "model_probe_evaluation_info": ("evaluation", "dataset"),
        "model_probe_evaluation_examples_total": ("evaluation", "outcome"),
    }


async def test_series_of_an_evaluation_are_those_stated(world: World) -> None:
    run = golden()
    world.watch(run)
    world.run(
        world.result(run, observation=Observation(score=GOOD), duration=None, phases={}, http_status=None, size=None)
    )
    lines = (await scrape(Exposition(world.ledger), TEXT)).splitlines()
    own = len([line for line in lines if 'probe="golden"' in line])
    by_name = len([line for line in lines if 'evaluation="golden"' in line])
    assert f"An `evaluate` probe has {own} series once it ran, {by_name} of the target by its name" in metrics_page()
