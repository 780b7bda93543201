"""Each real server in turn: started once, asked by every test, ended."""

import os
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import pytest

from tests.real.conformance.running import Running
from tests.real.conformance.spec import Spec

#: Names of servers (venvs or specs) to test, separated by spaces; default: all that are not left out.
CHOICE = "MODEL_EXPORTER_REAL_SERVERS"


def specs() -> list[Spec]:
    """The specs of every file in servers/."""
    names = sorted(path.stem for path in (Path(__file__).parent / "servers").glob("[a-z]*.py"))
    return [spec for name in names for spec in import_module(f"tests.real.conformance.servers.{name}").SPECS]


def chosen() -> list[Spec]:
    """Those that were asked for."""
    wanted = os.environ.get(CHOICE, "").split()
    return [
        spec for spec in specs() if spec.name in wanted or (not spec.left_out and (not wanted or spec.venv in wanted))
    ]


@pytest.fixture(scope="module", params=chosen(), ids=lambda spec: spec.name)
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    running = Running(request.param, tmp_path_factory.mktemp(request.param.name))
    try:
        running.start()
        yield running
    finally:
        running.end()
