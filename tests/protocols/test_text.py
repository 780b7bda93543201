import unicodedata

from hypothesis import given
from hypothesis import strategies as st

from exporter.protocols.text import LABEL_BYTES, QUOTE, label, quote

anything = st.text(alphabet=st.characters(exclude_categories=()), max_size=600)


@given(anything)
def test_label_is_short_valid_and_printable(text):
    found = label(text)
    assert len(found.encode("utf-8")) <= LABEL_BYTES
    assert not any(unicodedata.category(char) in ("Cc", "Cs") for char in found)


def test_label_is_cut_between_characters():
    assert label("ä" * 100) == "ä" * 64
    assert label("x" + "ä" * 100) == "x" + "ä" * 63
    assert label("1.2\n3\x00\u202e") == "1.23"


@given(anything)
def test_quote_is_one_bounded_line(text):
    found = quote(text)
    assert len(found) <= QUOTE
    assert "\n" not in found
    found.encode("utf-8")


def test_quote_hides_what_looks_like_a_credential():
    assert quote("you sent Bearer abcdef.123456 to us") == "you sent Bearer <hidden> to us"
    assert quote("a basic test") == "a basic test"
    assert quote("a\r\n  b") == "a b"
    assert quote("x" * 300).endswith("...")
