import time

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from exporter.contracts import Headers
from exporter.model.failure import MAX_DETAIL, Reason, joined
from exporter.model.job import Within
from exporter.protocols.compare import difference, flatten, show
from exporter.protocols.expect import (
    StatusRange,
    TextExpect,
    TextStreamExpect,
    accepts,
    check_body,
    check_headers,
    check_regex,
    check_text,
    failed,
    large,
    spans,
)
from exporter.protocols.http import HttpExpect
from exporter.protocols.patterns import REGEX_TIME, Regex


def problem_of(kind, value):
    with pytest.raises(ValidationError) as caught:
        TypeAdapter(kind).validate_python(value)
    return caught.value.errors()[0]["msg"]


@pytest.mark.parametrize(("value", "words"), [("(", "position 0"), ("a)", "position 1"), ("(?P<x", "position")])
def test_a_wrong_regex_is_said_with_its_position(value, words):
    message = problem_of(Regex, value)
    assert "not a regular expression" in message
    assert words in message


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
    assert accepts(spans(HttpExpect.model_validate({"status": given}).status), status) is fits


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
    ("expect", "text", "words"),
    [
        ({"text": "OK"}, "no", 'the answer does not contain "OK": no'),
        ({"text": ["a", "b"]}, "a", 'the answer does not contain "b": a'),
        ({"text": {"value": "sorry", "negate": True}}, "so sorry", 'the answer contains "sorry": so sorry'),
        ({"text": {"value": "sorry", "negate": True}}, "fine", None),
        ({"equals": "OK."}, "Ok", 'the answer is not "OK.": Ok'),
        ({"regex": "^ok"}, "no", "the answer does not match ^ok: no"),
        ({"regex": {"value": "!{3}", "negate": True}}, "a!!!", "the answer matches !{3}: a!!!"),
        ({"regex": ["a", {"value": "b", "negate": True}]}, "a", None),
        (
            {"text": ["x", {"value": "n", "negate": True}], "equals": "y", "regex": ["^z", "n"]},
            "no",
            'the answer is not "y"; the answer does not contain "x"; the answer contains "n"; '
            "the answer does not match ^z: no",
        ),
    ],
)
def test_every_check_of_a_text_speaks_for_itself(expect, text, words):
    assert check_text(TextExpect.model_validate(expect), text) == words


def test_a_body_that_is_no_json_is_malformed_unless_it_is_wrong_anyway():
    expect = TextExpect.model_validate({"json": {"path": "a", "equals": 1}, "text": "ok"})
    assert check_body(expect, b"ok").reason is Reason.MALFORMED
    wrong = check_body(expect, b"no")
    assert wrong.reason is Reason.EXPECTATION
    assert wrong.detail == 'the answer does not contain "ok": no; the body is not JSON (Expecting value): no'
    assert check_body(expect, b'{"a": 2}').detail == ('the answer does not contain "ok": {"a": 2}; a is 2, expected 1')
    assert check_body(expect, b'{"a": 1, "b": "ok"}') is None


def test_complaints_about_what_came_before_the_body_come_first():
    expect = TextExpect.model_validate({"text": "ok"})
    failure = check_body(expect, b"no", ["there is no header X", None])
    assert failure.detail == 'there is no header X; the answer does not contain "ok": no'
    assert failed([None, None]) is None


def test_a_schema_or_a_pattern_sends_large_answers_to_a_thread():
    plain, pattern = TextExpect(), TextExpect.model_validate({"regex": "a"})
    schema = TextExpect.model_validate({"schema": {"type": "object"}})
    assert large(schema) < large(pattern) < large(plain)


@example(["0"] * 11 + ["0" * 267])  # room for all, to the last character
@example(["0"] * 11 + ["0" * 258, "0"])  # room for all, and none for a count before the last
@given(st.lists(st.text(min_size=1, max_size=400), min_size=1, max_size=12))
def test_a_detail_has_room_for_the_first_complaint_and_counts_the_rest(complaints):
    text = joined(complaints)
    assert 0 < len(text) <= MAX_DETAIL
    if len(whole := "; ".join(complaints)) <= MAX_DETAIL:
        assert text == whole
    else:
        assert text.startswith(complaints[0][:200])
        assert text.endswith(("more", "..."))


def test_what_finds_no_room_is_counted():
    assert joined(["a" * 200, "b" * 200, "c" * 10]) == "a" * 200 + "; and 2 more"
    assert joined(["a" * 400, "b"]) == "a" * (MAX_DETAIL - 15) + "...; and 1 more"
    assert joined(["a" * 400]) == "a" * (MAX_DETAIL - 3) + "..."


@pytest.mark.parametrize(
    ("expect", "within"),
    [
        ({}, None),
        ({"text": "a"}, None),
        ({"duration": "2s"}, Within(2.0)),
        ({"ttft": "500ms"}, Within(None, 0.5)),
        ({"duration": "2s", "ttft": "500ms"}, Within(2.0, 0.5)),
    ],
)
def test_how_soon_an_answer_must_be_there_is_for_the_runner_to_compare(expect, within):
    assert TextStreamExpect.model_validate(expect).within() == within


def test_only_a_stream_has_a_first_token():
    assert TextExpect.model_validate({"duration": "2s"}).within() == Within(2.0)
    with pytest.raises(ValidationError):
        TextExpect.model_validate({"ttft": "500ms"})


@pytest.mark.parametrize("value", [7, True, ["a", 7], [], "", {"value": ""}, {"negate": True}])
def test_a_text_check_that_makes_no_sense_is_refused(value):
    with pytest.raises(ValidationError):
        TextExpect.model_validate({"text": value})


@pytest.mark.parametrize(
    ("expect", "words"),
    [
        ({"server": "uvi"}, None),
        ({"X": "^2$"}, None),
        ({"Y": ""}, "there is no header Y"),
        ({"X": "3"}, "header X does not match 3: 1"),
        ({"X": {"value": "2", "negate": True}}, "header X matches 2: 2"),
        ({"Y": {"value": "2", "negate": True}}, None),
        ({"X": ["1", {"value": "3", "negate": True}]}, None),
        ({"Y": "", "X": "3"}, "there is no header Y; header X does not match 3: 1"),
    ],
)
def test_headers(expect, words):
    headers = Headers([("Server", "uvicorn"), ("X", "1"), ("X", "2")])
    assert check_headers(HttpExpect.model_validate({"header": expect}).header, headers) == words


@pytest.mark.parametrize("pattern", [r"(a+)+$", r"(a|aa)+$", r"(.*)*x"])
@pytest.mark.parametrize("length", [5_000, 1_000_000])
def test_a_pattern_that_explodes_is_stopped(pattern, length):
    text = "a" * (length - 1) + "b"
    took = []
    for _ in range(3):  # what else the machine does makes one dearer, never cheaper
        started = time.process_time()
        complaint = check_regex(pattern, text, "the answer")
        took.append(time.process_time() - started)
        assert complaint is not None
    assert min(took) < 10 * REGEX_TIME  # without a bound: longer than anyone would wait


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


@pytest.mark.parametrize(
    ("expected", "found", "tolerance", "rtol", "same"),
    [
        (100, 101, 0, 0.01, True),
        (100, 101.1, 0, 0.01, False),
        (-100, -101, 0, 0.01, True),
        (100, 102, 1, 0.01, True),
        (0, 0.1, 0, 0.5, False),
        (float("inf"), 1.0, 0, 0.1, False),
        (1.0, float("nan"), 1.0, 1.0, False),
        (10**400, 10**400 + 1, 0, 1.0, False),
    ],
)
def test_a_relative_tolerance_is_added_to_the_absolute_one(expected, found, tolerance, rtol, same):
    assert (difference(expected, found, tolerance, rtol=rtol) is None) is same


def test_difference_says_what_was_allowed():
    assert difference(1.0, 2.0, 0.1, "x", rtol=0.5) == "x is 2, expected 1 (tolerance 0.1, rtol 0.5)"
    assert difference(1.0, 2.0, where="x", rtol=0.5) == "x is 2, expected 1 (rtol 0.5)"


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
