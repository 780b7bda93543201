import pytest

from exporter.model.failure import Failure, Reason
from exporter.transport.redirect import Step, follow, is_redirect

HERE = "http://h.test:8080"


@pytest.mark.parametrize(
    ("method", "status", "location", "step"),
    [
        ("GET", 302, "/next", Step("GET", "/next", True)),
        ("GET", 302, "next?x=1", Step("GET", "/a/next?x=1", True)),
        ("GET", 302, "?x=1", Step("GET", "/a/b?x=1", True)),
        ("GET", 301, "http://h.test:8080/next", Step("GET", "/next", True)),
        ("GET", 301, "//h.test:8080/next", Step("GET", "/next", True)),
        ("GET", 301, "HTTP://H.TEST:8080/next", Step("GET", "/next", True)),
        ("GET", 301, "http://h.test:8080", Step("GET", "/", True)),
        ("GET", 301, "/next#part", Step("GET", "/next", True)),
        ("POST", 302, "/next", Step("GET", "/next", False)),
        ("POST", 303, "/next", Step("GET", "/next", False)),
        ("POST", 307, "/next", Step("POST", "/next", True)),
        ("POST", 308, "/next", Step("POST", "/next", True)),
        ("PUT", 302, "/next", Step("PUT", "/next", True)),
        ("HEAD", 303, "/next", Step("HEAD", "/next", True)),
    ],
)
def test_where_it_leads(method: str, status: int, location: str, step: Step) -> None:
    assert follow(HERE, method, "/a/b", status, location) == step


@pytest.mark.parametrize(
    "location",
    [
        "", "http://other.test:8080/", "http://h.test/", "https://h.test:8080/", "//other.test/", "file:///etc/passwd",
        "ftp://h.test:8080/", "javascript:alert(1)", "http://user:s3cr3t@h.test:8080/", "http://@h.test:8080/",
        "http://[::1", "http://h.test:99999/", "/a b", "/a\tb", "/\u00e9", "http://169.254.169.254/",
        "http://h.test:8080@evil.test/",
    ],
)  # fmt: skip
def test_where_it_must_not_lead(location: str) -> None:
    with pytest.raises(Failure) as caught:
        follow(HERE, "GET", "/a/b", 302, location)
    assert caught.value.reason is Reason.REDIRECT
    assert "s3cr3t" not in caught.value.detail
    assert "evil" not in caught.value.detail


@pytest.mark.parametrize("location", ["\\\\evil.test/x", "http:\\\\evil.test"])
def test_a_strange_path_is_still_of_the_same_origin(location: str) -> None:
    assert follow(HERE, "GET", "/a/b", 302, location).path.startswith("/")


def test_default_ports_are_the_same_origin() -> None:
    assert follow("https://h.test", "GET", "/", 302, "https://h.test:443/x").path == "/x"


def test_which_statuses() -> None:
    assert [status for status in range(200, 600) if is_redirect(status)] == [301, 302, 303, 307, 308]
