"""The hostile server and a healthy one beside it, each a process of its own."""

import asyncio
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from tests.hostile import process
from tests.support import loops


def pytest_asyncio_loop_factories() -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Every test here runs on both loops."""
    return loops.both()


@pytest.fixture(scope="session")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Iterator[process.Hostile]:
    """Running hostile and healthy servers; nothing of either outlives the session."""
    folder: Path = tmp_path_factory.mktemp("certificates")
    with process.hostile(folder) as running:
        yield running
