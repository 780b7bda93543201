from collections.abc import Callable, Sequence
from typing import Any

import pytest
from click.testing import CliRunner, Result

from exporter.cli import main

Invoke = Callable[..., Result]


@pytest.fixture
def invoke(monkeypatch: pytest.MonkeyPatch) -> Invoke:
    """Runs the command line in this process, without a terminal, on 80 columns."""
    monkeypatch.setenv("COLUMNS", "80")

    def run(args: Sequence[Any], **more: Any) -> Result:
        result = CliRunner().invoke(main, [str(arg) for arg in args], prog_name="model-exporter", **more)
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result

    return run
