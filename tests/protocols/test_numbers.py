import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from exporter.protocols.numbers import NumberChecks, Range, check_numbers, shape_of

FINITE = st.floats(allow_nan=False, allow_infinity=False, width=32)


@pytest.mark.parametrize(
    ("expect", "wanted", "data", "words"),
    [
        ({}, [1, 2], [1, 2], []),
        ({}, [[1], [2]], [1, 2], []),
        ({}, [1, 2], [1], ["data has 1 elements, expected 2"]),
        ({"tolerance": 0.1}, [1], [1.2], ["data[0] is 1.2, expected 1 (tolerance 0.1)"]),
        ({"rtol": 0.1}, [100], [109], []),
        ({"rtol": 0.1}, [100], [111], ["data[0] is 111, expected 100 (rtol 0.1)"]),
        ({"min": 0, "max": 1}, None, [[0, 1], [0.5, 1]], []),
        ({"min": 0, "max": 1}, None, [[0, 2], [0.5, -1]], ["data[1] is 2, expected 0 to 1 (and 1 more)"]),
        ({"min": 0}, None, [-1], ["data[0] is -1, expected at least 0"]),
        ({"max": 0}, None, ["a"], ['data[0] is "a", expected at most 0']),
        ({"min": 0}, None, [float("nan")], ["data[0] is nan, expected at least 0"]),
        ({"max": 1}, [1, 2], [1, 3], ["data[1] is 3, expected 2", "data[1] is 3, expected at most 1"]),
        ({"min": 0, "max": 1}, None, [True, False], []),
    ],
)
def test_numbers(expect, wanted, data, words):
    assert check_numbers(NumberChecks.model_validate(expect), wanted, data, "data") == words


@pytest.mark.parametrize(
    ("data", "shape"),
    [
        (1, []),
        ([], [0]),
        ([1, 2], [2]),
        ([[1, 2, 3], [4, 5, 6]], [2, 3]),
        ([[[]]], [1, 1, 0]),
        ([[1], [2, 3]], None),
        ([[1], 2], None),
    ],
)
def test_the_shape_of_nested_lists(data, shape):
    assert shape_of(data) == shape


def test_depth_is_no_danger():
    deep: list = []
    for _ in range(50_000):
        deep = [deep]
    assert len(shape_of(deep)) == 50_001


@given(st.lists(FINITE, min_size=1), FINITE, FINITE)
def test_a_range_complains_just_when_a_number_is_out_of_it(data, low, high):
    low, high = sorted((low, high))
    complaints = check_numbers(NumberChecks(min=low, max=high), None, data, "data")
    assert bool(complaints) is any(not low <= number <= high for number in data)


@given(st.lists(FINITE), st.floats(0, 1))
def test_numbers_are_near_themselves(data, rtol):
    assert check_numbers(NumberChecks(rtol=rtol), data, data, "data") == []


def test_a_range_that_is_upside_down_is_refused():
    with pytest.raises(ValidationError):
        Range(min=2, max=1)


@pytest.mark.parametrize(
    ("given", "words"),
    [({}, "any"), ({"min": 1}, "at least 1"), ({"max": 1}, "at most 1"), ({"min": 1, "max": 2}, "1 to 2"),
     ({"min": 1, "max": 1}, "1")],
)  # fmt: skip
def test_a_range_in_words(given, words):
    assert str(Range.model_validate(given)) == words
