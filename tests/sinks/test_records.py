"""The shape of a record: what is written is what is documented."""

import json
import math
from functools import partial
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from exporter.contracts import Record
from exporter.evaluation.record import of_run
from exporter.model.failure import Failure, Reason
from exporter.model.job import Kind
from exporter.model.observation import Observation, Part
from exporter.model.score import Outcome, Score
from exporter.model.state import State, StateChange, Verdict
from exporter.model.stream import Tokens
from exporter.sinks import records, shape
from tests.metrics.world import World, job, streamed
from tests.sinks.making import TARGET, record

PAGE = Path(__file__).parents[2] / "docs" / "sinks.md"


def written(of: Any) -> dict[str, Any]:
    line = records.line(of)
    assert line.endswith(b"\n")
    assert line.count(b"\n") == 1
    found: dict[str, Any] = json.loads(line)
    jsonschema.Draft202012Validator(shape.schema()).validate(found)
    return found


def some() -> dict[str, Any]:
    world = World()
    health, stream = job(), job(probe="stream")
    usage = Tokens(3, 5, 2, 1)
    return {
        "healthy": world.result(health),
        "failed": world.result(health, Reason.CONNECT_REFUSED, duration=None, phases={}, http_status=None, size=None),
        "streamed": world.result(stream, observation=streamed(usage)),
        "told": world.result(
            job(probe="metadata", kind=Kind.METADATA),
            observation=Observation(
                info={"server": "x"}, facts={"max_model_len": 4096.0}, server_seconds={Part.QUEUE: 0.5}
            ),
        ),
    }


@pytest.mark.parametrize("name", some())
def test_a_result(name: str) -> None:
    result = some()[name]
    found = written(records.of_result(result, State.HEALTHY))
    assert set(found) == {field.name for field in (*shape.COMMON, *shape.RESULT)}
    assert (found["version"], found["type"], found["id"]) == (1, "result", result.trace_id)
    assert found["status"] == result.status
    assert found["duration_seconds"] == result.measurement.duration
    assert found["state"] == "healthy"


def test_a_stream_s_times_and_tokens() -> None:
    found = written(records.of_result(some()["streamed"], None))
    assert found["stream"]["ttft_seconds"] == {"content": 0.125}
    assert found["stream"]["outcome"] == "complete"
    assert found["tokens"] == {"input": 3, "output": 5, "reasoning": 2, "cached": 1}
    assert found["state"] is None


def test_a_change_of_state() -> None:
    verdict = Verdict(State.ERROR, Reason.CONNECT_REFUSED, "refused", "health", verified=False)
    change = StateChange("assistant", "llama-3", State.HEALTHY, verdict, 1_700_000_000.25)
    found = written(records.of_change(change, TARGET))
    assert set(found) == {field.name for field in (*shape.COMMON, *shape.STATE_CHANGE)}
    assert (found["from"], found["to"], found["reason"], found["at"]) == (
        "healthy", "error", "connect_refused", 1_700_000_000.25,
    )  # fmt: skip
    assert (found["target"], found["labels"]) == ("assistant", {"team": "chat"})
    assert found["id"] != written(records.of_change(change, TARGET))["id"]


def test_an_evaluation() -> None:
    outcomes = {Outcome.SCORED: 19, Outcome.FAILED: 1}
    score = Score("accuracy", outcomes, 0.9, low=0.7, high=0.97, dataset="ab", seconds=2.0)
    golden = job(probe="golden", kind=Kind.EVALUATE)
    for failure in (None, Failure(Reason.EXPECTATION, "worse")):
        fields = of_run(golden, score, failure)
        found = written(Record("evaluation", "e" * 32, 5.0, TARGET, partial(dict, fields)))
        assert set(found) == {field.name for field in (*shape.COMMON, *shape.EVALUATION)}
        assert (found["evaluation"], found["score"]) == ("golden", 0.9)


def test_text_of_a_server_never_ends_a_line() -> None:
    ends = "a\nb\r\u2028\u2029\x85\x0c\ud800"
    one = record(1)
    found = records.line(type(one)("evaluation", one.id, 0.0, TARGET, lambda: {"text": ends}))
    assert len(found.decode().splitlines()) == 1
    assert json.loads(found)["text"] == ends


def test_numbers_that_json_does_not_have_become_null() -> None:
    one = record(1)
    fields = {"facts": {"a": math.nan, "b": [math.inf, 1.5]}, "c": -math.inf}
    found = json.loads(records.line(type(one)("evaluation", one.id, 0.0, TARGET, lambda: fields)))
    assert (found["facts"], found["c"]) == ({"a": None, "b": [None, 1.5]}, None)


def test_a_replica_and_its_address() -> None:
    from dataclasses import replace

    found = records.document(record(1, target=replace(TARGET, name="a@1", group="a", address="10.0.0.1:80")))
    assert (found["target"], found["address"]) == ("a", "10.0.0.1:80")


def test_the_page_has_every_field() -> None:
    page = PAGE.read_text()
    for fields in (shape.COMMON, *shape.FIELDS.values()):
        assert shape.table(fields) in page


def test_what_a_page_shows_is_a_record() -> None:
    """The examples of docs/sinks.md, as they stand there."""
    blocks = [part.split("```")[0] for part in PAGE.read_text().split("```json\n")[1:]]
    assert len(blocks) == 3
    for block in blocks:
        shown = json.loads(block)
        for each in shown.get("records", [shown]):
            jsonschema.Draft202012Validator(shape.schema()).validate(each)
            assert "type" in each


def test_the_schema_refuses_what_is_no_record() -> None:
    good = records.document(records.of_result(some()["healthy"], State.HEALTHY))
    judge = jsonschema.Draft202012Validator(shape.schema())
    judge.check_schema(shape.schema())
    for wrong in ({"version": 2}, {"status": "fine"}, {"probe": None}, {"type": "other"}, {"attempts": -1}):
        assert not judge.is_valid(json.loads(json.dumps({**good, **wrong})))
