"""Each file of `bad/` is wrong in one way (or says so); its `.txt` is every line that is told of it."""

from pathlib import Path

import pytest
import yaml

from exporter.config.loader import load
from tests.config import wrong

BAD = Path(__file__).parent / "bad"


def told(path: Path) -> str:
    return wrong.told(lambda path: load([path]), path)


@pytest.mark.parametrize("name", wrong.names(BAD))
def test_message(name: str, bad: Path) -> None:
    wrong.assert_told(told(bad / f"{name}.yaml"), BAD / f"{name}.txt")


def test_all_lines_are_sorted(bad: Path) -> None:
    lines = [tuple(map(int, line.split(":")[1:3])) for line in told(bad / "many_at_once.yaml").splitlines()]
    assert len(lines) > 8
    assert lines == sorted(lines)


def test_a_wrong_file_is_wrong_for_its_reason_only(bad: Path) -> None:
    """The base that most of them share is a good config."""
    path = bad / "base.yaml"
    path.write_text(yaml.safe_dump({"targets": [{"name": "fraud", "url": "http://127.0.0.1:8000"}]}))
    assert load([path]).warnings == []
