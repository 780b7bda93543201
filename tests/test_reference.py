"""Files that are written from the code: they are what the code says, and a stale one is told."""

from pathlib import Path
from typing import Any

import pytest

from exporter import reference

pytestmark = pytest.mark.slow

ROOT = Path(reference.__file__).resolve().parent.parent


def test_the_reference_is_not_stale() -> None:
    assert reference.stale(ROOT) == []


def test_writing_and_checking(tmp_path: Path) -> None:
    names = [name for name, _ in reference.GENERATORS]
    assert reference.stale(tmp_path) == names
    assert reference.write(tmp_path) == names
    assert reference.stale(tmp_path) == []
    (tmp_path / names[0]).write_text("{}")
    assert reference.stale(tmp_path) == names[:1]


def test_usage(capsys: Any) -> None:
    assert reference.main(["--nope"]) == 2
    assert "usage" in capsys.readouterr().err
