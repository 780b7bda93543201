"""The dashboards: in step with the code that builds them, and asking only for what the exporter writes."""

import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from dashboards import DASHBOARDS as BUILT
from dashboards.__main__ import FOLDERS, ROOT, bring_into_step, out_of_step
from dashboards.board import TITLES
from dashboards.states import STATES
from exporter.generate import DASHBOARDS
from exporter.metrics.catalog import FAMILIES
from exporter.metrics.family import Rows
from exporter.metrics.own import MISSING, OWN
from exporter.metrics.replicas import REPLICA_FAMILIES
from exporter.metrics.text import Type
from exporter.metrics.training import TRAINING_FAMILIES
from exporter.model.state import State
from exporter.model.stream import Outcome
from exporter.model.training import Outcome as End
from tests.support.dashboards import BOARDS, RANGE, SELECTOR, Query, choices, everything, filled, queries, variables

QUERIES = [query for board in BOARDS for query in queries(board)]
#: Labels that the scrape adds to every series.
SCRAPED = {"job", "instance"}
#: Of the process, as every client library tells it.
PROCESS = ("cpu_seconds_total", "resident_memory_bytes", "open_fds", "max_fds", "start_time_seconds")
_BY = re.compile(r"\bby \(([^)]*)\)")
_MATCHER = re.compile(r'(\w+)(=~|!~|=|!=)"([^"]*)"')


def known() -> dict[str, set[str]]:
    """The labels of everything the exporter writes, by the name of the series."""
    found = {f"process_{name}": set(SCRAPED) for name in PROCESS}
    for family in (*FAMILIES, *REPLICA_FAMILIES, *TRAINING_FAMILIES):
        labels = SCRAPED | set(family.labels)
        if family.rows is Rows.TRAINING:
            labels.add("training")
        else:
            labels |= {"target", "model"}
            if family.rows is not Rows.REPLICAS:
                labels.add("address")
            if family.rows not in (Rows.TARGET, Rows.REPLICAS):
                labels.add("probe")
        found |= _series(family.name, family.type, labels)
    for own in (*OWN, MISSING):
        found |= _series(own.name, own.type, SCRAPED | set(own.labels))
    return found


def _series(name: str, kind: Type, labels: set[str]) -> dict[str, set[str]]:
    if kind is not Type.HISTOGRAM:
        return {name: labels}
    return {f"{name}_bucket": labels | {"le"}, f"{name}_sum": labels, f"{name}_count": labels}


KNOWN = known()
#: Values that a label can have, where they are a closed set.
CLOSED = {"state": set(map(str, State)), "outcome": {*map(str, Outcome), *map(str, End)}}


def test_files_are_in_step_with_the_code() -> None:
    assert out_of_step() == {}, "run: python -m dashboards"


def test_a_file_nobody_builds_is_seen(tmp_path: Path) -> None:
    for folder in FOLDERS:
        shutil.copytree(ROOT / folder, tmp_path / folder)
    assert out_of_step(tmp_path) == {}
    stray, changed = tmp_path / FOLDERS[0] / "stray.json", tmp_path / FOLDERS[1] / "fleet.json"
    for path in (stray, changed):
        path.write_text("{}\n")
    assert out_of_step(tmp_path) == {stray: None, changed: (ROOT / "deploy/dashboards/fleet.json").read_text()}
    bring_into_step(tmp_path)
    assert out_of_step(tmp_path) == {}
    assert not stray.exists()


def test_the_five_are_there() -> None:
    assert DASHBOARDS == ("fleet", "model", "streams", "training", "internals")
    assert tuple(BUILT) == tuple(TITLES) == DASHBOARDS
    assert set(BOARDS) == set(DASHBOARDS)


def test_every_query_parses(tmp_path: Path, need: Callable[[str, str], str]) -> None:
    promtool = need("promtool", "apt-get install prometheus")
    rules = [
        {"record": f"query:{place}", "expr": filled(query.expr, everything(query.board))}
        for place, query in enumerate(QUERIES)
    ]
    for board in BOARDS:
        for variable in variables(board).values():
            if variable["type"] == "query":
                selector = filled(choices(variable)[0], everything(board))
                rules.append({"record": f"query:{len(rules)}", "expr": selector})
    path = tmp_path / "queries.rules.yaml"
    path.write_text(yaml.safe_dump({"groups": [{"name": "queries", "rules": rules}]}))
    done = subprocess.run([promtool, "check", "rules", path], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{len(rules)} rules found" in done.stdout


@pytest.mark.parametrize("query", QUERIES, ids=lambda query: f"{query.board}-{query.panel}-{query.ref}")
def test_it_asks_for_what_is_written(query: Query) -> None:
    """A metric, a label or a value that nothing writes makes a panel that stays empty."""
    selected = SELECTOR.findall(query.expr)
    assert selected
    labels: set[str] = set()
    for name, matchers in selected:
        assert name in KNOWN
        labels |= KNOWN[name]
        for label, how, value in _MATCHER.findall(matchers):
            assert label in KNOWN[name], f"{name} has no label {label}"
            if label in CLOSED and not value.startswith("$"):
                assert set(value.split("|")) <= CLOSED[label], f"{label}{how}{value}"
    kept = {label for by in _BY.findall(query.expr) for label in by.split(", ")}
    assert kept <= labels, f"{query}: no metric in it has these labels"
    assert set(re.findall(r"\{\{(\w+)\}\}", query.legend)) <= (kept or labels), f"{query.legend} of {query}"
    without = _BY.sub("", SELECTOR.sub("", query.expr))
    assert not re.search(r"\b(?:model|process)_\w+", without), "a metric without matchers"


@pytest.mark.parametrize("board", BOARDS)
def test_variables_ask_for_what_is_written(board: str) -> None:
    for variable in variables(board).values():
        if variable["type"] == "query":
            selector, label = choices(variable)
            name = selector.partition("{")[0]
            assert label in KNOWN[name]
            assert {matcher[0] for matcher in _MATCHER.findall(selector)} <= KNOWN[name]


def test_every_metric_is_shown_somewhere() -> None:
    """A new metric belongs on a dashboard, or here with those that others say better."""
    left_out = {
        "model_probe_up", "model_probe_success", "model_probe_attempts_total",
        "model_exporter_config_last_reload_success_timestamp_seconds",
    }  # fmt: skip
    shown = {name for query in QUERIES for name, _ in SELECTOR.findall(query.expr)}
    parts = re.compile(r"_(bucket|sum|count)$")
    assert {parts.sub("", name) for name in KNOWN} - {parts.sub("", name) for name in shown} == left_out


def test_every_state_has_a_colour_and_worse_is_greater() -> None:
    assert {name for name, _ in STATES.values()} == set(map(str, State))
    assert len({color for _, color in STATES.values()}) == len(State)
    order = [name for _, (name, _) in sorted(STATES.items())]
    assert order[0] == "healthy"
    assert order.index("zombie") > order.index("saturated")
    used = [query for query in QUERIES if 'state="zombie"} *' in query.expr]
    assert {query.board for query in used} == {"fleet", "model"}
    for query in used:
        codes = dict(re.findall(r'state="(\w+)"\} \* (\d)', query.expr))
        assert codes == {name: str(code) for code, (name, _) in STATES.items()}


def test_ranges_are_of_counters() -> None:
    for query in QUERIES:
        for function, name, _ in RANGE.findall(query.expr):
            assert function in ("rate", "increase"), query
            assert name.endswith(("_total", "_bucket")), query
