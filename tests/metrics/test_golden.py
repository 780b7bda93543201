"""A whole scrape, byte for byte, so that every change of what users see is seen in review.

`GOLDEN=write python -m pytest tests/metrics/test_golden.py` writes the files anew.
"""

import os
from pathlib import Path

import pytest

from exporter.metrics.exposition import Exposition, render_results
from exporter.metrics.negotiation import OPENMETRICS, TEXT, Format
from exporter.model.failure import Reason
from exporter.model.job import Kind
from exporter.model.observation import Observation
from exporter.model.state import State
from exporter.model.stream import Outcome, Tokens
from tests.metrics.reading import check_layout, scrape
from tests.metrics.world import World, job, streamed

GOLDEN = Path(__file__).parent / "golden"


def a_morning(world: World) -> None:
    """A chat model that streams well and was a zombie for a minute, and a classifier that refuses connections."""
    labels = {"team": "chat"}
    health, stream = job(labels=labels), job(probe=Kind.STREAM, labels=labels, interval=60.0)
    ready = job("fraud", "ready", model="fraud", protocol="open_inference", labels={"team": "risk"}, interval=5.0)
    world.watch(health, stream, ready)
    tokens = Tokens(input=12, output=9, reasoning=4)
    told = Observation(info={"server": "vllm", "server_version": "0.11.0"}, facts={"max_model_len": 8192})
    world.now = 1.0
    world.run(world.result(health, duration=0.0078125, observation=told))
    world.run(
        world.result(stream, duration=0.875, observation=streamed(tokens), trace_id="4bf92f3577b34da6a3ce929d0e0e4736")
    )
    world.judge("assistant", State.HEALTHY, verified=True)
    world.now = 61.0
    world.run(world.result(stream, Reason.STALLED, duration=30.0, observation=streamed(outcome=Outcome.STALLED)))
    world.ledger.disagree("assistant", "ok", "bad")
    world.judge("assistant", State.ZOMBIE, verified=True)
    world.now = 121.0
    world.run(world.result(stream, duration=0.9375, observation=streamed(tokens)))
    world.judge("assistant", State.HEALTHY, verified=True)
    world.run(
        world.result(
            ready, Reason.CONNECT_REFUSED, duration=0.001, phases={"connect": 0.001}, http_status=None, size=None,
            certificate=None, attempts=3,
        )
    )  # fmt: skip
    world.judge("fraud", State.ERROR)
    world.ledger.skip(ready, "overlap")
    world.ledger.planned(ready, 2.5, 0.0)


def compare(name: str, text: str) -> None:
    path = GOLDEN / name
    if os.environ.get("GOLDEN") == "write":
        path.write_text(text)
    assert text == path.read_text()


@pytest.mark.parametrize(("form", "name"), [(TEXT, "scrape.txt"), (OPENMETRICS, "scrape.openmetrics.txt")])
async def test_watched_targets(world: World, form: Format, name: str) -> None:
    a_morning(world)
    text = await scrape(Exposition(world.ledger), form)
    check_layout(text, form)
    watched = text[: text.index("# HELP model_exporter_")]
    compare(name, watched)


def test_on_demand(world: World) -> None:
    health, infer = job(), job(probe="infer")
    told = Observation(info={"server": "vllm"}, facts={"max_model_len": 8192})
    results = [world.result(health, observation=told), world.result(infer, Reason.HTTP_STATUS, http_status=500)]
    compare("probe.txt", render_results(results, TEXT).decode())
