"""The table of a whole exporter, `python -m tests.hostile`: its rows, without running them."""

import re
from pathlib import Path

import pytest

from exporter.model.failure import Reason
from tests.hostile.behaviours import BEHAVIOURS
from tests.hostile.meaning import MEANING, STREAMED
from tests.hostile.process import Hostile
from tests.hostile.rows import PROTOCOLS, rows

pytestmark = pytest.mark.slow


def test_every_behaviour_is_put_to_a_protocol(hostile: Hostile) -> None:
    every = rows(hostile)
    assert len({row.key for row in every}) == len(every)
    met = {row.behaviour.name for row in every if row.behaviour is not None}
    left_out = {"impossible_name"} | {
        row.name for row in BEHAVIOURS if row.stream and row.group in PROTOCOLS["http"].groups
    }
    assert met == {row.name for row in BEHAVIOURS} - left_out
    assert {row.protocol for row in every} == {*PROTOCOLS, "grpc_health"}


def test_verdicts_are_reasons(hostile: Hostile) -> None:
    known = {"healthy", *map(str, Reason)}
    for row in rows(hostile):
        assert row.expected
        assert row.expected <= known, row
        assert "internal" not in row.expected


def test_what_is_said_of_a_row_is_of_one() -> None:
    names = {row.name for row in BEHAVIOURS}
    assert set(STREAMED) <= names
    for protocol, meaning in MEANING.items():
        groups = PROTOCOLS[protocol].groups
        assert set(meaning) <= {row.name for row in BEHAVIOURS if row.group in groups}


def test_tests_named_in_the_docs_are_there() -> None:
    root = Path(__file__).parents[2]
    named = re.findall(r"`(test_\w+\.py)::(test_\w+)`", (root / "docs/reliability.md").read_text())
    assert len(named) > 15
    for file, name in named:
        assert re.search(rf"\ndef {name}\(|\nasync def {name}\(", (root / "tests/web" / file).read_text()), name
