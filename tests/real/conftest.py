"""Real model servers, the exporter as a process, and a real Prometheus that scrapes it: started once for all tests."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from xdist.scheduler import LoadScopeScheduling

from tests.real.conformance.conftest import chosen, specs
from tests.real.conformance.spec import Spec
from tests.real.fleet import Fleet
from tests.real.prometheus import Prometheus
from tests.real.scene import Scene, config
from tests.support.daemon import Daemon

#: Files beside this one whose tests share the fleet, which is started once.
FLEET = ("test_faults.py", "test_smallest.py", "test_watching.py")


class ByServer(LoadScopeScheduling):
    """One server's tests stay together, whichever process runs them, and the fleet's; those that name none stay with
    their file.
    """

    servers = sorted((spec.name for spec in specs()), key=len, reverse=True)

    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.partition("::")[0]
        if file.count("/") == 2:  # tests/real/test_*.py
            return "fleet" if file.endswith(FLEET) else file
        case = nodeid.rpartition("[")[2].rstrip("]")
        named = (name for name in self.servers if case == name or case.endswith(f"-{name}"))
        return next(named, file)


def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> LoadScopeScheduling | None:
    """For --dist loadgroup: the groups are our servers."""
    return ByServer(config, log) if config.getvalue("dist") == "loadgroup" else None


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out the tests of servers that were not asked for."""
    wanted = {spec.name for spec in chosen()}
    left_out = [item for item in items if (name := _server(item)) is not None and name not in wanted]
    items[:] = [item for item in items if item not in left_out]
    config.hook.pytest_deselected(items=left_out)


def _server(item: pytest.Item) -> str | None:
    """The server a test is about: its parameter `server`, a spec or the name of one."""
    case = getattr(item, "callspec", None)
    server = case.params.get("server") if case is not None else None
    return server.name if isinstance(server, Spec) else server


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
