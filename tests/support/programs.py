"""Programs that some tests need and a machine may lack."""

import os
import shutil

import pytest

#: Set by CI, which installs everything: there a missing program is a failure and never a skip.
STRICT = "MODEL_EXPORTER_TESTS_NO_SKIP"


def need(program: str, hint: str) -> str:
    """The path of a program. Without it the test is skipped, saying how to get it; under CI it fails."""
    return shutil.which(program) or absent(program, hint)


def absent(what: str, hint: str) -> str:
    """Skip the test that needs `what`; fail it where nothing may be skipped. Never returns."""
    message = f"needs {what}: {hint}"
    if os.environ.get(STRICT) == "1":
        pytest.fail(message, pytrace=False)
    pytest.skip(message)
