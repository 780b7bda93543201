"""What is told of a wrong file, and what every such message must be like."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from exporter.config.problems import ConfigError

#: What pydantic and PyYAML say; none of it may reach a user.
_JARGON = re.compile(
    r"pydantic|Input should|valid (string|integer|dictionary)|Extra inputs|Value error|type=|ScannerError"
)


def told(load: Callable[[Path], object], path: Path) -> str:
    """Every problem on a line of its own, folders left out."""
    with pytest.raises(ConfigError) as caught:
        load(path)
    return "".join(f"{problem}\n" for problem in caught.value.problems).replace(f"{path.parent}/", "")


def names(folder: Path) -> list[str]:
    """The wrong files of a folder; beside each stands what is told of it."""
    found = {suffix: sorted(path.stem for path in folder.glob(f"*{suffix}")) for suffix in (".yaml", ".txt")}
    assert found[".yaml"] == found[".txt"]
    return found[".yaml"]


def assert_told(text: str, expected: Path) -> None:
    """It is what stands in a file, begins with a place, and holds neither a secret nor the words of our libraries."""
    assert text == expected.read_text()
    assert re.match(rf"{expected.stem}\.yaml:[1-9]\d*:[1-9]\d*: ", text)
    assert "s3cr3t" not in text
    assert not _JARGON.search(text)
