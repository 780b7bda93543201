"""The shipped dashboards as their files say, and their queries with the variables filled in as Grafana does it."""

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

FOLDER = Path(__file__).parents[2] / "deploy" / "dashboards"
BOARDS: Mapping[str, Any] = {path.stem: json.loads(path.read_text()) for path in sorted(FOLDER.glob("*.json"))}

#: A metric and its matchers.
SELECTOR = re.compile(r"\b([a-z_][a-z0-9_:]*)\{([^}]*)\}")
#: A function and the range it looks at.
RANGE = re.compile(r"\b([a-z_]+)\(\s*([a-z_][a-z0-9_:]*)\{[^}]*\}\[([^]]*)\]")
_VARIABLE = re.compile(r"\$(?:\{(\w+)[^}]*\}|(\w+))")
_LABEL_VALUES = re.compile(r"label_values\((.+), (\w+)\)")


class Query(NamedTuple):
    """One query of one panel."""

    board: str
    panel: str
    ref: str
    expr: str
    legend: str
    instant: bool

    def __str__(self) -> str:
        return f"{self.board} / {self.panel} / {self.ref}: {self.expr}"


def panels(board: str) -> list[dict[str, Any]]:
    """The panels of a dashboard, rows aside."""
    return [panel for panel in BOARDS[board]["panels"] if panel["type"] != "row"]


def queries(board: str) -> Iterator[Query]:
    """Every query of a dashboard's panels."""
    for panel in panels(board):
        for asked in panel["targets"]:
            yield Query(board, panel["title"], asked["refId"], asked["expr"], asked["legendFormat"], asked["instant"])


def variables(board: str) -> dict[str, dict[str, Any]]:
    """A dashboard's variables by name."""
    return {variable["name"]: variable for variable in BOARDS[board]["templating"]["list"]}


def choices(variable: Mapping[str, Any]) -> tuple[str, str]:
    """What a query variable asks: the selector, and the label whose values it offers."""
    found = _LABEL_VALUES.fullmatch(variable["query"]["query"])
    assert found, variable["query"]
    return found[1], found[2]


def filled(text: str, values: Mapping[str, str]) -> str:
    """The text with these variables in it; an unknown one is a KeyError."""
    return _VARIABLE.sub(lambda found: values[found[1] or found[2]], text)


def everything(board: str, **more: str) -> dict[str, str]:
    """Values for all variables of a dashboard, All where there is that, and for Grafana's own."""
    own = {"__rate_interval": "20s", "__range": "5m"}
    return own | {name: variable.get("allValue", "") for name, variable in variables(board).items()} | more
