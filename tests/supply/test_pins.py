"""constraints.txt is what pyproject.toml asks for, each file with its hash."""

import re
import tomllib
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).parents[2]
HINT = "make lock"


def pins() -> dict[str, tuple[str, list[str]]]:
    """Name -> version and hashes."""
    text = re.sub(r"(?m)^#.*\n", "", (ROOT / "constraints.txt").read_text()).replace("\\\n", " ")
    found = {}
    for line in text.splitlines():
        name, version, *hashes = line.replace("==", " ", 1).split()
        found[name] = (version, [each.removeprefix("--hash=") for each in hashes])
    return found


def test_each_pin_has_hashes() -> None:
    for name, (_, hashes) in pins().items():
        assert hashes, f"{name}: {HINT}"
        assert all(re.fullmatch("sha256:[0-9a-f]{64}", each) for each in hashes), name


def test_all_that_is_asked_for_is_pinned_within_its_range() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    extras = project["project"]["optional-dependencies"].values()
    asked = [*project["project"]["dependencies"], *project["build-system"]["requires"]]
    asked += [each for extra in extras for each in extra] + project["dependency-groups"]["dev"]
    pinned = pins()
    for requirement in map(Requirement, asked):
        name = canonicalize_name(requirement.name)
        assert name in pinned, f"{name}: {HINT}"
        assert Version(pinned[name][0]) in requirement.specifier, f"{name}: {HINT}"


def test_a_floor_is_named_for_all_that_users_get() -> None:
    """The oldest versions are tested (`make test-lowest`); what names none would be tested with its very first."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    for each in (
        *project["dependencies"],
        *(one for extra in project["optional-dependencies"].values() for one in extra),
    ):
        assert ">=" in each, each
