"""Durations, sizes, secrets and headers: the value types of all settings."""

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from exporter.model.secret import Secret as SecretRef
from exporter.settings import (
    MAX_DURATION,
    MAX_SIZE,
    Duration,
    Headers,
    PositiveDuration,
    Secret,
    Settings,
    Size,
    Text,
    format_duration,
    parse_duration,
    problem,
    shown,
)

UNITS = {"y": 31536000, "w": 604800, "d": 86400, "h": 3600, "m": 60, "s": 1, "ms": 0.001}


class Values(Settings):
    """One of each."""

    duration: Duration = 0.0
    positive: PositiveDuration = 1.0
    size: Size = 1
    secret: Secret | None = None
    headers: Headers = {}  # noqa: RUF012 - pydantic copies it
    text: Text = ""


def tried(**values: object) -> tuple[Values | None, str, str]:
    """The settings, or the first error's kind and message."""
    try:
        return Values.model_validate(values), "", ""
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        return None, first["type"], first["msg"]


def message(**values: object) -> str:
    settings, _, text = tried(**values)
    assert settings is None
    return text


@given(st.lists(st.sampled_from(list(UNITS)), unique=True, min_size=1), st.integers(0, 999))
def test_durations_are_sums_of_their_parts(units: list[str], number: int) -> None:
    units.sort(key=list(UNITS).index)
    text = "".join(f"{number}{unit}" for unit in units)
    assert parse_duration(text) == pytest.approx(sum(number * UNITS[unit] for unit in units))


@given(st.integers(0, int(MAX_DURATION * 1000)))
def test_a_duration_is_written_as_it_is_read(milliseconds: int) -> None:
    text = format_duration(milliseconds / 1000)
    assert parse_duration(text) == pytest.approx(milliseconds / 1000)
    assert Values.model_validate({"duration": text}).duration == pytest.approx(milliseconds / 1000)


@given(st.text(max_size=30) | st.from_regex(r"[0-9yhdwms.:e+-]{0,400}", fullmatch=True))
def test_any_text_is_a_duration_or_a_problem(text: str) -> None:
    settings, kind, told = tried(duration=text)
    if settings is None:
        assert kind == "duration"
        assert len(told) < 250
    else:
        assert 0 <= settings.duration <= MAX_DURATION
        assert re.fullmatch(r"0|(\d+(y|w|d|h|ms|m|s))+", text, re.ASCII)


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("0s", "> 0"), ("-5s", "not a duration"), (5, "without a unit"), (1.5, "without a unit"), ("1e9h", "maximum"),
        ("400d", "maximum"), (float("inf"), "not finite"), (float("nan"), "not finite"), ("5m30", "not a duration"),
        (True, "boolean"), ("1s1m", "not a duration"), ("", "not a duration"), ("٣s", "not a duration"),
        ("9" * 400 + "y", "not a duration"), (["1s"], "a list"), (None, "null"),
    ],
)  # fmt: skip
def test_wrong_durations(value: object, words: str) -> None:
    assert words in message(positive=value)


@given(st.integers(1, MAX_SIZE))
def test_sizes_are_bytes(number: int) -> None:
    assert Values.model_validate({"size": number}).size == number
    assert Values.model_validate({"size": f"{number}B"}).size == number


@pytest.mark.parametrize(
    ("text", "number"), [("512kB", 512_000), ("10MB", 10_000_000), ("1 MiB", 1_048_576), ("1GB", 10**9), ("7", 7)]
)
def test_units_of_sizes(text: str, number: int) -> None:
    assert Values.model_validate({"size": text}).size == number


@given(st.text(max_size=20) | st.from_regex(r"[0-9]{0,5000}[kMG]?i?B?", fullmatch=True))
def test_any_text_is_a_size_or_a_problem(text: str) -> None:
    settings, kind, _ = tried(size=text)
    assert kind == "size" if settings is None else 1 <= settings.size <= MAX_SIZE


@pytest.mark.parametrize(
    "value", [0, -1, "10XB", "900GB", True, 1.5, "1.5MB", None, [1], pytest.param(10**5000, id="huge")]
)
def test_wrong_sizes(value: object) -> None:
    assert "allowed" in message(size=value)


def test_secrets_are_references(tmp_path: Path) -> None:
    read = lambda value: Values.model_validate({"secret": value}, context={"base": str(tmp_path)}).secret  # noqa: E731
    assert read("abc") == SecretRef("inline", "abc")
    assert read({"env": "NAME"}) == SecretRef("env", "NAME")
    assert read({"file": "token"}) == SecretRef("file", str(tmp_path / "token"))
    assert read({"file": "/run/token"}) == SecretRef("file", "/run/token")
    assert "abc" not in repr(Values.model_validate({"secret": "abc"}))
    assert "abc" not in Values.model_validate({"secret": "abc"}).model_dump_json()


@given(st.text() | st.integers() | st.dictionaries(st.text(max_size=3), st.text(min_size=9)) | st.lists(st.text()))
def test_a_secret_is_never_quoted(value: object) -> None:
    assert tried(secret=value)[2] in {
        "",
        "found an empty secret; allowed: text, {env: NAME} or {file: PATH}",
        "found a control character in a secret (not shown); allowed: text without one",
        "found a number or boolean (not shown); string expected: write it in quotes",
        "found something else (not shown); allowed: text, {env: NAME} or {file: PATH}",
    }


@pytest.mark.parametrize(
    ("headers", "words"),
    [
        (["a"], "a list"), ({"X Y": "z"}, "not a header name"), ({"Host": "a", "host": "b"}, "duplicate header"),
        ({"Content-Length": "5"}, "only the transport"), ({"": "a"}, "not a header name"), ({"X": "a\nb"}, "not shown"),
    ],
)  # fmt: skip
def test_wrong_headers(headers: object, words: str) -> None:
    assert words in message(headers=headers)


def test_text_from_a_file(tmp_path: Path) -> None:
    (tmp_path / "prompt").write_text("Grüße\n")
    assert Values.model_validate({"text": {"file": "prompt"}}, context={"base": str(tmp_path)}).text == "Grüße\n"
    assert Values.model_validate({"text": "inline"}).text == "inline"


def test_text_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "bytes").write_bytes(b"\xff")
    (tmp_path / "large").write_bytes(b"x" * 1_000_001)
    assert "not UTF-8 (byte 0)" in message(text={"file": str(tmp_path / "bytes")})
    assert "larger than the maximum" in message(text={"file": str(tmp_path / "large")})
    assert "not a regular file" in message(text={"file": str(tmp_path)})
    assert "file not found" in message(text={"file": str(tmp_path / "nope")})
    assert "string expected" in message(text=5)


@given(st.recursive(st.none() | st.text() | st.integers() | st.floats(), lambda inner: st.lists(inner)))
def test_what_is_shown_is_short(value: object) -> None:
    assert len(shown(value)) <= 60


def test_only_its_own_gaps_are_filled_in_a_message() -> None:
    assert problem("kind", "found {found}: {file: PATH}, {}, {", found="{file}").message() == (
        "found '{file}': {file: PATH}, {}, {"
    )
