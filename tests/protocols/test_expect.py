import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from exporter.contracts import Headers
from exporter.protocols.compare import difference, flatten, show
from exporter.protocols.expect import (
    Json,
    JsonCheck,
    Regex,
    StatusRange,
    TextExpect,
    accepts,
    check_headers,
    check_json,
    check_regex,
    check_text,
)
from exporter.protocols.http import HttpExpect


def problem_of(kind, value):
    with pytest.raises(ValidationError) as caught:
        TypeAdapter(kind).validate_python(value)
    return caught.value.errors()[0]["msg"]


@pytest.mark.parametrize(("value", "words"), [("(", "position 0"), ("a)", "position 1"), ("(?P<x", "position")])
def test_a_wrong_regex_is_said_with_its_position(value, words):
    message = problem_of(Regex, value)
    assert "not a regular expression" in message
    assert words in message


@pytest.mark.parametrize("value", ["a[", "a ! b", "", "[", "a.b ==="])
def test_a_wrong_jmespath_is_said_with_its_position(value):
    assert "position" in problem_of(Json, value)
    assert "position" in problem_of(Json, {"path": value, "equals": 1})


@pytest.mark.parametrize("value", [99, 600, "2xxx", True, "300-200", "abc", 1.5, None, "0200"])
def test_a_wrong_status_is_said(value):
    assert "100-599" in problem_of(StatusRange, value)


@pytest.mark.parametrize(
    ("given", "status", "fits"),
    [
        (["200-299"], 204, True),
        (["200-299"], 300, False),
        ([200], 200, True),
        ([200], 201, False),
        (["2xx", 404], 404, True),
        (["2xx"], 299, True),
        (["100-599"], 418, True),
    ],
)
def test_status_ranges(given, status, fits):
    assert accepts(HttpExpect.model_validate({"status": given}).status, status) is fits


@pytest.mark.parametrize(
    ("expect", "text", "holds"),
    [
        ({}, "anything", True),
        ({"text": "OK"}, "it is OK.", True),
        ({"text": "OK"}, "it is ok.", False),
        ({"equals": "OK."}, " OK.\n", True),
        ({"equals": "OK."}, "OK", False),
        ({"regex": "(?i)^ok"}, "Ok then", True),
        ({"regex": "^ok"}, "not ok", False),
        ({"text": "a", "regex": "b"}, "a", False),
    ],
)
def test_text(expect, text, holds):
    complaint = check_text(TextExpect.model_validate(expect), text)
    assert (complaint is None) is holds
    assert complaint is None or len(complaint) < 300


@pytest.mark.parametrize(
    ("check", "value", "holds"),
    [
        ("status == 'ok'", {"status": "ok"}, True),
        ("status == 'ok'", {"status": "no"}, False),
        ("ready", {"ready": True}, True),
        ("ready", {"ready": 1}, False),
        ("ready", {"ready": "true"}, False),
        ("ready", None, False),
        ("length(a)", {"a": 3}, False),  # cannot be worked out
        ({"path": "a.b", "equals": 1}, {"a": {"b": 1.0}}, True),
        ({"path": "a.b", "equals": 1}, {"a": {"b": True}}, False),
        ({"path": "a", "equals": {"b": 1}}, {"a": {"b": 1, "c": 2}}, True),
        ({"path": "a", "equals": [1, 2]}, {"a": [1]}, False),
        ({"path": "a", "equals": None}, {}, True),
    ],
)
def test_json(check, value, holds):
    expect = TypeAdapter(Json).validate_python(check)
    assert isinstance(expect, JsonCheck)
    assert (check_json(expect, value) is None) is holds


def test_headers():
    headers = Headers([("Server", "uvicorn"), ("X", "1"), ("X", "2")])
    assert check_headers({"server": "uvi"}, headers) is None
    assert check_headers({"X": "^2$"}, headers) is None
    assert "no header Y" in check_headers({"Y": ""}, headers)
    assert "does not match" in check_headers({"X": "3"}, headers)


@pytest.mark.parametrize("pattern", [r"(a+)+$", r"(a|aa)+$", r"(.*)*x"])
def test_a_pattern_that_explodes_is_stopped(pattern):
    started = time.process_time()
    complaint = check_regex(pattern, "a" * 5000 + "b", "the answer")
    assert complaint is not None
    assert time.process_time() - started < 5  # without a bound: longer than anyone would wait


@pytest.mark.parametrize(
    ("expected", "found", "tolerance", "same"),
    [
        (1, 1.0, 0, True),
        (1.0, 1.0005, 0.001, True),
        (1.0, 1.002, 0.001, False),
        (0.1 + 0.2, 0.3, 0, False),
        (0.1 + 0.2, 0.3, 1e-9, True),
        (1, True, 0, False),
        (True, True, 0, True),
        (None, None, 0, True),
        (None, 0, 0, False),
        ("1", 1, 0, False),
        ([1, [2]], [1, [2]], 0, True),
        ([1, 2], [1], 0, False),
        ([1], 1, 0, False),
        ({"a": 1}, {"a": 1, "b": 2}, 0, True),
        ({"a": 1, "b": 2}, {"a": 1}, 0, False),
        (1.0, 10**400, 1.0, False),
        (float("inf"), float("inf"), 0, True),
        (1.0, float("inf"), 1e9, False),
    ],
)
def test_difference(expected, found, tolerance, same):
    assert (difference(expected, found, tolerance) is None) is same


def test_difference_names_the_first_place():
    assert difference({"a": [1, 2, 3]}, {"a": [1, 5, 6]}, where="x") == "x.a[1] is 5, expected 2"
    assert difference([1.0], [2.0], 0.5, "data") == "data[0] is 2, expected 1 (tolerance 0.5)"


def test_depth_is_no_danger():
    deep: list = []
    for _ in range(50_000):
        deep = [deep]
    assert difference(deep, deep) is None
    assert flatten(deep) == []
    assert show(deep) == "a list"


@given(st.lists(st.integers() | st.floats(allow_nan=False) | st.text(), max_size=24))
def test_flat_and_nested_data_are_the_same(data):
    nested = [data[index : index + 3] for index in range(0, len(data), 3)]
    assert flatten(nested) == flatten([nested]) == flatten(data) == data


def test_flatten_keeps_row_major_order_and_makes_numbers_of_booleans():
    assert flatten([[[1], [2]], 3, [], [[True, False]]]) == [1, 2, 3, 1, 0]
