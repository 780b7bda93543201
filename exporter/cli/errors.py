"""How commands end when they cannot begin: every problem on a line of its own."""

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from exporter.config.problems import Problem


@contextmanager
def told(config: Sequence[Path] = ()) -> Iterator[None]:
    """End with exit code 2 after a ConfigError, 1 after CannotListen; the reasons go to standard error.

    `config` holds the files that were read; what is wrong elsewhere stands in a url or an option, and has no line.
    """
    from exporter.config.problems import ConfigError
    from exporter.contracts import CannotListen

    files = {str(path) for path in config}
    try:
        yield
    except ConfigError as error:
        for problem in error.problems:
            click.echo(str(problem) if problem.file in files else f"Error: {_without_place(problem)}", err=True)
        sys.exit(2)
    except CannotListen as error:
        click.echo(f"Error: {error}", err=True)
        sys.exit(1)


def _without_place(problem: "Problem") -> str:
    key = problem.path.removeprefix("targets[0]").removeprefix(".")
    parts = (problem.file, "" if key == "url" else key, problem.message)
    return ": ".join(part for part in parts if part)
