"""Numbers, reasons and texts of servers as a person reads them."""

import pytest

from exporter.cli.words import ADVICE, clean, count, number, seconds
from exporter.model.failure import Reason


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, ""),
        (0.0, "0 ms"),
        (0.00042, "0.42 ms"),
        (0.0031, "3.1 ms"),
        (0.042, "42 ms"),
        (0.0996, "100 ms"),
        (0.12, "120 ms"),
        (0.9999, "1000 ms"),
        (1.0, "1 s"),
        (1.234, "1.23 s"),
        (12.34, "12.3 s"),
        (119.6, "120 s"),
        (125.2, "2m5s"),
    ],
)
def test_seconds(value: float | None, text: str) -> None:
    assert seconds(value) == text


@pytest.mark.parametrize(
    ("value", "text"), [(None, ""), (8192.0, "8192"), (0.98765, "0.9877"), (-3.0, "-3"), (1e20, "1e+20")]
)
def test_number(value: float | None, text: str) -> None:
    assert number(value) == text


def test_count() -> None:
    assert (count(1, "target"), count(0, "target"), count(2, "target")) == ("1 target", "0 targets", "2 targets")


def test_text_of_a_server_cannot_steer_a_terminal() -> None:
    assert clean("a\x1b[31mb\r\nc\x07\u202ed\u200b") == "a [31mb c d"
    assert clean("x" * 300) == "x" * 239 + "…"


def test_every_reason_has_its_advice() -> None:
    assert set(ADVICE) == set(Reason)
