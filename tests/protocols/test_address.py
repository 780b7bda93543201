import pytest

from exporter.protocols.address import join, segment, with_query


@pytest.mark.parametrize(
    ("base", "route", "query", "path"),
    [
        ("", "/v1/models", "", "/v1/models"),
        ("/v1", "/v1/models", "", "/v1/models"),
        ("/openai/v1", "/v1/models", "", "/openai/v1/models"),
        ("/openai/v1/", "/v1/models", "", "/openai/v1/models"),
        ("/openai", "/v1/models", "", "/openai/v1/models"),
        ("/apiv1", "/v1/models", "", "/apiv1/v1/models"),
        ("/v2", "/v1/models", "", "/v2/v1/models"),
        ("", "/v2", "", "/v2"),
        ("/x/v2", "/v2", "", "/x/v2"),
        ("", "/v1/models", "api-version=1", "/v1/models?api-version=1"),
        ("/a", "/ping?x=1", "y=2", "/a/ping?x=1&y=2"),
        ("", "/", "", "/"),
    ],
)
def test_join(base, route, query, path):
    assert join(base, route, query) == path


def test_segment_escapes_what_would_split_a_path():
    assert segment("org/model:7b?x#y") == "org%2Fmodel%3A7b%3Fx%23y"


def test_with_query():
    assert with_query("/a", "") == "/a"
    assert with_query("/a?b=1", "c=2") == "/a?b=1&c=2"
