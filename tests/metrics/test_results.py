"""What /probe answers."""

from dataclasses import replace

import pytest

from exporter.metrics.exposition import render_results
from exporter.metrics.negotiation import OPENMETRICS, TEXT, Format
from exporter.model.failure import Reason
from exporter.model.job import Kind
from exporter.model.observation import Part
from exporter.model.stream import Tokens
from tests.metrics.reading import check_layout, families, series
from tests.metrics.world import World, job, streamed


def found(text: bytes, form: Format) -> dict[str, float]:
    check_layout(text.decode(), form)
    return {
        name + "".join(sorted(f" {value}" for key, value in labels if key in ("probe", "reason"))): value
        for (name, labels), value in series(families(text.decode(), form), "").items()
    }


@pytest.mark.parametrize("form", [TEXT, OPENMETRICS], ids=["text", "openmetrics"])
def test_all_healthy(world: World, form: Format) -> None:
    health, stream = job(), job(probe="stream")
    first = world.result(health, duration=0.25)
    world.now = 0.125
    second = world.result(stream, duration=0.5, observation=streamed(Tokens(input=3, output=9)))
    text = found(render_results([first, second], form), form)
    assert text["probe_success"] == 1
    assert text["probe_duration_seconds"] == 0.625
    assert text["model_probe_success health"] == text["model_probe_success stream"] == 1
    assert text["model_probe_last_duration_seconds stream"] == 0.5
    assert text["model_probe_ttft_seconds_sum stream"] == 0.125
    assert "model_probe_info" in text
    # One run is no history: neither states nor counts of runs.
    assert not [name for name in text if name.startswith(("model_probe_up", "model_probe_state", "model_probe_runs"))]
    assert not [name for name in text if name.startswith(("model_exporter_", "process_", "python_"))]


def test_where_the_time_went(world: World) -> None:
    account = {Part.PREFILL: 0.125, Part.DECODE: 0.5}
    seen = replace(streamed(), server_seconds=account)
    text = render_results([world.result(job(probe="stream"), observation=seen)], TEXT).decode()
    told = [line.rpartition(" ") for line in text.splitlines() if line.startswith("model_probe_server_seconds{")]
    assert [(labels.partition("part=")[2], value) for labels, _, value in told] == [
        ('"prefill"}', "0.125"), ('"decode"}', "0.5"),
    ]  # fmt: skip


def test_one_failed(world: World) -> None:
    results = [world.result(job()), world.result(job(probe="infer"), Reason.AUTH, http_status=401)]
    text = found(render_results(results, TEXT), TEXT)
    assert text["probe_success"] == 0
    assert text["model_probe_success health"] == 1
    assert text["model_probe_success infer"] == 0
    assert text["model_probe_failures_total auth infer"] == 1
    assert text["model_probe_http_status_code infer"] == 401


def test_a_canary_that_left_its_model_asleep_is_no_failure(world: World) -> None:
    asleep = replace(world.result(job(probe="stream"), duration=None), skipped="asleep")
    text = found(render_results([world.result(job()), asleep], TEXT), TEXT)
    assert text["probe_success"] == 1
    assert text["model_probe_paused asleep stream"] == 1
    assert "model_probe_success stream" not in text
    assert "model_probe_attempts_total stream" not in text or text["model_probe_attempts_total stream"] == 0


def test_nothing_ran() -> None:
    text = found(render_results([], OPENMETRICS), OPENMETRICS)
    assert text == {"probe_success": 0, "probe_duration_seconds": 0}


def test_what_a_model_can_is_no_part_of_whether_it_is_well(world: World) -> None:
    tools = replace(job(probe="tools", kind=Kind.INFER), capability="tools")
    schema = replace(job(probe="schema", kind=Kind.INFER), capability="json_schema")
    down = replace(job(probe="down", kind=Kind.INFER), capability="embeddings")
    results = [
        world.result(job()),
        world.result(tools),
        world.result(schema, Reason.EXPECTATION),
        world.result(down, Reason.CONNECT_REFUSED),
    ]
    lines = [
        line
        for line in render_results(results, TEXT).decode().splitlines()
        if line.startswith("model_probe_capability{")
    ]
    assert [line.partition('capability="')[2] for line in lines] == ['tools"} 1', 'json_schema"} 0']
    text = found(render_results(results, TEXT), TEXT)
    assert text["probe_success"] == 1
    assert text["model_probe_success tools"] == 1
    assert text["model_probe_success schema"] == text["model_probe_success down"] == 0
    alone = found(render_results(results[3:], TEXT), TEXT)
    assert alone["probe_success"] == 0
