"""What a scrape shows, and how it is put together."""

import asyncio
import re
from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client import REGISTRY

from exporter.ledger import DURATION_BOUNDS, Bounds
from exporter.metrics.exposition import Exposition
from exporter.metrics.negotiation import OPENMETRICS, TEXT, Format
from exporter.model.failure import Reason
from exporter.model.job import Job
from exporter.model.load import Load
from exporter.model.observation import Observation
from exporter.model.state import State
from exporter.model.stream import Tokens
from tests.metrics.reading import check_layout, families, lines_of, scrape, series
from tests.metrics.world import EPOCH, World, job, never, streamed


async def test_labels_stand_in_order(world: World) -> None:
    """target, model, the operator's, probe, then the metric's own."""
    of = job("fraud", "ready", labels={"zone": "b", "team": "risk"}, model="f")
    world.watch(of)
    world.run(world.result(of, Reason.DNS))
    text = await scrape(Exposition(world.ledger))
    common = 'target="fraud",model="f",zone="b",team="risk"'
    assert f'model_probe_state{{{common},state="unknown"}} 1' in text
    assert f'model_probe_failures_total{{{common},probe="ready",status="error",reason="dns"}} 1' in text
    assert f'model_probe_duration_seconds_bucket{{{common},probe="ready",le="0.005"}} 0' in text


async def test_a_target_without_model_says_so(world: World) -> None:
    world.watch(job(model=""))
    assert 'model_probe_verified{target="assistant",model=""} 0' in await scrape(Exposition(world.ledger))


async def test_before_the_first_run(world: World) -> None:
    """Counters are there from 0; gauges of a run, and up, are not."""
    stream = job(probe="stream")
    world.watch(stream)
    found = {name for name, _ in series(families(await scrape(Exposition(world.ledger))))}
    for counter in ("runs", "successes", "attempts", "retries", "stream_outcomes", "tokens", "disagreement"):
        assert f"model_probe_{counter}_total" in found
    assert {"model_probe_duration_seconds_count", "model_probe_inter_chunk_seconds_count"} <= found
    assert {"model_probe_state", "model_probe_info", "model_probe_interval_seconds"} <= found
    assert not found & {
        "model_probe_up", "model_probe_success", "model_probe_last_run_timestamp_seconds", "model_probe_phase_seconds",
        "model_probe_last_duration_seconds", "model_probe_http_status_code", "model_probe_ttft_seconds_count",
        "model_probe_stream_max_gap_seconds", "model_probe_failures_total", "model_probe_metadata",
        "model_probe_tls_certificate_not_after_timestamp_seconds",
    }  # fmt: skip


async def test_what_the_last_run_did_not_produce_is_absent(world: World) -> None:
    """Never 0 and never the value of an earlier run; the certificate and the last success are the exceptions."""
    of = job(probe="stream")
    world.watch(of)
    tokens = Tokens(input=5, output=3)
    world.run(world.result(of, observation=streamed(tokens)))
    exposition = Exposition(world.ledger)
    before = {name for name, _ in series(families(await scrape(exposition)))}
    last_run = {
        "model_probe_last_duration_seconds", "model_probe_phase_seconds", "model_probe_http_status_code",
        "model_probe_response_size_bytes", "model_probe_time_per_output_token_seconds",
        "model_probe_output_tokens_per_second", "model_probe_stream_max_gap_seconds",
    }  # fmt: skip
    assert last_run <= before
    world.now += 60
    world.run(world.result(of, Reason.DNS, duration=None, phases={}, http_status=None, size=None, certificate=None))
    text = await scrape(exposition)
    found = series(families(text))
    assert not last_run & {name for name, _ in found}
    assert lines_of(text, "model_probe_last_success_timestamp_seconds")[0].endswith(f" {EPOCH:.0f}")
    assert lines_of(text, "model_probe_tls_certificate_not_after_timestamp_seconds")
    assert lines_of(text, "model_probe_success")[0].endswith(" 0")


async def test_a_pause_lasts_until_the_next_run(world: World) -> None:
    of = job(probe="stream")
    world.watch(of)
    exposition = Exposition(world.ledger)
    assert not lines_of(await scrape(exposition), "model_probe_paused")
    world.ledger.skip(of, "asleep", paused=True)
    world.ledger.skip(of, "overlap")
    text = await scrape(exposition)
    labels = 'target="assistant",model="llama-3",probe="stream"'
    assert lines_of(text, "model_probe_paused") == [f'model_probe_paused{{{labels},reason="asleep"}} 1']
    assert f'model_probe_skipped_total{{{labels},reason="asleep"}} 1' in text
    world.run(world.result(of, Reason.DNS))
    text = await scrape(exposition)
    assert lines_of(text, "model_probe_paused") == [f'model_probe_paused{{{labels},reason="asleep"}} 0']


@pytest.mark.parametrize(
    ("before", "after", "shown"),
    [
        (Load(running=8, waiting=3), None, {"queue_depth": 3, "requests_running": 8}),
        (Load(running=8, waiting=3), Load(running=7, waiting=0), {"queue_depth": 0, "requests_running": 7}),
        (Load(progress=9), None, {}),
        (Load(running=float("nan"), waiting=float("inf")), None, {}),
        (None, None, {}),
    ],
)
async def test_load_as_it_was_read_last(
    world: World, before: Load | None, after: Load | None, shown: dict[str, int]
) -> None:
    canary, health = replace(job(probe="infer"), load=never), job()
    world.watch(canary, health)
    exposition = Exposition(world.ledger)
    world.run(replace(world.result(canary), load=Load(running=1, waiting=1)))
    await scrape(exposition)
    world.run(replace(world.result(canary), load=before, load_after=after))
    world.run(world.result(health))  # a probe that reads no load takes nothing away
    text = await scrape(exposition)
    found = {name: lines_of(text, f"model_probe_{name}") for name in ("queue_depth", "requests_running")}
    assert found == {
        name: [f'model_probe_{name}{{target="assistant",model="llama-3"}} {shown[name]}'] if name in shown else []
        for name in found
    }


async def test_state_is_one_hot_and_up_follows(world: World) -> None:
    of = job()
    world.watch(of)
    exposition = Exposition(world.ledger)
    for state in State:
        world.judge("assistant", State.UNKNOWN)
        world.judge("assistant", state, verified=state is State.HEALTHY)
        text = await scrape(exposition)
        shown = {line.split('state="')[1].split('"')[0]: line[-1] for line in lines_of(text, "model_probe_state")}
        assert shown == {each: "1" if each is state else "0" for each in State}
        up = [line[-1] for line in lines_of(text, "model_probe_up")]
        assert up == ([] if state is State.UNKNOWN else ["1" if state is State.HEALTHY else "0"])
        assert lines_of(text, "model_probe_verified")[0][-1] == ("1" if state is State.HEALTHY else "0")


async def test_server_text_is_cut_cleaned_and_only_the_newest_lives(world: World) -> None:
    of = job(probe="metadata")
    world.watch(of)
    exposition = Exposition(world.ledger)
    hostile = 'x"} 1\nmodel_probe_up{target="fake"} 1\n' + "é" * 200
    told = {"server": "vllm", "model_version": hostile, "other": "no"}
    world.run(world.result(of, observation=Observation(info=told)))
    text = await scrape(exposition)
    (sample,) = (s for f in families(text) for s in f.samples if s.name == "model_probe_info")
    assert sample.labels.keys() == {"target", "model", "protocol", "server", "model_version"}
    assert len(sample.labels["model_version"].encode()) <= 128
    assert sample.labels["model_version"].startswith('x"} 1model_probe_up{target="fake"} 1é')
    world.run(world.result(of, observation=Observation(info={"model_version": "2"})))
    (line,) = lines_of(await scrape(exposition), "model_probe_info")
    assert 'server="vllm",model_version="2"} 1' in line


async def test_facts_that_are_no_finite_numbers(world: World) -> None:
    of = job(probe="metadata")
    world.watch(of)
    facts = {"a": float("inf"), "b": float("nan"), "c": 7.0, 'odd"\n\0%s': 1.0}
    world.run(world.result(of, observation=Observation(facts=facts)))
    for form in (TEXT, OPENMETRICS):
        text = await scrape(Exposition(world.ledger), form)
        check_layout(text, form)
        found = [s for f in families(text, form) for s in f.samples if s.name == "model_probe_metadata"]
        assert [str(s.value) for s in found] == ["inf", "nan", "7.0", "1.0"]
        assert found[3].labels["key"] == 'odd"\n\ufffd%s'


LABEL = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)


@settings(max_examples=30, deadline=None)
@given(name=LABEL, model=LABEL, team=LABEL, probe=LABEL, form=st.sampled_from([TEXT, OPENMETRICS]))
def test_any_label_value_survives(name: str, model: str, team: str, probe: str, form: Format) -> None:
    world = World()
    of = job(name, probe, kind=job().kind, model=model, labels={"team": team})
    world.watch(of)
    world.run(world.result(of))
    text = asyncio.run(scrape(Exposition(world.ledger), form))
    check_layout(text, form)
    found = [s for f in families(text, form) for s in f.samples if s.name.startswith("model_probe_")]
    assert {s.labels["target"] for s in found} == {name}
    assert {s.labels["model"] for s in found} == {model}
    assert {s.labels["team"] for s in found} == {team}
    assert {s.labels["probe"] for s in found if "probe" in s.labels} == {probe}


async def test_labels_that_hold_what_the_renderer_works_with(world: World) -> None:
    odd = "a\0b\1c%sd%"
    of = job(odd, labels={"team": odd})
    world.watch(of)
    world.run(world.result(of))
    text = await scrape(Exposition(world.ledger))
    check_layout(text, TEXT)
    found = [s for f in families(text) for s in f.samples if s.name.startswith("model_probe_")]
    assert {(s.labels["target"], s.labels["team"]) for s in found} == {(odd, odd)}
    assert len(found) > 40


async def test_exemplars_are_for_openmetrics_alone_and_change_nothing_else(world: World) -> None:
    of = job(probe="stream", labels={"odd": ' # {trace_id="x"} 1'})
    world.watch(of)
    world.run(world.result(of, duration=0.03, trace_id="a" * 32, observation=streamed()))
    world.now += 1
    world.run(world.result(of, duration=0.3, trace_id="b" * 32, observation=streamed()))
    exposition = Exposition(world.ledger)
    rich, plain = await scrape(exposition, OPENMETRICS), await scrape(exposition, TEXT)
    marked = {
        (s.labels["le"], s.exemplar.labels["trace_id"][0], s.exemplar.value, float(s.exemplar.timestamp))
        for family in families(rich, OPENMETRICS)
        for s in family.samples
        if s.exemplar and s.name == "model_probe_duration_seconds_bucket"
    }
    assert marked == {("0.05", "a", 0.03, EPOCH), ("0.5", "b", 0.3, EPOCH + 1)}
    assert any(s.exemplar for f in families(rich, OPENMETRICS) for s in f.samples if "ttft" in s.name)
    assert "aaaa" not in plain
    ours = re.compile("^model_probe_.*$", re.MULTILINE)
    bare = [re.sub(r' # \{trace_id="[ab]+"\} [0-9.e-]+ [0-9.]+$', "", line) for line in ours.findall(rich)]
    assert bare == ours.findall(plain)


async def test_openmetrics_names_and_end(world: World) -> None:
    world.watch(job())
    text = await scrape(Exposition(world.ledger), OPENMETRICS)
    assert text.endswith("# EOF\n")
    assert "# TYPE model_probe_runs counter" in text
    assert "# TYPE model_probe_info gauge" in text
    assert "# TYPE model_probe_state gauge" in text
    assert "_created" not in text
    assert "EOF" not in await scrape(Exposition(world.ledger), TEXT)


async def test_removed_and_changed_targets(world: World) -> None:
    """A removed one leaves no series, unchanged ones keep theirs, changed labels replace and never double."""
    first, second, third = job("first"), job("second"), job("second", "ready")
    world.watch(first, second, third)
    for each in (first, second, third):
        world.run(world.result(each))
    exposition = Exposition(world.ledger)
    assert 'target="first"' in await scrape(exposition)
    world.ledger.remove("first", "health")
    text = await scrape(exposition)
    assert 'target="first"' not in text
    assert 'model_probe_runs_total{target="second",model="llama-3",probe="ready"} 1' in text
    world.ledger.remove("second", "ready")
    assert 'probe="ready"' not in await scrape(exposition)
    world.ledger.replace(job("second", labels={"team": "chat"}))
    assert lines_of(await scrape(exposition), "model_probe_runs_total") == [
        'model_probe_runs_total{target="second",model="llama-3",team="chat",probe="health"} 1'
    ]


async def test_what_did_not_change_is_not_rendered_again(world: World) -> None:
    first, second = world.fill(2)
    world.run(world.result(second))  # the first that it hears of the certificate
    exposition = Exposition(world.ledger)
    await scrape(exposition)

    def blocks() -> list[list[tuple[bytes, ...]]]:
        return [list(record.rendered[0].blocks) for record in world.ledger]

    before = blocks()
    world.run(world.result(second))
    await scrape(exposition)
    after = blocks()
    assert all(old is new for old, new in zip(before[0], after[0], strict=True))
    changed = [old is not new for old, new in zip(before[1], after[1], strict=True)]
    assert changed == [False, True, False], "a run moves neither what the config says nor the state"
    world.judge(first.target.name, State.HEALTHY)
    await scrape(exposition)
    changed = [old is not new for old, new in zip(after[0], blocks()[0], strict=True)]
    assert changed == [True, True, False]


async def test_old_and_new_bounds_side_by_side(world: World) -> None:
    """After a reload with other bounds, probes that went on keep theirs."""
    old, new = job("old"), job("new")
    world.watch(old)
    world.ledger.bounds = Bounds(duration=(0.5, 2))
    world.watch(new)
    for each in (old, new):
        world.run(world.result(each))
    text = await scrape(Exposition(world.ledger))
    edges = {name: [] for name in ("old", "new")}
    for line in lines_of(text, "model_probe_duration_seconds_bucket"):
        edges[line.split('target="')[1].split('"')[0]].append(line.split('le="')[1].split('"')[0])
    assert edges["new"] == ["0.5", "2.0", "+Inf"]
    assert edges["old"] == [*map(str, DURATION_BOUNDS), "+Inf"]


async def test_no_targets_at_all(world: World) -> None:
    for form in (TEXT, OPENMETRICS):
        text = await scrape(Exposition(world.ledger), form)
        check_layout(text, form)
        assert "model_probe_" not in text
        assert "model_exporter_build_info" in text


async def test_a_target_that_cannot_be_written_takes_no_other_off(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    jobs = world.fill(3)
    world.ledger.targets[jobs[1].target.name].facts = object()  # type: ignore[assignment]
    exposed = Exposition(world.ledger)
    text = await scrape(exposed)
    assert text.count("\nmodel_probe_runs_total{") == 2
    assert "target-1" not in text
    assert 'model_exporter_internal_errors_total{component="metrics"} 1' in text
    assert "not rendered" in caplog.text


async def test_the_scrape_measures_itself(world: World) -> None:
    for each in world.fill(3):
        world.run(world.result(each))
    exposed = Exposition(world.ledger)
    assert "model_exporter_scrape_series" not in await scrape(exposed)
    lines = len(re.findall("^[a-z]", await scrape(exposed), re.MULTILINE))
    text = await scrape(exposed)
    assert f"\nmodel_exporter_scrape_series {lines}\n" in text
    (seconds,) = lines_of(text, "model_exporter_scrape_duration_seconds")
    assert 0 < float(seconds.split()[1]) < 60


def test_nothing_of_ours_is_in_the_global_registry() -> None:
    assert not [name for name in REGISTRY._names_to_collectors if name.startswith("model_")]


@pytest.mark.parametrize(
    ("change", "line"),
    [
        (lambda world, job: world.run(world.result(job, certificate=EPOCH + 5)), "not_after"),
        (lambda world, job: world.run(world.result(job, attempts=3)), "retries"),
        (lambda world, job: world.ledger.planned(job, 7.5, EPOCH), "interval"),
        (lambda world, job: world.ledger.disagree("assistant", "ok", "bad"), "disagreement"),
    ],
)
async def test_what_most_runs_leave_as_it_is_shows_when_it_changes(
    world: World, change: Callable[[World, Job], None], line: str
) -> None:
    watched = job()
    world.watch(watched)
    exposition = Exposition(world.ledger)
    world.run(world.result(watched))
    before = [text for text in (await scrape(exposition)).splitlines() if line in text]
    change(world, watched)
    after = [text for text in (await scrape(exposition)).splitlines() if line in text]
    assert before != after
