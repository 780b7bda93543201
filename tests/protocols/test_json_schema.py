import json
import socket

import pytest
from pydantic import TypeAdapter, ValidationError

from exporter.model.failure import Failure, Reason
from exporter.protocols import json_schema
from exporter.protocols.json_schema import Schema, check_schema

PERSON = {
    "type": "object",
    "required": ["name", "age"],
    "properties": {"name": {"type": "string", "pattern": "^[A-Z]"}, "age": {"type": "integer", "minimum": 0}},
}


def made(value, **context):
    return TypeAdapter(Schema).validate_python(value, context=context)


def problem_of(value, **context):
    with pytest.raises(ValidationError) as caught:
        made(value, **context)
    return caught.value.errors()[0]["msg"]


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ({"name": "Ada", "age": 36}, []),
        ({"name": "Ada"}, ["$ does not fit the schema: 'age' is a required property"]),
        ({"name": "Ada", "age": "36"}, ["$.age does not fit the schema: '36' is not of type 'integer'"]),
        ({"name": "ada", "age": -1}, [
            "$.name does not fit the schema: 'ada' does not match '^[A-Z]'",
            "$.age does not fit the schema: -1 is less than the minimum of 0",
        ]),
        ([], ["$ does not fit the schema: [] is not of type 'object'"]),
        (["x" * 500], ["$ does not fit the schema: type does not hold"]),
    ],
)  # fmt: skip
def test_each_place_that_does_not_fit_is_named(value, words):
    assert check_schema(made(PERSON), value) == words


def test_many_errors_are_not_all_looked_for():
    assert len(check_schema(made({"items": {"type": "string"}}), list(range(1000)))) == 3


def test_the_draft_is_the_one_that_the_schema_names():
    old = {"$schema": "http://json-schema.org/draft-04/schema#", "minimum": 1, "exclusiveMinimum": True}
    assert check_schema(made(old), 1)
    assert "True is not of type" in problem_of({"minimum": 1, "exclusiveMinimum": True})


def test_a_schema_may_refer_to_its_own_parts():
    schema = made({"$ref": "#/$defs/person", "$defs": {"person": PERSON}})
    assert check_schema(schema, {"name": "Ada", "age": 1}) == []
    assert check_schema(schema, {"age": 1})


@pytest.mark.parametrize(
    "reference", ["http://127.0.0.1:9/x.json", "#/$defs/none", "other.json", "https://json-schema.org/draft-07/schema"]
)
def test_nothing_is_fetched_for_a_schema(monkeypatch, reference):
    monkeypatch.setattr(socket, "socket", lambda *args, **more: pytest.fail("it went out"))
    assert "is not in it, and nothing is fetched" in problem_of({"properties": {"a": {"$ref": reference}}})


@pytest.mark.parametrize("schema", [{"$dynamicRef": "#none"}, {"$ref": "http://127.0.0.1:9/x.json"}])
def test_a_reference_that_only_turns_up_later_is_said_and_not_followed(monkeypatch, schema):
    monkeypatch.setattr(socket, "socket", lambda *args, **more: pytest.fail("it went out"))
    assert check_schema(json.dumps(schema), {}) == ["the schema refers to something that is not in it"]


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("text", "found 'text'; allowed: a JSON Schema as a mapping"),
        (["a"], "found a list; allowed: a JSON Schema as a mapping"),
        ({"type": "objekt"}, "found no JSON Schema: $.type: 'objekt' is not valid under any of the given schemas"),
        ({"properties": 3}, "found no JSON Schema: $.properties: 3 is not of type 'object'"),
        ({"file": "none.json"}, "file not found"),
    ],
)
def test_what_is_no_schema_is_refused(value, words):
    assert words in problem_of(value)


def test_a_schema_from_a_file(tmp_path):
    (tmp_path / "person.json").write_text(json.dumps(PERSON))
    (tmp_path / "bad.json").write_text("{")
    assert made({"file": "person.json"}, base=str(tmp_path)) == made(PERSON)
    assert "the file is not JSON" in problem_of({"file": "bad.json"}, base=str(tmp_path))


def test_a_pattern_that_explodes_is_stopped():
    schema = made({"properties": {"a": {"pattern": "(a+)+$"}}})
    assert check_schema(schema, {"a": "a" * 5000 + "b"}) == [
        "a regular expression of the schema takes too long on the answer"
    ]


def test_depth_is_no_danger():
    deep: list = []
    for _ in range(5000):
        deep = [deep]
    (words,) = check_schema(made({"$defs": {"l": {"items": {"$ref": "#/$defs/l"}}}, "$ref": "#/$defs/l"}), deep)
    assert "nested too deeply" in words


def test_without_the_extra_a_schema_is_taken_and_a_run_says_what_is_missing(monkeypatch):
    monkeypatch.setattr(json_schema, "find_spec", lambda name: None)
    schema = made({"type": "objekt"})
    with pytest.raises(Failure, match=r"pip install 'model-exporter\[schema\]'") as caught:
        check_schema(schema, {})
    assert caught.value.reason is Reason.INTERNAL
