"""A test that fails while the machine stands still is run again; one that fails otherwise is not."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.daemon import REPOSITORY

MODULE = """
import os, signal, subprocess

def stand_still():
    waker = subprocess.Popen(["sh", "-c", f"sleep 0.7; kill -CONT {os.getpid()}"])
    os.kill(os.getpid(), signal.SIGSTOP)
    waker.wait()

def test_it():
    with open(RUNS, "a+") as runs:
        runs.write("x")
        number = runs.tell()
    CODE
"""


def run(folder: Path, code: str) -> tuple[str, int]:
    """The output of pytest on a module whose test does this, and how often it was run."""
    file = folder / "test_it.py"
    file.write_text(MODULE.replace("RUNS", repr(str(folder / "runs"))).replace("CODE", code))
    asked = ["-q", "-p", "no:cacheprovider", "-p", "tests.support.standstill", "--rootdir", str(folder), str(file)]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *asked], cwd=REPOSITORY, capture_output=True, text=True, timeout=120
    )
    return done.stdout, len((folder / "runs").read_text())


#: What the test does in its run `number` -> how often it is run, and how that ends.
CASES = {
    "it never stood still": ("assert False", 1, "1 failed"),
    "it stood still, and all is well": ("stand_still()", 1, "1 passed"),
    "it stood still once": ("if number == 1: stand_still(); assert False", 2, "1 passed"),
    "it stood still, and that is not why": ("if number == 1: stand_still()\n    assert False", 2, "1 failed"),
    "it always stands still": ("stand_still(); assert False", 3, "1 failed"),
}


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES)
def test_only_what_fails_on_a_machine_that_stood_still_is_run_again(tmp_path: Path, case: str) -> None:
    code, times, end = CASES[case]
    told, found = run(tmp_path, code)
    assert found == times, told
    assert end in told
    assert ("run again, as this machine stood still for " in told) == (times > 1), told
