import pytest
from pydantic import TypeAdapter

from exporter.protocols.tool_calls import OneToolCall, check_tool

ADD = '{"a": 1, "b": {"c": [1, 2], "d": "x"}}'


@pytest.mark.parametrize(
    ("expect", "calls", "words"),
    [
        ("add", {0: ("add", ADD)}, []),
        ("add", {0: ("add", "")}, []),
        ("add", {}, ["tool add was not called, but none"]),
        ("add", {0: ("sub", "{}"), 1: ("mul", "{}")}, ["tool add was not called, but sub, mul"]),
        ("add", {0: ("add", '{"a":')}, ['the arguments of add are not JSON: {"a":']),
        ({"name": "add", "arguments": {"a": 1}}, {0: ("add", ADD)}, []),
        ({"name": "add", "arguments": {"b": {"c": [1, 2]}}}, {0: ("add", ADD)}, []),
        ({"name": "add", "arguments": {"b": {"c": [1]}}}, {0: ("add", ADD)},
         ["add: arguments.b.c has 2 elements, expected 1"]),
        ({"name": "add", "arguments": {"a": "1"}}, {0: ("add", ADD)}, ['add: arguments.a is 1, expected "1"']),
        ({"name": "add", "arguments": {"e": 1}}, {0: ("add", ADD)}, ["add: arguments has no key e"]),
        ({"name": "add", "arguments": {"a": 1}}, {0: ("add", "[]")},
         ["add: arguments is a list, expected an object"]),
        ({"name": "add", "arguments_json": {"path": "b.d", "matches": "^x"}}, {0: ("add", ADD)}, []),
        ({"name": "add", "arguments_json": [{"path": "b.d", "matches": "^y"}, {"path": "a", "min": 2}]},
         {0: ("add", ADD)}, ['add: b.d is "x", which does not match ^y', "add: a is 1, expected at least 2"]),
        # One call that is right is enough, in any place.
        ({"name": "add", "arguments": {"a": 1}}, {0: ("add", '{"a": 2}'), 1: ("sub", "{}"), 2: ("add", ADD)}, []),
        ({"name": "add", "arguments": {"a": 1}}, {0: ("add", '{"a": 2}'), 1: ("add", '{"a": 3}')},
         ["add: arguments.a is 2, expected 1"]),
    ],
)  # fmt: skip
def test_a_call_says_what_is_wrong_with_it(expect, calls, words):
    assert check_tool(TypeAdapter(OneToolCall).validate_python(expect), calls) == words
