"""`python -m supply.licences` writes docs/licences.md from what is installed; with `--check` it only compares.

Everything that `pip install model-exporter[...]` brings, with all extras. A licence that is not in `ALLOWED` is
refused: whether it may be used is for a person to decide.
"""

import argparse
import sys
import tomllib
from importlib.metadata import Distribution, distribution
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

PROJECT = Path(__file__).resolve().parents[1] / "pyproject.toml"
PAGE = PROJECT.with_name("docs") / "licences.md"
#: SPDX names; none of them asks anything of who uses us but to name its authors.
ALLOWED = {"Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "CNRI-Python", "ISC", "MIT", "MIT-0", "PSF-2.0"}
#: What packages write that give no SPDX expression.
SPELLINGS = {
    "3-Clause BSD License": "BSD-3-Clause",
    "Apache 2": "Apache-2.0",
    "Apache 2.0": "Apache-2.0",
    "Apache License 2.0": "Apache-2.0",
    "Apache Software License": "Apache-2.0",
    "BSD License": "BSD-3-Clause",
    "Dual License": "Apache-2.0 OR BSD-3-Clause",
    "ISC License": "ISC",
    "ISC License (ISCL)": "ISC",
    "MIT License": "MIT",
    "Python Software Foundation License": "PSF-2.0",
}


class Unclear(Exception):
    """A package says nothing that we know about its licence."""


def brought(project: Path = PROJECT) -> dict[str, Distribution]:
    """The dependencies of all extras, and what they bring: canonical name -> distribution."""
    table = tomllib.loads(project.read_text("utf-8"))["project"]
    named = [*table["dependencies"], *(each for extra in table["optional-dependencies"].values() for each in extra)]
    waiting = [Requirement(each) for each in named]
    found: dict[str, Distribution] = {}
    seen: set[tuple[str, frozenset[str]]] = set()
    while waiting:
        wanted = waiting.pop()
        key = (canonicalize_name(wanted.name), frozenset(wanted.extras))
        if key in seen:
            continue
        seen.add(key)
        found[key[0]] = distribution(wanted.name)
        for each in map(Requirement, found[key[0]].requires or ()):
            if applies(each, wanted.extras):
                waiting.append(each)  # noqa: PERF401 - reads as what it does
    return found


def applies(requirement: Requirement, extras: set[str]) -> bool:
    """Whether it is needed on this machine, by a package that is wanted with these extras."""
    marker = requirement.marker
    return marker is None or any(marker.evaluate({"extra": extra}) for extra in extras | {""})


def licence(package: Distribution) -> str:
    """Its licence as an SPDX expression."""
    data = package.metadata
    says: list[str] = [*(data.get_all("License-Expression") or []), *(data.get_all("License") or [])]
    says += [each.rpartition(" :: ")[2] for each in data.get_all("Classifier") or [] if each.startswith("License ::")]
    for each in says:
        expression = SPELLINGS.get(each, each)
        if expression and set(expression.replace(" OR ", " AND ").split(" AND ")) <= ALLOWED:
            return expression
    raise Unclear(f"{package.name}: {[each for each in says if each] or 'says nothing'}; see ALLOWED in {__file__}")


def page() -> str:
    """docs/licences.md."""
    rows = [f"| {name} | {licence(package)} |" for name, package in sorted(brought().items())]
    head = [
        "# Licences",
        "",
        "model-exporter is under [Apache-2.0](../LICENSE). What it brings when it is installed with all its extras,",
        "with the licences that these packages state; written by `make licences`, which refuses any other kind.",
        "",
        "| package | licence |",
        "|---|---|",
    ]
    return "\n".join([*head, *rows, ""])


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m supply.licences", description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 when the page is not in step")
    wanted = page()
    if not parser.parse_args().check:
        PAGE.write_text(wanted, "utf-8")
    elif not PAGE.exists() or PAGE.read_text("utf-8") != wanted:
        print(f"{PAGE.name} is not in step: make licences", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
