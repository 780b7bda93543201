"""The floors that CONTRIBUTING.md tells of are those that imports are held to."""

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[2]


def enforced() -> list[set[str]]:
    """The rooms of each floor, from the top, as import-linter has them."""
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    (floors,) = (each["layers"] for each in contracts if each["type"] == "layers")
    return [set(re.findall(r"exporter\.(\w+)", floor)) for floor in floors]


def test_the_table_has_every_room_on_its_floor() -> None:
    page = (ROOT / "CONTRIBUTING.md").read_text()
    table = page.partition("| floor | what is there |")[2].partition("\n\n")[0]
    told = [set(re.findall(r"`(\w+)`", row.split("|")[1])) for row in table.splitlines() if row.startswith("| `")]
    assert told == enforced()
