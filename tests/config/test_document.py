"""YAML to values: like PyYAML where nobody is surprised, an issue where somebody would be."""

import time

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from exporter.config.document import MAX_DEPTH, Place, read
from exporter.config.problems import MOST
from exporter.config.scalars import Trap, plain

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**12), 10**12) | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=20,
)


@given(JSON)
def test_what_yaml_writes_is_read_back(value: object) -> None:
    text = yaml.safe_dump(value).encode()
    document = read(text)
    assert document.issues == []
    assert document.value == value
    assert read(text, marks=True).value == value


@given(st.text(max_size=60))
def test_no_text_raises(text: str) -> None:
    read(text.encode())
    read(text.encode(), marks=True)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("on", True), ("No", False), ("true", True), ("y", "y"), ("n", "n"), ("~", None), ("", None), ("null", None),
        ("1", 1), ("-7", -7), ("+7", 7), ("0x1F", 31), ("0", 0), ("0o17", "0o17"), ("08", "08"), ("1_000", "1_000"),
        ("1.5", 1.5), (".5", 0.5), ("1e3", 1000.0), ("1.", 1.0), (".inf", float("inf")), ("2026-01-01", "2026-01-01"),
        ("=", "="), ("1m30s", "1m30s"), ("10.0.0.1", "10.0.0.1"), ("llama-3:8b", "llama-3:8b"), ("0:30", "0:30"),
    ],
)  # fmt: skip
def test_plain_scalars(text: str, value: object) -> None:
    found = plain(text)
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize("text", ["1:30", "10:30:15", "-1:30", "1:30.5", "0200", "-017", "00", "9" * 5000])
def test_traps(text: str) -> None:
    with pytest.raises(Trap):
        plain(text)


def test_quotes_disarm_traps() -> None:
    assert read(b'[ "1:30", \'0200\', "on", !!str 5 ]').value == ["1:30", "0200", "on", "5"]


def test_keys_are_text() -> None:
    assert read(b"{on: 1, 1: 2, ~: 3, 1:30 : 4}").value == {"on": 1, "1": 2, "~": 3, "1:30": 4}


def test_merge_keys() -> None:
    text = b"a: &a {x: 1, y: 1}\nb: &b {y: 2, z: 2}\nc: {<<: [*a, *b], x: 0}\nd: {<<: *b}\ne: {'<<': 5}"
    value = read(text).value
    assert value["c"] == {"x": 0, "y": 1, "z": 2}
    assert value["d"] == {"y": 2, "z": 2}
    assert value["e"] == {"<<": 5}
    assert read(text, marks=True).value == value


def test_a_merged_key_is_marked_where_it_is_written() -> None:
    mark = read(b"a: &a\n  x: 1\nb:\n  <<: *a", marks=True).mark
    assert mark is not None
    assert mark.children["b"].children["x"].place == Place(2, 6)  # type: ignore[index, union-attr, call-overload]


def test_duplicate_keys_name_both_lines() -> None:
    issues = read(b"a:\n  b: 1\n  b: 2\n", marks=True).issues
    assert [(issue.place.line, issue.path, issue.message) for issue in issues] == [
        (3, ("a", "b"), "duplicate key 'b' (first at line 2); allowed: each key once")
    ]


def test_after_more_issues_than_are_told_nothing_is_read() -> None:
    for text in ("[" + "0200, " * 5000 + "]", "{" + "a: 1, " * 5000 + "}"):
        assert len(read(text.encode(), marks=True).issues) == MOST + 1


def test_an_alias_bomb_costs_nothing() -> None:
    lines = ["a0: &a0 [x]"] + [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 40)]
    started = time.process_time()
    issues = read("\n".join(lines).encode()).issues
    assert time.process_time() - started < 1
    assert "aliases" in issues[-1].message


def test_many_honest_aliases_are_fine() -> None:
    text = "base: &b {a: 1, b: 2}\nall:\n" + "  - {<<: *b, c: 3}\n" * 5000
    document = read(text.encode())
    assert document.issues == []
    assert len(document.value["all"]) == 5000


def test_depth() -> None:
    deep = lambda levels: read(b"[" * levels + b"]" * levels)  # noqa: E731
    assert deep(MAX_DEPTH).issues == []
    assert "nested deeper" in deep(MAX_DEPTH + 1).issues[0].message
    assert "nested deeper" in read(b"[" * 200_000).issues[0].message
