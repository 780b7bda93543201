import json
import sys
from pathlib import Path
from typing import Any

import pytest

from supply import audit
from supply.audit import BLIND, FOUND, HINT, ask, read


def package(name: str, *vulnerabilities: str, skipped: bool = False) -> dict[str, Any]:
    if skipped:
        return {"name": name, "skip_reason": "not found"}
    vulns = [{"id": each, "fix_versions": ["2.0"], "aliases": []} for each in vulnerabilities]
    return {"name": name, "version": "1.0", "vulns": vulns}


@pytest.mark.parametrize(
    ("packages", "code", "says"),
    [
        ([package("a"), package("b")], 0, "2 packages, none with a known vulnerability"),
        ([package("a"), package("b", "CVE-1")], FOUND, "b 1.0: CVE-1, fixed in 2.0"),
        ([package("a"), package("b", skipped=True)], BLIND, "could not look up 1 of 2 packages: b"),
        # What is known is more than what is not.
        ([package("a", skipped=True), package("b", "CVE-1")], FOUND, "b 1.0: CVE-1, fixed in 2.0"),
        ([], BLIND, "could not look up 0 of 0 packages: there are none"),
    ],
)
def test_what_was_not_looked_up_is_not_safe(packages: list[dict[str, Any]], code: int, says: str) -> None:
    assert read({"dependencies": packages}) == (code, [says])


@pytest.mark.parametrize("said", ["", "Traceback", "[]", "{}"])
def test_an_answer_that_is_none(said: str, tmp_path: Path) -> None:
    program = [sys.executable, "-c", f"import sys; print({said!r}); print('no network', file=sys.stderr)"]
    assert ask(tmp_path / "pins", program) == (BLIND, ["could not look: no network"])


def test_an_answer_of_the_program(tmp_path: Path) -> None:
    report = json.dumps({"dependencies": [package("a")]})
    assert ask(tmp_path / "pins", [sys.executable, "-c", f"print({report!r})"])[0] == 0


@pytest.mark.parametrize("code", [0, FOUND, BLIND])
def test_who_could_not_look_is_told_what_to_do(
    code: int, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audit, "ask", lambda pins: (code, ["so it is"]))
    monkeypatch.setattr(sys, "argv", ["audit", "pins"])
    assert audit.main() == code
    out, err = capsys.readouterr()
    said = err if code else out
    assert said.startswith("so it is\n")
    assert (HINT in said) == (code == BLIND)
