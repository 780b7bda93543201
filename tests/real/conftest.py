"""Real model servers, the exporter as a process, and a real Prometheus that scrapes it: started once for all tests."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.real.fleet import Fleet
from tests.real.prometheus import Prometheus
from tests.real.scene import Scene, config
from tests.support.daemon import Daemon


@pytest.fixture(scope="session")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    fleet = Fleet(tmp_path_factory.mktemp("servers"))
    yield fleet
    fleet.end()


@pytest.fixture(scope="session")
def scene(fleet: Fleet, tmp_path_factory: pytest.TempPathFactory, need: Callable[[str, str], str]) -> Iterator[Scene]:
    program = need("prometheus", "apt-get install prometheus")
    folder: Path = tmp_path_factory.mktemp("watching")
    with Daemon(folder, config(fleet)) as exporter:
        prometheus = Prometheus(program, folder, exporter.url)
        try:
            yield Scene(fleet, exporter, prometheus)
        finally:
            prometheus.process.kill()
