"""`cache: pair`: one probe of the config, two of the target."""

from typing import Any

import pytest

from exporter.config import on_demand
from exporter.config.loader import load_values
from exporter.model.job import Job
from tests.config.make import jobs

OPENAI = {"name": "a", "protocol": "openai", "model": "m"}


def probes(**given: Any) -> dict[str, Job]:
    return {probe: job for (_, probe), job in jobs({**OPENAI, "probes": given}).items()}


def settings(job: Job) -> Any:
    return job.ask.__self__.settings  # type: ignore[attr-defined]


def test_two_probes_and_one_that_varies() -> None:
    made = probes(chat={"kind": "stream", "cache": "pair", "interval": "10m", "prompt": "Hi"})
    assert list(made) == ["chat", "chat-warm"]
    cold, warm = made["chat"], made["chat-warm"]
    assert [settings(job).varies for job in (cold, warm)] == [True, False]
    assert [settings(job).prompt for job in (cold, warm)] == ["Hi", "Hi"]
    assert cold.schedule == warm.schedule
    assert cold.fingerprint != warm.fingerprint
    assert cold.kind is warm.kind


@pytest.mark.parametrize("given", [{}, {"drift": True}])
def test_only_the_warm_one_can_drift(given: dict[str, Any]) -> None:
    made = probes(infer={"cache": "pair", **given})
    assert [job.drift for job in made.values()] == [False, True]


def test_over_a_module_and_back() -> None:
    modules = {"chat": {"protocol": "openai", "probes": {"stream": {"cache": "pair"}, "health": {}}}}
    targets = [
        {"name": "a", "module": "chat", "model": "m"},
        {"name": "b", "module": "chat", "model": "m", "probes": {"stream": {"cache": "warm"}}},
        {"name": "c", "module": "chat", "model": "m", "probes": {"stream": None}},
    ]
    made = jobs(*targets, modules=modules)
    assert list(made) == [
        ("a", "stream"), ("a", "stream-warm"), ("a", "health"), ("b", "stream"), ("b", "health"), ("c", "health"),
    ]  # fmt: skip


def test_it_can_be_asked_alone() -> None:
    module = {"protocol": "openai", "probes": {"stream": {"cache": "pair"}}}
    file = load_values({"modules": {"chat": module}, "targets": []}, name="values").file
    both = on_demand.jobs_for_module(file, "chat", "http://127.0.0.1:9", "m")
    assert [job.probe for job in both] == ["stream", "stream-warm"]
    (warm,) = on_demand.jobs_for_module(file, "chat", "http://127.0.0.1:9", "m", "stream-warm")
    assert not settings(warm).varies


def test_drift_asks_for_the_same_words() -> None:
    made = probes(a={"kind": "infer"}, b={"kind": "infer", "drift": True}, c={"kind": "infer", "drift": False})
    assert {name: settings(job).varies for name, job in made.items()} == {"a": True, "b": False, "c": True}
    assert {name: job.drift for name, job in made.items()} == {"a": False, "b": True, "c": False}
