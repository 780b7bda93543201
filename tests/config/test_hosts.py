"""Patterns of hosts: what they cover, and what is none."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.config.hosts import covers, split


@pytest.mark.parametrize(
    ("pattern", "host", "port", "covered"),
    [
        ("10.0.0.0/8", "10.1.2.3", 80, True),
        ("10.0.0.0/8", "11.1.2.3", 80, False),
        ("10.0.0.0/8", "ten.example", 80, False),
        ("10.1.2.3:80", "10.1.2.3", 80, True),
        ("10.1.2.3:80", "10.1.2.3", 81, False),
        ("*.models.svc:8080", "a.models.svc", 8080, True),
        ("*.models.svc:8080", "a.models.svc", 80, False),
        ("*.models.svc", "models.svc", 80, False),
        ("*.models.svc", "evil-models.svc", 80, False),
        ("Models.SVC", "models.svc", 80, True),
        ("[::1]:80", "::1", 80, True),
        ("::/0", "::1", 80, True),
        ("[fd00::]/8:80", "fd00::5", 80, True),
        ("*", "anything", 1, True),
    ],
)
def test_host_patterns(pattern: str, host: str, port: int, covered: bool) -> None:
    assert covers([pattern], host, port) is covered


@given(st.text(max_size=30))
def test_a_pattern_is_split_or_refused(pattern: str) -> None:
    try:
        host, port = split(pattern)
    except ValueError:
        return
    assert port is None or 1 <= port <= 65535
    assert isinstance(host, str)
