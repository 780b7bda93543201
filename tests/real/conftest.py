"""Real model servers, the exporter as a process, and a real Prometheus that scrapes it: started once for all tests."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from xdist.scheduler import LoadScopeScheduling

from tests.real.conformance.conftest import specs
from tests.real.fleet import Fleet
from tests.real.prometheus import Prometheus
from tests.real.scene import Scene, config
from tests.support.daemon import Daemon


class ByServer(LoadScopeScheduling):
    """One server's tests stay together, whichever process runs them; those that name none stay with their file."""

    servers = frozenset(spec.name for spec in specs())

    def _split_scope(self, nodeid: str) -> str:
        name = nodeid.rpartition("[")[2].rstrip("]")
        return name if name in self.servers else nodeid.partition("::")[0]


def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> LoadScopeScheduling | None:
    """For --dist loadgroup: the groups are our servers."""
    return ByServer(config, log) if config.getvalue("dist") == "loadgroup" else None


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
