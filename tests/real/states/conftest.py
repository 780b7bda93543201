"""Real servers that a running exporter watches: each is started once, and again after a test that killed it.

`@served_by(...)` names the servers of a test.
"""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.real.conformance.conftest import chosen
from tests.real.conformance.running import Running
from tests.real.states.watching import Scene

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """One server's tests follow each other."""
    others = [item for item in items if HERE not in item.path.parents]
    mine: dict[str, list[pytest.Item]] = {}
    for item in items:
        if HERE in item.path.parents:
            mine.setdefault(item.callspec.params["server"], []).append(item)
    items[:] = others + [item for name in mine for item in mine[name]]


@pytest.fixture(scope="session")
def start(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], Running]]:
    """`start(name)`: that server, well and running."""
    started: dict[str, Running] = {}

    def starting(name: str) -> Running:
        running = started.get(name)
        if running is None or not running.alive:
            spec = next(spec for spec in chosen() if spec.name == name)
            for other in started.values():  # one at a time is enough for a small machine
                other.end()
            running = started[name] = Running(spec, tmp_path_factory.mktemp(name))
            running.start()
        running.switch("")
        return running

    yield starting
    for running in started.values():
        running.end()


@pytest.fixture
def server(request: pytest.FixtureRequest, start: Callable[[str], Running]) -> Running:
    """The server that the test is about."""
    return start(request.param)


@pytest.fixture
def watch(tmp_path: Path) -> Iterator[Callable[..., Scene]]:
    """`watch(*targets)`: the exporter as a process with these targets."""
    scenes: list[Scene] = []

    def watching(*targets: Mapping[str, Any]) -> Scene:
        scenes.append(Scene(tmp_path, targets))
        return scenes[-1]

    yield watching
    for scene in scenes:
        scene.exporter.process.kill()
