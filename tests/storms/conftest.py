"""Storms: short in the tests, whole by `make storms`, which shows its figures."""

import os
from collections.abc import Callable, Iterator

import pytest

from tests.support.fake import Fake, Reply, Request

WHOLE = os.environ.get("MODEL_EXPORTER_STORMS") == "whole"


@pytest.fixture
def size() -> Callable[[int, int], int]:
    """`size(short, whole)`: how much of it."""
    return lambda short, whole: whole if WHOLE else short


@pytest.fixture
def figure(capsys: pytest.CaptureFixture[str]) -> Callable[[str], None]:
    """Says what was measured."""

    def say(text: str) -> None:
        if WHOLE:
            with capsys.disabled():
                print(f"\n  {text}", end="")

    return say


@pytest.fixture
def fake() -> Iterator[Fake]:
    """A server that is well."""

    def well(request: Request) -> Reply:
        return 200, "ok"

    with Fake(well) as server:
        yield server
