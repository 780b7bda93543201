"""Series of replicas: each by its address, and what tells of all together without one."""

from dataclasses import replace

import pytest

from exporter.metrics import replicas
from exporter.metrics.exposition import Exposition
from exporter.metrics.negotiation import OPENMETRICS, TEXT
from exporter.model.job import Job
from exporter.model.observation import Observation
from exporter.model.state import State
from tests.metrics.reading import check_layout, families, lines_of, scrape, series
from tests.metrics.world import World, job


def replica(address: str, probe: str = "health", **more: object) -> Job:
    of = job(f"assistant@{address}", probe, labels={"team": "chat"}, **more)  # type: ignore[arg-type]
    return replace(of, target=replace(of.target, group="assistant", address=address))


def version(told: str) -> Observation:
    return Observation(info={"model_version": told})


async def test_each_series_has_its_address_and_those_of_all_have_none(world: World) -> None:
    one, two = replica("10.0.0.1:8000"), replica("[fd00::1]:8000")
    world.watch(one, two, job("fraud"))
    world.run(world.result(one))
    world.judge("assistant@10.0.0.1:8000", State.HEALTHY)
    world.judge("assistant@[fd00::1]:8000", State.ERROR)
    text = await scrape(Exposition(world.ledger), TEXT)
    check_layout(text, TEXT)
    common = 'target="assistant",model="llama-3",team="chat"'
    assert lines_of(text, "model_probe_up") == [
        f'model_probe_up{{{common},address="10.0.0.1:8000"}} 1',
        f'model_probe_up{{{common},address="[fd00::1]:8000"}} 0',
    ]
    assert f'model_probe_runs_total{{{common},address="10.0.0.1:8000",probe="health"}} 1' in text
    assert lines_of(text, "model_probe_replicas") == [
        f'model_probe_replicas{{{common},state="{state}"}} {int(state in (State.HEALTHY, State.ERROR))}'
        for state in State
    ]
    assert lines_of(text, "model_probe_versions") == [], "nobody has told one"
    fraud = [line for line in text.splitlines() if 'target="fraud"' in line]
    assert fraud
    assert not [line for line in fraud if "address=" in line or line.startswith("model_probe_replicas")]


async def test_versions_are_counted_once_each(world: World) -> None:
    jobs = [replica(f"10.0.0.{number}:80") for number in (1, 2, 3)]
    world.watch(*jobs)
    exposition = Exposition(world.ledger)
    for told, expected in ((("3", "3", "3"), 1), (("3", "3", "4"), 2)):
        for of, text in zip(jobs, told, strict=True):
            world.run(world.result(of, observation=version(text)))
        found = series(families(await scrape(exposition, OPENMETRICS), OPENMETRICS))
        ((labels, value),) = ((dict(key[1]), value) for key, value in found.items() if key[0] == "model_probe_versions")
        assert (labels, value) == ({"target": "assistant", "model": "llama-3", "team": "chat"}, expected)


async def test_a_replica_that_is_gone_serves_no_version(world: World) -> None:
    """Its last word would keep a rollout from ever being over. One that hangs still has its version."""
    one, two = replica("10.0.0.1:80"), replica("10.0.0.2:80")
    world.watch(one, two)
    world.run(world.result(one, observation=version("3")))
    world.run(world.result(two, observation=version("4")))
    exposition = Exposition(world.ledger)
    for state, count in ((State.HEALTHY, 2), (State.ZOMBIE, 2), (State.ERROR, 1), (State.LOADING, 2)):
        world.judge("assistant@10.0.0.2:80", state)
        (line,) = lines_of(await scrape(exposition), "model_probe_versions")
        assert line.endswith(f" {count}"), state
    for address in ("10.0.0.1:80", "10.0.0.2:80"):
        world.judge(f"assistant@{address}", State.ERROR)
    assert lines_of(await scrape(exposition), "model_probe_versions") == []


async def test_a_group_that_is_gone_leaves_no_series(world: World) -> None:
    world.watch(replica("10.0.0.1:80"), job("fraud"))
    exposition = Exposition(world.ledger)
    assert "model_probe_replicas" in await scrape(exposition)
    world.ledger.remove("assistant@10.0.0.1:80", "health")
    text = await scrape(exposition)
    assert "model_probe_replicas" not in text
    assert "assistant" not in text


async def test_other_labels_reach_the_group_too(world: World) -> None:
    of = replica("10.0.0.1:80")
    world.watch(of)
    exposition = Exposition(world.ledger)
    await scrape(exposition)
    world.ledger.replace(replace(of, target=replace(of.target, labels={"team": "other"})))
    text = await scrape(exposition)
    assert 'team="chat"' not in text
    assert 'model_probe_replicas{target="assistant",model="llama-3",team="other",state="unknown"} 1' in text


async def test_a_group_that_cannot_be_written_takes_nothing_else_off(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def render(_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(replicas, "render", render)
    world.watch(replica("10.0.0.1:80"), job("fraud"))
    text = await scrape(Exposition(world.ledger))
    assert 'model_probe_state{target="fraud"' in text
    assert "model_probe_replicas" not in text
    assert world.ledger.own.internal_errors["metrics"] == 1


async def test_discovery_tells_how_it_fares(world: World) -> None:
    own = world.ledger.own
    own.models_missing["gateway"] = 2
    own.discovery_failures["gateway"] = 0
    own.discovery_failures["dns:models.svc"] += 3
    own.discovery_last_success_at["gateway"] = 1_700_000_000.5
    own.discovery_over_limit["gateway"] = 7
    text = await scrape(Exposition(world.ledger), TEXT)
    check_layout(text, TEXT)
    found = series(families(text), "model_")
    told = {
        (name, dict(labels)["source"]): value for (name, labels), value in found.items() if "source" in dict(labels)
    }
    assert told == {
        ("model_probe_models_missing", "gateway"): 2,
        ("model_exporter_discovery_failures_total", "gateway"): 0,
        ("model_exporter_discovery_failures_total", "dns:models.svc"): 3,
        ("model_exporter_discovery_last_success_timestamp_seconds", "gateway"): 1_700_000_000.5,
        ("model_exporter_discovery_over_limit", "gateway"): 7,
    }


async def test_without_discovery_there_is_no_word_of_it(world: World) -> None:
    text = await scrape(Exposition(world.ledger))
    assert "discovery" not in text
    assert "models_missing" not in text
