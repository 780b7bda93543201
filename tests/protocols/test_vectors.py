import base64
import json
import math
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from exporter.model.failure import Failure, Reason
from exporter.protocols.vectors import VectorExpect, check_vectors, cosine, parse_numbers, read_vectors


def packed(*numbers):
    return base64.b64encode(struct.pack(f"<{len(numbers)}f", *numbers)).decode()


def expect(**own):
    return VectorExpect.model_validate(own)


def test_vectors_are_read_as_lists_and_as_base64():
    assert read_vectors([[1, 0.5], packed(1, 0.5)]) == [(1.0, 0.5), (1.0, 0.5)]


@pytest.mark.parametrize(
    ("rows", "reason", "detail"),
    [
        ([], Reason.EMPTY, "no vector"),
        ([[1], []], Reason.EMPTY, "vector 1 is empty"),
        ([""], Reason.EMPTY, "vector 0 is empty"),
        ([[0.5, None]], Reason.MALFORMED, "element 1 of vector 0 is null, which is how NaN is written"),
        ([packed(1, math.nan)], Reason.MALFORMED, "element 1 of vector 0 is NaN"),
        ([packed(math.inf)], Reason.MALFORMED, "element 0 of vector 0 is infinite"),
        ([[1e999]], Reason.MALFORMED, "element 0 of vector 0 is infinite"),
        ([[-math.inf]], Reason.MALFORMED, "infinite"),
        ([[10**400]], Reason.MALFORMED, "too large a number"),
        ([["0.5"]], Reason.MALFORMED, "a string"),
        ([[True]], Reason.MALFORMED, "a boolean"),
        ([[[1.0]]], Reason.MALFORMED, "a vector for each token"),
        ([{"a": 1}], Reason.MALFORMED, "vector 0 is an object"),
        ([None], Reason.MALFORMED, "vector 0 is null"),
        (["AAA"], Reason.MALFORMED, "not base64 of float32"),
        (["AAAA"], Reason.MALFORMED, "not base64 of float32"),
        (["_-!?"], Reason.MALFORMED, "not base64 of float32"),
        (["ünicode"], Reason.MALFORMED, "not base64 of float32"),
    ],
)
def test_what_is_no_vector(rows, reason, detail):
    with pytest.raises(Failure) as caught:
        read_vectors(rows)
    assert caught.value.reason is reason
    assert detail in caught.value.detail


@pytest.mark.parametrize("name", ["NaN", "Infinity", "-Infinity"])
def test_numbers_that_are_none_are_told_by_name(name):
    with pytest.raises(Failure) as caught:
        parse_numbers(f'{{"data":[{{"embedding":[0.1, {name}]}}]}}'.encode())
    assert caught.value.reason is Reason.MALFORMED
    assert caught.value.detail.startswith(f"the answer holds {name}")
    with pytest.raises(Failure) as caught:
        parse_numbers(b"<html>NaN")
    assert "not JSON" in caught.value.detail


@pytest.mark.parametrize(
    ("own", "complaint"),
    [
        ({}, None),
        ({"dimension": 2}, None),
        ({"dimension": 3}, "vector 0 has 2 dimensions, expected 3"),
        ({"count": 2}, None),
        ({"count": 1}, "there are 2 vectors, expected 1"),
        ({"norm": {"min": 0.9}}, None),
        ({"norm": 1}, "the norm of vector 1 is 2, expected 1 (tolerance 0.01)"),
        ({"norm": {"value": 1, "tolerance": 1}}, None),
        ({"norm": {"min": 0.9, "max": 1.9}}, "the norm of vector 1 is 2, expected 0.9 to 1.9"),
        ({"norm": {"max": 0.5}}, "the norm of vector 0 is 1, expected at most 0.5"),
        ({"norm": {"min": 3}}, "the norm of vector 0 is 1, expected at least 3"),
        ({"cosine": {"to": [6, 8]}}, None),  # of the first alone, and of any length
        ({"cosine": {"to": [[0.6, 0.8], [1, 0]]}}, None),
        ({"cosine": {"to": [[0.6, 0.8], [0, 1]]}}, "the cosine of vector 1 to the known one is 0.0000, expected at "),
        ({"cosine": {"to": [[0.6, 0.8], [0, 1]], "at_least": 0}}, None),
        ({"cosine": {"to": [-0.6, -0.8]}}, "the cosine of vector 0 to the known one is -1.0000"),
        ({"cosine": {"to": [1, 0, 0]}}, "vector 0 has 2 dimensions, the known one 3"),
        ({"cosine": {"to": [[1, 0], [1, 0], [1, 0]]}}, "there are 2 vectors to compare with 3 known ones"),
    ],
)
def test_checks(own, complaint):
    found = check_vectors(expect(**own), [(0.6, 0.8), (2.0, 0.0)])
    assert found is None if complaint is None else found is not None and found.startswith(complaint)


def test_a_vector_without_direction():
    assert check_vectors(expect(cosine={"to": [1, 0]}), [(0.0, 0.0)]) == "vector 0 is all zeros"
    assert cosine((0.0,), (1.0,)) is None


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False, width=64), min_size=1, max_size=8))
def test_a_vector_points_where_it_points(vector):
    """Also where squares would overflow or vanish."""
    found = cosine(vector, vector)
    if found is None or math.isinf(math.hypot(*vector)):
        return
    assert found == pytest.approx(1, abs=1e-6)


def test_a_known_vector_may_be_in_a_file(tmp_path):
    (tmp_path / "one.json").write_text("[0.6, 0.8]")
    (tmp_path / "two.json").write_text("[[0.6, 0.8], [1, 0]]")
    for name in ("one", "two"):
        own = {"cosine": {"to": {"file": f"{name}.json"}}}
        read = VectorExpect.model_validate(own, context={"base": tmp_path})
        assert read.cosine.to[0] == (0.6, 0.8)


@pytest.mark.parametrize(
    ("own", "message"),
    [
        ({"norm": "one"}, "allowed: a number, {value, tolerance} or {min, max}"),
        ({"norm": True}, "allowed: a number"),
        ({"norm": {}}, "needs exactly one of value and {min, max}"),
        ({"norm": {"value": 1, "max": 2}}, "needs exactly one of value"),
        ({"norm": {"min": 2, "max": 1}}, "found min 2.0, which is above max 1.0"),
        ({"cosine": {"to": []}}, "allowed: a list of numbers"),
        ({"cosine": {"to": [[]]}}, "vector 0 is empty; allowed: a list of numbers"),
        ({"cosine": {"to": [1, "a"]}}, "element 1 of vector 0 is a string"),
        ({"cosine": {"to": [0, 0]}}, "a vector of zeros"),
        ({"cosine": {"to": {"path": "x"}}}, "allowed: a list of numbers"),
        ({"cosine": {"to": "x"}}, "allowed: a list of numbers"),
        ({"cosine": {"to": {"file": "none.json"}}}, "file not found"),
        ({"cosine": {"to": {"file": "bad.json"}}}, "the file is not JSON"),
        ({"cosine": {"to": [1], "at_least": 2}}, "less than or equal to 1"),
    ],
)
def test_settings(own, message, tmp_path):
    (tmp_path / "bad.json").write_text("{NaN")
    with pytest.raises(ValidationError) as caught:
        VectorExpect.model_validate(own, context={"base": tmp_path})
    assert any(message in error["msg"] for error in caught.value.errors())


def test_settings_can_be_written_out_again():
    own = json.loads(expect(norm=1, cosine={"to": [1, 2]}).model_dump_json())
    assert own["norm"]["value"] == 1
    assert own["cosine"]["to"] == [[1.0, 2.0]]
