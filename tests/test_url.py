"""Urls taken apart."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic_core import PydanticCustomError

from exporter.url import _USUAL, Address, _parse, parse


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
            "http://h:", "http://[1]", "http://münchen", "javascript:alert(1)", "http://h/\x7f", "unix:///", "http://.h",
            f"http://{64 * 'a'}", f"http://h/{2048 * 'a'}", "http://h:0", "http://h:99999"],
)  # fmt: skip
def test_refused(url: str) -> None:
    with pytest.raises(PydanticCustomError):
        parse(url)


LABEL = st.from_regex(r"[a-z0-9](?:[a-z0-9-]{0,70}[a-z0-9])?", fullmatch=True)
USUAL = st.builds(
    lambda scheme, labels, port, parts, end: f"{scheme}://{'.'.join(labels)}{port}{''.join(parts)}{end}",
    st.sampled_from(("http", "https")), st.lists(LABEL, min_size=1, max_size=5),
    st.one_of(st.just(""), st.integers(0, 70_000).map(":{}".format)),
    st.lists(st.from_regex(r"/[A-Za-z0-9._~-]{0,5}", fullmatch=True), max_size=4), st.sampled_from(("", "/", "//")),
)  # fmt: skip


@given(USUAL)
def test_usual_urls_are_taken_apart_as_all_others_are(url: str) -> None:
    assert tried(url, parse) == tried(url, _parse)


def test_most_urls_are_usual() -> None:
    for url in ("http://10.0.0.7:8000", "https://fraud.models.svc.cluster.local/v2/a-b", "http://127.0.0.1:9000/x/",
                "http://10.0.0.7:11434", "http://h:9"):  # fmt: skip
        assert _USUAL.fullmatch(url)


def tried(url: str, parse: Callable[[str], Address] = parse) -> tuple[Address | None, str]:
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
