"""Urls taken apart."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic_core import PydanticCustomError

from exporter.url import Address, parse


@pytest.mark.parametrize(
    ("url", "address", "name"),
    [
        ("http://h", Address("http", "h", 80, "", ""), "h:80"),
        ("https://H.example/", Address("https", "h.example", 443, "", ""), "h.example:443"),
        ("HTTP://h:8000/a/b/?x=1&y", Address("http", "h", 8000, "/a/b", "x=1&y"), "h:8000/a/b"),
        ("http://[::1]:8000/v1", Address("http", "::1", 8000, "/v1", ""), "[::1]:8000/v1"),
        ("http://[fe80::1%25eth0]", Address("http", "fe80::1%eth0", 80, "", ""), "[fe80::1%eth0]:80"),
        ("http://h/a?to=b@c", Address("http", "h", 80, "/a", "to=b@c"), "h:80/a"),
        ("unix:///run/model.sock", Address("unix", "/run/model.sock", 0, "", ""), "unix:/run/model.sock"),
    ],
)
def test_parts(url: str, address: Address, name: str) -> None:
    assert parse(url) == address
    assert parse(url).name == name


def test_a_query_is_not_shown() -> None:
    assert "s3cr3t" not in parse("http://h/a?key=s3cr3t").shown


@pytest.mark.parametrize(
    "url", ["", "://", "http:h", "http:///x", "http://h\\@x", "http://ok@evil/", "http://a b", "http://-h", "http://h:٣",
            "http://h:", "http://[1]", "http://münchen", "javascript:alert(1)", "http://h/\x7f", "unix:///", "http://.h"],
)  # fmt: skip
def test_refused(url: str) -> None:
    with pytest.raises(PydanticCustomError):
        parse(url)


def tried(url: str) -> tuple[Address | None, str]:
    try:
        return parse(url), ""
    except PydanticCustomError as error:
        return None, error.message()


@given(st.text(max_size=40), st.text(alphabet="abc:/@?#[]%. 0123456789\\", max_size=40))
def test_any_text_is_an_address_or_a_problem_that_does_not_quote_it(some: str, tail: str) -> None:
    for url in (some, f"http://{tail}", f"http://u:s3cr3t@{tail}"):
        address, told = tried(url)
        assert "s3cr3t" not in told
        assert address is None or (0 <= address.port <= 65535 and address.host)
