"""docs/protocols.md tells what is offered and how it is tested: both tables are held against the code and the tests."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from exporter import protocols
from exporter.model.job import Kind
from tests.real.conformance.conftest import specs

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "protocols.md").read_text()
COLUMNS = (Kind.HEALTH, Kind.READY, Kind.METADATA, Kind.INFER, Kind.STREAM)
#: Fakes that are another's base, that are there as real servers too, or that serve no model.
NOT_SERVERS = {
    *("server", "openai_api", "torchserve", "transformers_serve", "llama_cpp"),
    *("cluster", "kubernetes", "model_store", "repository"),
}
#: Tested by everything, and nobody's own server.
NOBODYS = {"auto", "http", "tcp"}


def rows(head: str) -> Iterator[list[str]]:
    """Cells of the rows below a table's head."""
    (_, table) = PAGE.split(f"| {head} |", 1)
    for line in table.splitlines()[2:]:
        if not line.startswith("|"):
            return
        yield [cell.strip() for cell in line.strip("|").split("|")]


def named(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)


OFFERED = list(rows("protocol | health | ready (speaks of) | metadata | infer | stream"))
TESTED = list(rows("server | protocol | tested | what else was tried"))


def test_every_protocol_has_its_row() -> None:
    assert {named(row[0])[0] for row in OFFERED} == set(protocols.NAMES) - {"auto"}
    assert {name for row in TESTED for name in named(row[1])} == set(protocols.NAMES) - NOBODYS


@pytest.mark.parametrize("row", OFFERED, ids=lambda row: row[0].strip("`"))
def test_what_is_offered_is_told(row: list[str]) -> None:
    kinds = protocols.load(named(row[0])[0]).kinds
    assert [cell != "-" for cell in row[1:]] == [kind in kinds for kind in COLUMNS]


def test_every_real_server_is_told() -> None:
    """With the protocol it is asked by, and its version as it is pinned."""
    told = {name: row for row in TESTED if row[2].startswith("real: ") for name in named(row[2])}
    assert set(told) == {spec.name for spec in specs()}
    for spec in specs():
        row = told[spec.name]
        assert spec.protocol in named(row[1]), spec.name
        pins = ROOT / "tests" / "real" / "servers" / f"{spec.venv}.txt"
        text = (pins if pins.exists() else pins.with_suffix(".sh")).read_text()
        versions = re.findall(r"\b\d+\.\d+(?:\.\d+)?\b", row[0])
        assert any(re.search(rf"(?i)==v?{re.escape(each)}|@v{re.escape(each)}", text) for each in versions), spec.name


def test_every_fake_is_told() -> None:
    told = [name for row in TESTED if row[2].startswith("fake: ") for name in named(row[2])]
    there = {path.stem for path in (ROOT / "tests" / "fakes").glob("*.py")} - NOT_SERVERS
    assert sorted(told) == sorted(there)


def test_there_is_no_third_way() -> None:
    assert all(row[2].startswith(("real: ", "fake: ")) for row in TESTED)
