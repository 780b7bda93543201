"""Scrapes in protobuf: what the protobuf library reads is what a scrape as text says, family by family."""

import asyncio
import random
from collections import Counter
from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest
from google.protobuf.internal.decoder import _DecodeVarint
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client import Metric

from exporter.ledger import Bounds, Dirty, Form, Histogram
from exporter.ledger.native import MOST_BUCKETS, SCHEMA, ZERO_THRESHOLD, Native, index
from exporter.metrics import protobuf
from exporter.metrics.exposition import Exposition, render_results
from exporter.metrics.negotiation import OPENMETRICS, PROTOBUF
from exporter.metrics.text import Type
from exporter.model.failure import Reason
from exporter.model.job import Kind
from exporter.model.observation import Observation
from exporter.model.state import State
from tests.metrics.client_model import as_text, buckets, read, scraped
from tests.metrics.reading import families, scrape
from tests.metrics.reading import same as agree
from tests.metrics.test_golden import a_morning
from tests.metrics.test_oracle import any_result
from tests.metrics.world import World, job


class Said(NamedTuple):
    """What a family says. `exemplars` have a trace id, a value and a time."""

    kind: str
    about: str
    samples: dict[Any, float]
    exemplars: dict[Any, tuple[str, float, float]]


def said(found: list[Metric]) -> dict[str, Said]:
    return {
        family.name: Said(family.type, family.documentation, dict(_samples(family)), dict(_exemplars(family)))
        for family in found
        if not family.name.startswith(("process_", "model_exporter_scrape"))
    }


def _samples(family: Metric) -> Iterator[tuple[Any, float]]:
    for sample in family.samples:
        yield (sample.name, frozenset(sample.labels.items())), float(sample.value)


def _exemplars(family: Metric) -> Iterator[tuple[Any, tuple[str, float, float]]]:
    for sample in family.samples:
        if (found := sample.exemplar) is not None:
            assert found.labels.keys() == {"trace_id"}
            known = (found.labels["trace_id"], found.value, float(found.timestamp))
            yield (sample.name, frozenset(sample.labels.items())), known


async def same(exposition: Exposition) -> int:
    """Compare the two, and tell how many exemplars there were."""
    text = families(await scrape(exposition, OPENMETRICS), OPENMETRICS)
    theirs, ours = said(text), said(as_text(await scraped(exposition)))
    assert list(ours) == list(theirs)
    for name, found in theirs.items():
        made = ours[name]
        assert (made.kind, made.about) == (found.kind, found.about)
        agree(made.samples, found.samples)
        assert made.exemplars.keys() == found.exemplars.keys()
        for key, (trace_id, value, at) in found.exemplars.items():
            assert made.exemplars[key] == (trace_id, pytest.approx(value, rel=1e-5), pytest.approx(at, abs=2e-3))
    return sum(len(found.exemplars) for found in theirs.values())


async def test_every_kind_of_family(world: World) -> None:
    a_morning(world)
    world.ledger.own.on_demand["ok"] += 3
    world.ledger.own.loop_lag.observe(0.004)
    assert await same(Exposition(world.ledger)) >= 3


@pytest.mark.parametrize("form", Form)
async def test_whatever_happened_in_whatever_order(world: World, form: Form) -> None:
    """With scrapes of both kinds in between: neither takes from the other what has changed."""
    dice = random.Random(5)
    world.ledger.bounds = Bounds(form=form)
    jobs = [
        job(name, probe, kind, labels={"team": team})
        for name, team in (("fraud", "ch\\at"), ('say "hi"\n100%', "§"))
        for probe, kind in (("health", None), ("infer", None), ("long", Kind.STREAM))
    ]
    world.watch(*jobs)
    exposition = Exposition(world.ledger)
    for _ in range(8):
        for _ in range(dice.randrange(8)):
            world.now += dice.random()
            world.run(any_result(dice, world, dice.choice(jobs)))
            world.judge(dice.choice(jobs).target.name, dice.choice(list(State)))
        if dice.random() < 0.5:
            await scraped(exposition)
        if form is not Form.NATIVE:
            await same(exposition)
        for family in await scraped(exposition):
            for metric in family.metric:
                if family.name.startswith("model_probe_") and form is not Form.CLASSIC and metric.HasField("histogram"):
                    buckets(metric.histogram)


async def test_what_did_not_change_is_not_made_again_in_either(world: World) -> None:
    first, second = world.fill(2)
    world.run(world.result(second))  # the first that it hears of the certificate
    exposition = Exposition(world.ledger)
    await scraped(exposition)
    before = [list(record.rendered[1].blocks) for record in world.ledger]
    world.run(world.result(second))
    await scrape(exposition)
    await scraped(exposition)
    after = [list(record.rendered[1].blocks) for record in world.ledger]
    assert all(old is new for old, new in zip(before[0], after[0], strict=True))
    assert [old is not new for old, new in zip(before[1], after[1], strict=True)] == [False, True, False]
    assert not any(record.dirty or record.rendered[0].stale or record.rendered[1].stale for record in world.ledger)
    world.judge(first.target.name, State.HEALTHY)
    assert world.ledger.targets[first.target.name].dirty == Dirty.CHANGE | Dirty.RUN


LABEL = st.text(max_size=12)  # lone surrogates, too


@settings(max_examples=30, deadline=None)
@given(name=LABEL, model=LABEL, team=LABEL, probe=LABEL, told=LABEL)
def test_any_label_value_survives(name: str, model: str, team: str, probe: str, told: str) -> None:
    world = World()
    of = job(name, probe, kind=job().kind, model=model, labels={"team": team})
    world.watch(of)
    world.run(world.result(of, observation=Observation(info={"server": told})))
    found = asyncio.run(scraped(Exposition(world.ledger)))
    labels = [
        {pair.name: pair.value for pair in metric.label}
        for family in found
        if family.name.startswith("model_probe_")
        for metric in family.metric
    ]
    shown = {"target": name, "model": model, "team": team, "probe": probe}
    for key, value in shown.items():
        expected = "".join("\ufffd" if "\ud800" <= char <= "\udfff" else char for char in value)
        assert {each[key] for each in labels if key in each} == {expected}


async def test_exemplars_of_native_histograms_stand_apart(world: World) -> None:
    of = job()
    for form, where in ((Form.BOTH, "bucket"), (Form.NATIVE, "exemplars"), (Form.CLASSIC, "bucket")):
        world.ledger.bounds = Bounds(form=form)
        world.watch(of)
        for seconds, trace in ((0.03, "a" * 32), (0.3, "b" * 32)):
            world.run(world.result(of, duration=seconds, trace_id=trace))
        found = await scraped(Exposition(world.ledger))
        (family,) = [family for family in found if family.name == "model_probe_duration_seconds"]
        histogram = family.metric[0].histogram
        assert bool(histogram.bucket) == (form is not Form.NATIVE)
        assert bool(histogram.positive_delta) == (form is not Form.CLASSIC)
        assert histogram.HasField("schema") == (form is not Form.CLASSIC)
        spots = histogram.exemplars
        if where == "bucket":
            assert not spots
            spots = [bucket.exemplar for bucket in histogram.bucket if bucket.HasField("exemplar")]
        assert [(spot.label[0].value[0], spot.value) for spot in spots] == [("a", 0.03), ("b", 0.3)]
        world.ledger.remove(of.target.name, of.probe)


async def test_text_has_classic_buckets_whatever_protobuf_has(world: World) -> None:
    texts = set()
    for form in Form:
        other = World()
        other.ledger.bounds = Bounds(form=form)
        a_morning(other)
        text = await scrape(Exposition(other.ledger), OPENMETRICS)
        texts.add("\n".join(line for line in text.splitlines() if line.startswith("model_probe_")))
    assert len(texts) == 1


VALUES = st.floats(min_value=0, max_value=1e9, allow_subnormal=True)


@settings(max_examples=150, deadline=None)
@given(st.lists(VALUES, max_size=60))
def test_native_buckets_hold_what_they_say(values: list[float]) -> None:
    native = Native(alone=True)
    for value in values:
        native.observe(value)
    assert native.zero == sum(value <= ZERO_THRESHOLD for value in values)
    inner = sorted(value for value in values if value > ZERO_THRESHOLD)
    growth = 2.0 ** (2.0**-native.schema)
    edges = sorted((at, count) for at, count in native.buckets.items())
    for at, count in edges:
        upper = growth**at
        for value in inner[:count]:
            assert upper / growth * (1 - 1e-9) < value <= upper * (1 + 1e-9)
        del inner[:count]
    assert not inner


@pytest.mark.parametrize("schema", range(-4, SCHEMA + 1))
def test_an_edge_belongs_to_the_bucket_below(schema: int) -> None:
    for power in range(-20, 20):
        at = index(2.0**power, schema)
        assert (at - 1) / 2**schema < power <= at / 2**schema
        assert index(2.0**power * (1 + 1e-12), schema) == power * 2**schema + 1 or schema < 1


def test_resolution_is_halved_when_there_are_too_many_buckets() -> None:
    native = Native(alone=True)
    values = [2.0 ** (power + step / 8 + 0.01) for power in range(-19, 31) for step in range(8)]
    for value in values:
        native.observe(value)
        assert len(native.buckets) <= MOST_BUCKETS
    assert native.schema == SCHEMA - 2
    assert native.buckets == Counter(index(value, native.schema) for value in values)


def test_spans_pass_over_what_is_empty_and_long() -> None:
    """Two empty buckets are written, three are passed over. Indexes may be negative."""
    histogram = Histogram((), Form.NATIVE)
    assert histogram.native is not None
    for at, count in ((-9, 3), (-6, 1), (-2, 70_000), (-1, 1), (40, 2)):
        histogram.native.buckets[at] = count
    histogram.counts = [sum(histogram.native.buckets.values())]
    encoded = protobuf.of_histogram(b"", histogram)
    head = protobuf.header("x", Type.HISTOGRAM, "y", len(encoded))
    found = read(head + encoded)[0].metric[0].histogram
    assert [(span.offset, span.length) for span in found.positive_span] == [(-9, 4), (3, 2), (40, 1)]
    assert list(found.positive_delta) == [3, -3, 0, 1, 69_999, -69_999, 1]
    assert buckets(found) == histogram.native.buckets
    assert (found.schema, found.zero_threshold, found.zero_count) == (SCHEMA, ZERO_THRESHOLD, 0)


async def test_a_family_of_many_targets_has_one_length(world: World) -> None:
    for number in range(300):
        world.watch(job(f"{number}" * (number % 40 + 1)))
    found = {family.name: len(family.metric) for family in await scraped(Exposition(world.ledger))}
    assert found["model_probe_runs_total"] == 300


@given(st.integers(min_value=0, max_value=2**63))
def test_varints(number: int) -> None:
    found = protobuf.varint(number)
    assert _DecodeVarint(found, 0) == (number, len(found))


async def test_on_demand_in_protobuf(world: World) -> None:
    of = job(probe="stream")
    world.watch(of)
    found = {family.name: family for family in read(render_results([world.result(of, Reason.DNS)], PROTOBUF))}
    assert found["probe_success"].metric[0].gauge.value == 0
    assert found["probe_duration_seconds"].metric[0].gauge.value == 0.03125
    assert {pair.name for pair in found["model_probe_failures_total"].metric[0].label} >= {"target", "status", "reason"}
