import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from exporter.model.text import LABEL_BYTES, label

ANY_TEXT = st.text(st.characters(exclude_categories=()))


@given(ANY_TEXT)
@example('a\ud800"')  # JSON can carry a lone surrogate
def test_a_label_is_short_and_shows_nothing_odd(value: str) -> None:
    found = label(value)
    assert len(found.encode()) <= LABEL_BYTES
    assert all(char.isprintable() for char in found)
    assert label(found) == found
    printable = "".join(char for char in value if char.isprintable()).strip()
    assert printable.startswith(found)
    if len(printable.encode()) <= LABEL_BYTES:
        assert found == printable


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("a" * 200, "a" * 128),
        ("é" * 70, "é" * 64),
        ("a" + "é" * 70, "a" + "é" * 63),  # cut between characters, never within one
        ("🦙" * 40, "🦙" * 32),
        ("1.0\x00\r\n\x1b[31m\u202e\ud800", "1.0[31m"),
        ("1.2\n3\x00\u202e", "1.23"),
        ("  7 ", "7"),
        ("x" * 127 + " " + "y", "x" * 127),
        ("", ""),
    ],
)
def test_label(value: str, expected: str) -> None:
    assert label(value) == expected
