"""Who builds the same source gets the same bytes, wherever and whenever."""

import hashlib
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
SOURCE = ("pyproject.toml", "README.md", "LICENSE", "CHANGELOG.md", "constraints.txt", "exporter", "docs")


def build(folder: Path, umask: int) -> dict[str, str]:
    """Copy the source to a folder and build it there: name -> hash of what came out."""
    folder.mkdir()
    for name in SOURCE:
        source, copy = ROOT / name, folder / name
        if source.is_dir():
            shutil.copytree(source, copy, copy_function=shutil.copy, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, copy)
    for path in folder.rglob("*"):
        os.utime(path, (1e9 + umask, 1e9 + umask))
    command = [sys.executable, "-m", "hatchling", "build", "--directory", "out"]
    subprocess.run(command, cwd=folder, check=True, capture_output=True, umask=umask)
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in (folder / "out").iterdir()}


def test_a_build_is_reproducible(tmp_path: Path) -> None:
    first, second = build(tmp_path / "a", 0o022), build(tmp_path / "longer", 0o077)
    assert sorted(name.rpartition(".")[2] for name in first) == ["gz", "whl"]
    assert first == second
    (wheel,) = (tmp_path / "a" / "out").glob("*.whl")
    with zipfile.ZipFile(wheel) as packed:
        top = {name.partition("/")[0] for name in packed.namelist()}
    assert {name for name in top if not name.endswith(".dist-info")} == {"exporter"}
