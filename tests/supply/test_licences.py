from email.message import Message
from importlib.metadata import Distribution
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement

from supply.licences import Unclear, applies, brought, licence, page


class Package(Distribution):
    """One that is not installed, with some fields of metadata."""

    def __init__(self, **fields: str) -> None:
        self._fields = {"Name": "some", "Version": "1"} | {
            key.replace("_", "-"): value for key, value in fields.items()
        }

    @property
    def metadata(self) -> Any:
        message = Message()
        for key, value in self._fields.items():
            message[key] = value
        return message

    def read_text(self, filename: str) -> str | None:
        return None

    def locate_file(self, path: Any) -> Path:
        return Path(path)


def test_the_page_lists_all_that_is_brought() -> None:
    """That it is in step is looked at by `make lint`: older versions may state another licence."""
    rows = [line.split(" | ")[0].removeprefix("| ") for line in page().splitlines() if line.startswith("| ")]
    assert rows[1:] == sorted(brought())


def test_extras_and_what_they_bring_are_there() -> None:
    found = brought()
    assert {"aiohttp", "yarl", "grpcio", "botocore", "python-dateutil", "rich", "pygments"} <= set(found)
    assert not {"pytest", "mypy", "model-exporter"} & set(found)


def test_what_an_extra_brings_is_brought_with_it_alone() -> None:
    of_extra = Requirement("b; extra == 'more'")
    assert applies(of_extra, {"more"})
    assert not applies(of_extra, set())
    assert applies(Requirement("b"), set())
    assert not applies(Requirement("b; python_version < '3'"), set())


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"License_Expression": "MIT"}, "MIT"),
        ({"License_Expression": "Apache-2.0 AND MIT", "License": "something"}, "Apache-2.0 AND MIT"),
        ({"License": "BSD License"}, "BSD-3-Clause"),
        ({"License": "a whole text", "Classifier": "License :: OSI Approved :: MIT License"}, "MIT"),
    ],
)
def test_a_licence_is_read_however_it_is_written(fields: dict[str, str], expected: str) -> None:
    assert licence(Package(**fields)) == expected


@pytest.mark.parametrize("says", ["", "GPL-3.0-only", "MIT AND GPL-3.0-only", "LGPL-3.0-or-later", "Proprietary"])
def test_any_other_is_refused(says: str) -> None:
    with pytest.raises(Unclear, match="some"):
        licence(Package(License_Expression=says))
