import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from exporter.protocols.values import JsonChecks, ValueExpect, check_paths, check_value

ADAPTER = TypeAdapter(JsonChecks)
SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5)
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3)
)


def complaints(check, value):
    return check_paths(ADAPTER.validate_python(check), value)


def problem_of(value):
    with pytest.raises(ValidationError) as caught:
        ADAPTER.validate_python(value)
    return caught.value.errors()[0]["msg"]


@pytest.mark.parametrize("value", ["a[", "a ! b", "", "[", "a.b ==="])
def test_a_wrong_jmespath_is_said_with_its_position(value):
    assert "position" in problem_of(value)
    assert "position" in problem_of({"path": value, "equals": 1})


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (7, "allowed: a JMESPath that must find true"),
        ({"path": "a"}, "has a path alone; needs one of equals, not_equals, in"),
        ({"path": "a", "min": 2, "max": 1}, "found min 2.0, which is above max 1.0"),
        ({"path": "a", "exists": True, "tolerance": 1}, "found tolerance or rtol without equals"),
        ({"path": "a", "length": -1}, "allowed: an integer >= 0, or {min:, max:}"),
        ({"path": "a", "length": True}, "allowed: an integer >= 0, or {min:, max:}"),
        ({"path": "a", "matches": "("}, "not a regular expression"),
    ],
)
def test_a_check_that_makes_no_sense_is_refused(value, words):
    assert words in problem_of(value)


@pytest.mark.parametrize("value", [[], {"path": "a", "in": []}, {"equals": 1}, {"path": "a", "equal": 1}])
def test_a_check_that_checks_nothing_is_refused(value):
    problem_of(value)


@pytest.mark.parametrize(
    ("check", "value", "words"),
    [
        ("status == 'ok'", {"status": "ok"}, []),
        ("status == 'ok'", {"status": "no"}, ["status == 'ok' is false, expected true"]),
        ("ready", {"ready": True}, []),
        ("ready", {"ready": 1}, ["ready is 1, expected true"]),
        ("ready", {"ready": "true"}, ['ready is "true", expected true']),
        ("ready", None, ["ready is null, expected true"]),
        ({"path": "a.b", "equals": 1}, {"a": {"b": 1.0}}, []),
        ({"path": "a.b", "equals": 1}, {"a": {"b": True}}, ["a.b is true, expected 1"]),
        ({"path": "a", "equals": {"b": 1}}, {"a": {"b": 1, "c": 2}}, []),
        ({"path": "a", "equals": [1, 2]}, {"a": [1]}, ["a has 1 elements, expected 2"]),
        ({"path": "a", "equals": None}, {}, []),
        ({"path": "a", "equals": None}, {"a": 1}, ["a is 1, expected null"]),
        ({"path": "a", "equals": 1, "tolerance": 0.5}, {"a": 1.6}, ["a is 1.6, expected 1 (tolerance 0.5)"]),
        ({"path": "a", "equals": 10, "rtol": 0.1}, {"a": 11}, []),
        ({"path": "a", "not_equals": 1}, {"a": 1}, ["a is 1, which it must not be"]),
        ({"path": "a", "not_equals": 1}, {"a": 2}, []),
        ({"path": "a", "not_equals": None}, {}, ["a is null, which it must not be"]),
        ({"path": "a", "in": ["x", "y"]}, {"a": "y"}, []),
        ({"path": "a", "in": ["x", 2]}, {"a": "z"}, ['a is "z", expected one of "x", 2']),
        ({"path": "a", "contains": 2}, {"a": [1, 2]}, []),
        ({"path": "a", "contains": 3}, {"a": [1, 2]}, ["a is a list, which does not contain 3"]),
        ({"path": "a", "contains": "b"}, {"a": "abc"}, []),
        ({"path": "a", "contains": "z"}, {"a": "abc"}, ['a is "abc", which does not contain "z"']),
        ({"path": "a", "contains": 1}, {"a": "1"}, ['a is "1", which does not contain 1']),
        ({"path": "a", "contains": 1}, {"a": 1}, ["a is 1, which does not contain 1"]),
        ({"path": "a", "matches": "^v[0-9]+$"}, {"a": "v12"}, []),
        ({"path": "a", "matches": "^v[0-9]+$"}, {"a": "12"}, ['a is "12", which does not match ^v[0-9]+$']),
        ({"path": "a", "matches": "1"}, {"a": 1}, ["a is 1, which does not match 1"]),
        ({"path": "a", "min": 1, "max": 2}, {"a": 1}, []),
        ({"path": "a", "min": 1, "max": 2}, {"a": 3}, ["a is 3, expected 1 to 2"]),
        ({"path": "a", "min": 1}, {"a": True}, ["a is true, expected at least 1"]),
        ({"path": "a", "max": 1}, {}, ["a is null, expected at most 1"]),
        ({"path": "a", "exists": True}, {"a": 0}, []),
        ({"path": "a", "exists": True}, {"a": None}, ["a is not there"]),
        ({"path": "a", "exists": False}, {"a": 1}, ["a is there: 1"]),
        ({"path": "a", "exists": False}, {}, []),
        ({"path": "a", "length": 2}, {"a": [1, 2]}, []),
        ({"path": "a", "length": 2}, {"a": "abc"}, ["a has the length 3, expected 2"]),
        ({"path": "a", "length": {"min": 1}}, {"a": {}}, ["a has the length 0, expected at least 1"]),
        ({"path": "a", "length": 1}, {"a": 1}, ["a is 1, which has no length, expected 1"]),
        ({"path": "a", "equals": 1, "negate": True}, {"a": 1}, ["a is 1, which it must not be"]),
        ({"path": "a", "contains": 1, "negate": True}, {"a": [2]}, []),
        (["a", {"path": "b", "min": 1}], {"b": 0}, ["a is null, expected true", "b is 0, expected at least 1"]),
        (
            {"path": "a", "min": 1, "length": 2},
            {"a": "x"},
            ['a is "x", expected at least 1', "a has the length 1, expected 2"],
        ),
    ],
)
def test_a_check_says_what_it_found_and_what_it_wanted(check, value, words):
    assert complaints(check, value) == words


def test_an_expression_that_cannot_be_worked_out_is_said():
    (words,) = complaints("length(a)", {"a": 3})
    assert words.startswith("length(a) cannot be worked out on the answer")
    # A check turned round is no excuse for an expression that does not work.
    assert complaints({"path": "length(a)", "equals": 1, "negate": True}, {"a": 3}) == [words]


@given(VALUES)
def test_a_check_and_its_negation_never_agree(value):
    for check in ({"equals": 1}, {"contains": "a"}, {"min": 0}, {"length": 1}, {"exists": True}, {"matches": "a"}):
        straight, turned = (
            complaints({"path": "@", **check}, value),
            complaints({"path": "@", **check, "negate": True}, value),
        )
        assert bool(straight) is not bool(turned)


@given(VALUES)
def test_a_value_equals_itself_is_among_itself_and_not_unequal(value):
    assert not complaints({"path": "@", "equals": value}, value)
    assert not complaints({"path": "@", "in": [value]}, value)
    assert complaints({"path": "@", "not_equals": value}, value)


def test_a_schema_speaks_before_the_expressions():
    expect = ValueExpect.model_validate({"schema": {"required": ["name"]}, "json": {"path": "age", "min": 1}})
    assert check_value(expect, {"name": "x", "age": 1}) is None
    assert check_value(expect, {"age": 0}) == (
        "$ does not fit the schema: 'name' is a required property; age is 0, expected at least 1"
    )
    assert not ValueExpect().structured
    assert expect.structured
