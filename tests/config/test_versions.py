"""Targets that nobody asks for their version are asked by who wants to know."""

import pytest
import yaml

from exporter.config import build, loader
from exporter.config.versions import asking_versions

MODULES = """
modules:
  asked: {protocol: triton, probes: {ready: {}, metadata: {interval: 7s}}}
  unasked: {protocol: triton, probes: {ready: {}}}
targets:
  - {name: t, url: "http://127.0.0.1:8000", model: m, """


def probes(target: str, *, asking: bool = True) -> list[str]:
    file = loader.load_values(yaml.safe_load(MODULES + target + "}"), name="t").file
    jobs = build.build(asking_versions(file) if asking else file).jobs
    return [f"{job.probe} {job.schedule.interval:g}" for job in jobs]


@pytest.mark.parametrize(
    ("target", "found"),
    [
        ("protocol: triton, probes: {health: {}}", ["health 15", "metadata 300"]),
        ("protocol: triton", ["health 15", "ready 15", "metadata 300"]),
        ("protocol: triton, probes: {health: {}, metadata: {interval: 9s}}", ["health 15", "metadata 9"]),
        ("protocol: triton, probes: {health: {}, metadata: null}", ["health 15"]),
        ("module: asked", ["ready 15", "metadata 7"]),
        ("module: asked, probes: {health: {}}", ["ready 15", "metadata 7", "health 15"]),
        ("module: asked, probes: {metadata: null}", ["ready 15"]),
        ("module: unasked", ["ready 15", "metadata 300"]),
        ("module: unasked, protocol: http, probes: {health: {}, ready: null}", ["health 15"]),
        ("protocol: tcp, probes: {health: {}}", ["health 15"]),
        ("protocol: openai, probes: {health: {}}", ["health 15", "metadata 300"]),
    ],
)
def test_who_is_asked(target: str, found: list[str]) -> None:
    assert probes(target) == found


def test_nobody_is_asked_who_need_not_be() -> None:
    assert probes("module: unasked", asking=False) == ["ready 15"]


def test_a_server_that_is_to_be_found_out_is_asked_once_it_is_known() -> None:
    assert probes("probes: {health: {}}") == ["health 15"]
