"""Every query of every dashboard brings data, asked of a real Prometheus that scrapes the running exporter."""

import re
import threading
import time
from collections.abc import Callable, Iterator
from itertools import product
from math import isnan
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

from tests.real.panorama import Servers, exporter_config, training_lines
from tests.real.prometheus import Prometheus
from tests.support.daemon import Daemon
from tests.support.dashboards import BOARDS, Query, choices, everything, filled, queries, variables

pytestmark = pytest.mark.real

#: Some of it comes late: a catalogue is read again, a golden set asked again, a server changes its version.
PATIENCE = 90.0
STEP = 2


@pytest.fixture(scope="module")
def prometheus(tmp_path_factory: pytest.TempPathFactory, need: Callable[[str, str], str]) -> Iterator[Prometheus]:
    program = need("prometheus", "apt-get install prometheus")
    folder = tmp_path_factory.mktemp("dashboards")
    over = threading.Event()
    servers = Servers(folder)
    try:
        with Daemon(folder, exporter_config(folder, servers.urls)) as exporter:
            writing = threading.Thread(target=_train, args=(folder / "train.log", exporter, servers, over))
            writing.start()
            prometheus = Prometheus(program, folder, exporter.url)
            try:
                yield prometheus
            finally:
                prometheus.process.kill()
                over.set()
                writing.join()
    finally:
        servers.end()


def _train(log: Path, exporter: Daemon, servers: Servers, over: threading.Event) -> None:
    """A line of a training log each second, and now and then a probe on demand."""
    for line in training_lines():
        with log.open("a") as file:
            file.write(line)
        exporter.get(f"/probe?target={servers.urls['assistant']}&module=chat")
        if over.wait(1):
            return


def test_every_query_brings_data(prometheus: Prometheus) -> None:
    empty = [query for board in BOARDS for query in queries(board)]
    began = time.monotonic()
    while empty and time.monotonic() - began < PATIENCE:
        time.sleep(STEP)
        ways = {board: _ways(prometheus, board) for board in BOARDS}
        empty = [
            query for query in empty if not any(_data(prometheus, query, values, began) for values in ways[query.board])
        ]
    assert not empty, "no data for\n" + "\n".join(map(str, empty))


@pytest.mark.parametrize("board", BOARDS)
def test_every_variable_has_choices(prometheus: Prometheus, board: str) -> None:
    for name, variable in variables(board).items():
        if variable["type"] == "query":
            assert _offered(prometheus, board, variable, everything(board, target=".+")), name


def _ways(prometheus: Prometheus, board: str) -> list[dict[str, str]]:
    """Values of the variables: All of each, and each of those that must be chosen."""
    values = everything(board)
    single = {
        name: _offered(prometheus, board, variable, values)
        for name, variable in variables(board).items()
        if variable["type"] == "query" and not variable.get("multi")
    }
    return [values | dict(zip(single, chosen, strict=True)) for chosen in product(*single.values())]


def _offered(prometheus: Prometheus, board: str, variable: dict[str, Any], values: dict[str, str]) -> list[str]:
    selector, label = choices(variable)
    # A choice that depends on one which must be made has one for some of its values.
    asked = re.sub(r'="\$target"', '=~"$target"', selector)
    found: list[str] = prometheus.api(f"label/{label}/values?{urlencode({'match[]': filled(asked, values)})}")
    return [each for each in found if each]


def _data(prometheus: Prometheus, query: Query, values: dict[str, str], since: float) -> bool:
    """Whether there is a number in the answer, as the panel asks."""
    expr = filled(query.expr, values)
    if query.instant:
        answer = prometheus.api(f"query?{urlencode({'query': expr})}")
        points = [series["value"] for series in answer["result"]]
    else:
        now = time.time()
        seen = {"query": expr, "start": now - max(time.monotonic() - since, STEP), "end": now, "step": STEP}
        answer = prometheus.api(f"query_range?{urlencode(seen)}")
        points = [point for series in answer["result"] for point in series["values"]]
    return any(not isnan(float(value)) for _, value in points)
