"""Data sets in both forms, and every bad row at once."""

import hashlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.evaluation.dataset import BadDataset, read
from exporter.evaluation.scorers import Accuracy, MeanAbsoluteError
from exporter.model.evaluation import Question, Unusable


def question(given):
    if "x" not in given:
        raise Unusable((("x", "missing; needs a number"), ("", "and something else")))
    return Question(None)


def jsonl(*rows):
    return "".join(f"{row if isinstance(row, str) else json.dumps(row)}\n" for row in rows).encode()


def row(number=1, **more):
    return {"id": number, "input": {"x": number}, "expected": 0, **more}


def taken(data, form="jsonl", scorer=None):
    return read(data, f"golden.{form}", form, scorer or Accuracy(), question)


def told(data, form="jsonl", scorer=None):
    with pytest.raises(BadDataset) as caught:
        taken(data, form, scorer)
    return caught.value.problems


def test_lines_of_json_are_examples():
    data = b"\xef\xbb\xbf" + jsonl(row(1, tags=["a", "b"]), "", row("two", expected="Y\u00e9s"))
    found = taken(data)
    assert found.digest == hashlib.sha256(data).hexdigest()
    assert [(one.line, one.id, one.input, one.expected, one.tags) for one in found.examples] == [
        (1, "1", {"x": 1}, 0, ("a", "b")), (3, "two", {"x": "two"}, "Y\u00e9s", ()),
    ]  # fmt: skip


def test_every_bad_row_is_named_at_once():
    data = jsonl(
        row(1), "{oops", "[1]", {"input": {"y": 1}, "expected": None, "extra": 1}, row(1),
        {"id": "", "input": 3, "expected": 0, "tags": "a"}, '{"id": 7, "input": {"x": NaN}, "expected": 0}',
    )  # fmt: skip
    assert told(data) == [
        "golden.jsonl:2: the line is not JSON (Expecting property name enclosed in double quotes)",
        "golden.jsonl:3: found a list; an object is expected",
        "golden.jsonl:4: extra: unknown key; allowed: id, input, expected, tags",
        "golden.jsonl:4: id: required key is missing",
        "golden.jsonl:4: expected: a class is expected, found null",
        "golden.jsonl:4: input.x: missing; needs a number",
        "golden.jsonl:4: input: and something else",
        "golden.jsonl:5: id: duplicate '1', first at line 1",
        "golden.jsonl:6: id: found a string; allowed: printable text of 1 to 128 characters, or an integer",
        "golden.jsonl:6: tags: a list of texts is expected",
        "golden.jsonl:6: input: found a number; an object with keys of this protocol's infer probe is expected",
        "golden.jsonl:7: the line is not JSON (NaN is not JSON)",
    ]


def test_what_is_expected_has_to_suit_the_scorer():
    assert told(jsonl(row(1), row(2, expected="much")), scorer=MeanAbsoluteError()) == [
        "golden.jsonl:2: expected: a number, or a list of numbers, is expected, found 'much'"
    ]


def test_cells_of_a_table_are_examples():
    data = b'id,input.x,input.more,expected,tags\na,"[1,\n2]",,0,p; q\n\n007,hello,"{""k"": 1}",yes,\n'
    found = taken(data, "csv").examples
    assert [(one.line, one.id, one.input, one.expected, one.tags) for one in found] == [
        (2, "a", {"x": [1, 2]}, 0, ("p", "q")), (5, "007", {"x": "hello", "more": {"k": 1}}, "yes", ()),
    ]  # fmt: skip


def test_a_column_of_json_is_the_whole_input():
    assert taken(b'id,input,expected\n1,"{""x"": 5}","[1, 2]"\n', "csv").examples[0].input == {"x": 5}


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b"id,input.x,expected\na,1\n", "golden.csv:2: found 2 cells; the heading has 3"),
        (b"id,id,expected\n", "golden.csv:1: the heading names a column twice"),
        (b"id,inptu,expected\n", "golden.csv:1: unknown column 'inptu'; allowed: id, input, expected, tags, input.KEY"),
        (b"id,input,input.x\n", "golden.csv:1: the heading has input and input.KEY; allowed: one of them"),
        (b'id,input.x,expected\na,"1"2,0\n', "golden.csv:2: not CSV: ',' expected after '\"'"),
        (b"id,input,expected\na,text,0\n",
         "golden.csv:2: input: found a string; an object with keys of this protocol's infer probe is expected"),
        (b"id,input.x\na,1\n", "golden.csv:2: expected: required key is missing"),
        (b"", "golden.csv:1: no example; a line for each is expected"),
        (b"id,input.x,expected\n\xff,1,2\n", "golden.csv:2: not UTF-8 (byte 20)"),
    ],
)  # fmt: skip
def test_a_bad_table_is_told(data, problem):
    assert told(data, "csv") == [problem]


def test_there_is_an_end_to_how_many_there_may_be(monkeypatch):
    monkeypatch.setattr("exporter.evaluation.dataset.MAX_EXAMPLES", 3)
    assert told(jsonl(*map(row, range(9)))) == ["golden.jsonl:4: more than 3 examples"]
    assert len(taken(jsonl(*map(row, range(3)))).examples) == 3


@given(st.binary(max_size=300), st.sampled_from(["jsonl", "csv"]))
def test_any_bytes_are_a_data_set_or_told(data, form):
    try:
        found = [f"golden.{form}:{one.line}: good" for one in taken(data, form).examples]
    except BadDataset as error:
        found = error.problems
    assert found
    assert all(line.startswith(f"golden.{form}:") for line in found)
