"""`python -m supply.audit PINS`: no pinned version has a known vulnerability, by pip-audit and the advisories of PyPI.

It exits 0 when each of them was looked up and none has one, 1 when one has, and 2 when it could not look: what was not
looked up is not safe. Needs pip-audit beside the Python that runs it.
"""

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

FOUND, BLIND = 1, 2
#: What to do about it, where nobody could be asked.
HINT = "Advisories are asked of pypi.org; a mirror that pip may use has none. Run it where pypi.org can be reached."


def read(report: Any) -> tuple[int, list[str]]:
    """The exit code for a report of pip-audit (its JSON), and what to print."""
    lines, blind = [], []
    for package in report["dependencies"]:
        if "skip_reason" in package:
            blind.append(package["name"])
        for each in package.get("vulns", ()):
            fixed = ", ".join(each["fix_versions"]) or "no version yet"
            lines.append(f"{package['name']} {package['version']}: {each['id']}, fixed in {fixed}")
    if lines:
        return FOUND, lines
    if blind or not report["dependencies"]:
        some = f"{', '.join(blind[:5])}{', ...' if blind[5:] else ''}"
        return BLIND, [
            f"could not look up {len(blind)} of {len(report['dependencies'])} packages: {some or 'there are none'}"
        ]
    return 0, [f"{len(report['dependencies'])} packages, none with a known vulnerability"]


def ask(pins: Path, program: Sequence[str] = (sys.executable, "-m", "pip_audit")) -> tuple[int, list[str]]:
    """The same, for a file of pins, from pip-audit itself."""
    options = [
        "--requirement",
        str(pins),
        "--disable-pip",
        "--require-hashes",
        "--format=json",
        "--progress-spinner=off",
    ]
    done = subprocess.run([*program, *options], capture_output=True, text=True, check=False)
    try:
        return read(json.loads(done.stdout))
    except (ValueError, KeyError, TypeError):
        last = (done.stderr.strip() or "pip-audit said nothing").splitlines()[-1]
        return BLIND, [f"could not look: {last}"]


def main() -> int:
    code, lines = ask(Path(sys.argv[1]))
    if code == BLIND:
        lines.append(HINT)
    print("\n".join(lines), file=sys.stderr if code else sys.stdout)
    return code


if __name__ == "__main__":
    sys.exit(main())
