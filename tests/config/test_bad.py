"""Each file of `bad/` is wrong in one way (or says so); its `.txt` is every line that is told of it."""

import re
from pathlib import Path

import pytest
import yaml

from exporter.config.loader import ConfigError, load

BAD = Path(__file__).parent / "bad"
#: What pydantic and PyYAML say; none of it may reach a user.
JARGON = re.compile(
    r"pydantic|Input should|valid (string|integer|dictionary)|Extra inputs|Value error|type=|ScannerError"
)


def told(path: Path) -> str:
    """Every problem on a line of its own, folders left out."""
    with pytest.raises(ConfigError) as caught:
        load([path])
    return "".join(f"{problem}\n" for problem in caught.value.problems).replace(f"{path.parent}/", "")


@pytest.mark.parametrize("name", sorted(path.stem for path in BAD.glob("*.yaml")))
def test_message(name: str, bad: Path) -> None:
    text = told(bad / f"{name}.yaml")
    assert text == (BAD / f"{name}.txt").read_text()
    assert re.match(rf"{name}\.yaml:[1-9]\d*:[1-9]\d*: ", text)
    assert "s3cr3t" not in text
    assert not JARGON.search(text)


def test_every_expectation_has_its_file() -> None:
    assert {path.stem for path in BAD.glob("*.txt")} == {path.stem for path in BAD.glob("*.yaml")}


def test_all_lines_are_sorted(bad: Path) -> None:
    lines = [tuple(map(int, line.split(":")[1:3])) for line in told(bad / "many_at_once.yaml").splitlines()]
    assert len(lines) > 8
    assert lines == sorted(lines)


def test_a_wrong_file_is_wrong_for_its_reason_only(bad: Path) -> None:
    """The base that most of them share is a good config."""
    path = bad / "base.yaml"
    path.write_text(yaml.safe_dump({"targets": [{"name": "fraud", "url": "http://127.0.0.1:8000"}]}))
    assert load([path]).warnings == []
