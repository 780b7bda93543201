"""Values at the doors between rooms."""

import pytest

from exporter.contracts import Headers


def test_headers_are_found_in_any_case_and_kept_in_order() -> None:
    headers = Headers([("Set-Cookie", "a"), ("X-One", "1"), ("set-cookie", "b")])
    assert headers.get("SET-COOKIE") == "a"
    assert headers.all("Set-Cookie") == ["a", "b"]
    assert headers.get("missing", "-") == "-"
    assert headers.items() == (("set-cookie", "a"), ("x-one", "1"), ("set-cookie", "b"))


@pytest.mark.parametrize(
    ("told", "expected"),
    [("Text/Event-Stream; charset=utf-8", "text/event-stream"), (" application/json ", "application/json"), ("", "")],
)
def test_the_media_type_is_told_without_its_parameters(told: str, expected: str) -> None:
    assert Headers([("Content-Type", told)]).media_type == expected
    assert Headers().media_type == ""
