"""What Grafana's dashboard-linter asks of dashboards that others import, and a little more."""

import re
from itertools import combinations
from typing import Any

import pytest

from tests.support.dashboards import BOARDS, RANGE, SELECTOR, panels, queries, variables

UNITS = {"bytes", "cpm", "cps", "none", "percentunit", "s", "short"}
SOURCE = {"type": "prometheus", "uid": "${datasource}"}
#: A difference of counters says how many are on their way.
DIFFERENCES = {("internals", "Records on their way")}

pytestmark = pytest.mark.parametrize("board", BOARDS)


def test_the_dashboard(board: str) -> None:
    found = BOARDS[board]
    assert found["uid"] == f"model-exporter-{board}"
    assert len(found["uid"]) <= 40
    assert found["title"].startswith("Model exporter / ")
    assert found["description"].endswith(".")
    assert found["editable"] is False
    assert found["timezone"] == "browser"
    assert found["refresh"] == "1m"
    assert re.fullmatch(r"now-\d+h", found["time"]["from"])
    assert found["time"]["to"] == "now"
    assert "model-exporter" in found["tags"]
    assert "id" not in found or found["id"] is None
    assert "__inputs" not in found


def test_links_lead_to_the_others(board: str) -> None:
    """They carry the choices that are there too; a target that must be one is never All."""
    uids = {each["uid"]: name for name, each in BOARDS.items()}
    links = BOARDS[board]["links"]
    assert all(link["keepTime"] and not link["includeVars"] for link in links)
    assert {uids[link["url"][3:].partition("?")[0]] for link in links} == {*BOARDS} - {board}
    urls = [url for url in _values(BOARDS[board], "url") if url]
    assert len(urls) >= len(links)
    for url in urls:
        found = re.fullmatch(r"/d/([\w-]+)\?(.*)", url)
        assert found, url
        there = variables(uids[found[1]])
        for part in found[2].split("&"):
            name = re.sub(r"^\$\{(\w+):queryparam\}$|^var-(\w+)=.*$", r"\1\2", part)
            assert name in there or part == "${__url_time_range}", url
            if part.startswith("$") and name in there:
                assert name in variables(board), url
                assert there[name].get("multi") or name == "datasource", url


def test_the_data_source_is_chosen(board: str) -> None:
    source = variables(board)["datasource"]
    assert (source["type"], source["query"], source["label"]) == ("datasource", "prometheus", "Data source")
    assert [name for name, each in variables(board).items() if each["type"] == "datasource"] == ["datasource"]
    asked = list(_values({"panels": panels(board), "templating": BOARDS[board]["templating"]}, "datasource"))
    assert asked
    assert all(each == SOURCE for each in asked)


def test_variables(board: str) -> None:
    used = "\n".join([*(query.expr for query in queries(board)), *map(_asked, variables(board).values())])
    for name, variable in variables(board).items():
        assert variable["label"]
        if variable["type"] == "datasource":
            continue
        assert re.search(rf"\${name}\b", used), f"${name} is used nowhere"
        assert variable["refresh"] == 2  # when the time range changes
        if name == "target" and board == "model":
            assert "multi" not in variable or not variable["multi"]
        else:
            assert variable["multi"]
            assert variable["includeAll"]
            assert variable["allValue"] == (".*" if name == "model" else ".+")
            assert variable["current"]["value"] == "$__all"
    assert list(variables(board))[:3] == ["datasource", "job", "instance"]


def test_panels(board: str) -> None:
    titles = [panel["title"] for panel in panels(board)]
    assert len(titles) == len(set(titles))
    ids = [panel["id"] for panel in BOARDS[board]["panels"]]
    assert len(ids) == len(set(ids))
    assert BOARDS[board]["panels"][0]["type"] == "row"
    for panel in panels(board):
        assert panel["title"], panel
        assert panel["description"].endswith("."), panel["title"]
        assert panel["targets"], panel["title"]
        assert panel["fieldConfig"]["defaults"]["unit"] in UNITS, panel["title"]
        refs = [asked["refId"] for asked in panel["targets"]]
        assert len(refs) == len(set(refs))


def test_panels_do_not_overlap(board: str) -> None:
    places = [panel["gridPos"] for panel in BOARDS[board]["panels"]]
    assert all(place["x"] + place["w"] <= 24 for place in places)
    for one, other in combinations(places, 2):
        beside = one["x"] + one["w"] <= other["x"] or other["x"] + other["w"] <= one["x"]
        below = one["y"] + one["h"] <= other["y"] or other["y"] + other["h"] <= one["y"]
        assert beside or below, (one, other)


def test_every_selector_says_which_exporter(board: str) -> None:
    for query in queries(board):
        for name, matchers in SELECTOR.findall(query.expr):
            assert 'job=~"$job"' in matchers, (name, str(query))
            assert 'instance=~"$instance"' in matchers, (name, str(query))


def test_ranges_follow_the_panel(board: str) -> None:
    """Over time the rate interval, which fits the scrape interval; numbers of now may look at all that is in view."""
    for query in queries(board):
        assert query.expr.count("[") == len(RANGE.findall(query.expr)), str(query)
        for _, _, over in RANGE.findall(query.expr):
            assert over == ("$__range" if query.instant else "$__rate_interval"), str(query)


def test_a_rate_sees_runs_of_canaries(board: str) -> None:
    """By default they come once a minute: at a finer step most points would have none."""
    for panel in panels(board):
        rated = any("$__rate_interval" in asked["expr"] for asked in panel["targets"])
        assert panel.get("interval") == ("2m" if rated else None), panel["title"]


def test_counters_are_asked_for_what_they_gain(board: str) -> None:
    for query in queries(board):
        if (board, query.panel) in DIFFERENCES:
            continue
        for name, _ in SELECTOR.findall(query.expr):
            if name.endswith(("_total", "_bucket", "_sum", "_count")):
                assert name in {counted for _, counted, _ in RANGE.findall(query.expr)}, str(query)


def test_quantiles_keep_the_buckets(board: str) -> None:
    for query in queries(board):
        if "histogram_quantile" in query.expr:
            assert re.search(r"histogram_quantile\(0\.\d+, sum by \(le\b", query.expr), str(query)
        assert "avg by (le" not in query.expr


def test_numbers_of_now_ask_once(board: str) -> None:
    for panel in panels(board):
        for asked in panel["targets"]:
            assert asked["instant"] == (panel["type"] in ("stat", "table", "bargauge")), panel["title"]
            assert asked["range"] != asked["instant"]


def _asked(variable: dict[str, Any]) -> str:
    return "" if variable["type"] == "datasource" else variable["query"]["query"]


def _values(node: Any, key: str) -> list[Any]:
    """Every value of a key, wherever it stands."""
    if isinstance(node, list):
        return [found for each in node for found in _values(each, key)]
    if not isinstance(node, dict):
        return []
    here = [node[key]] if key in node else []
    return here + [found for each in node.values() for found in _values(each, key)]
