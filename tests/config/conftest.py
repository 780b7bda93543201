"""A folder with the wrong configs of `bad/` and the files they name."""

from pathlib import Path

import pytest

from tests.support import wrong_configs


@pytest.fixture(scope="session")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `client.pem` and its `client.key`, an `other.key`, an `encrypted.key`, and odd secret files."""
    folder = tmp_path_factory.mktemp("config") / "files"
    wrong_configs.write_files(folder)
    return folder


@pytest.fixture(scope="session")
def bad(files: Path) -> Path:
    """The wrong configs, beside `files`."""
    wrong_configs.write_all(files.parent)
    return files.parent
