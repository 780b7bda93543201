"""Tables on standard output or error: with colour and fitted to the width on a terminal, plain text elsewhere.

rich draws on a terminal; it is imported only there, and where it is not installed the plain text serves too.
"""

import sys
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Protocol, TextIO

Row = Sequence[str]


@dataclass(frozen=True, slots=True)
class Table:
    """Columns and rows of text.

    `right` names the columns of numbers, `wrap` the one that may take several lines, or, in a live part, be cut.
    """

    columns: Sequence[str]
    rows: Sequence[Row]
    right: frozenset[str] = field(default_factory=frozenset)
    wrap: str = ""

    def without_empty(self) -> "Table":
        """The same without columns in which no row has anything."""
        keep = [at for at, _ in enumerate(self.columns) if any(row[at] for row in self.rows)]
        return Table(
            [self.columns[at] for at in keep], [[row[at] for at in keep] for row in self.rows], self.right, self.wrap
        )


class Live(Protocol):
    """A part of the screen that is drawn again and again."""

    def update(self, title: str, table: Table) -> None:
        """Show this now."""

    def text(self, text: str) -> None:
        """Show one line now."""


class Sheet(Protocol):
    """Where a command writes for people."""

    def line(self, text: str = "", *, strong: bool = False) -> None:
        """One line of text."""

    def table(self, table: Table) -> None:
        """A table with its headings."""

    def pairs(self, rows: Sequence[tuple[str, str]], indent: int = 2) -> None:
        """Names and what belongs to them, without headings."""

    def live(self, *, transient: bool = False) -> AbstractContextManager[Live | None]:
        """A live part, gone at the end when transient; None where there is no terminal that can be drawn on."""


class Plain:
    """Aligned text for pipes, files and terminals without rich."""

    def __init__(self, file: TextIO) -> None:
        self.file = file

    def line(self, text: str = "", *, strong: bool = False) -> None:
        """One line."""
        print(text, file=self.file, flush=True)

    def table(self, table: Table) -> None:
        """Columns two blanks apart."""
        widths = [max(len(cell) for cell in column) for column in zip(table.columns, *table.rows, strict=True)]
        for row in ([name.upper() for name in table.columns], *table.rows):
            cells = [
                cell.rjust(width) if name in table.right else cell.ljust(width)
                for name, cell, width in zip(table.columns, row, widths, strict=True)
            ]
            self.line("  ".join(cells).rstrip())

    def pairs(self, rows: Sequence[tuple[str, str]], indent: int = 2) -> None:
        """Names padded to one width."""
        width = max((len(name) for name, _ in rows), default=0)
        for name, text in rows:
            self.line(f"{' ' * indent}{name.ljust(width)}  {text}".rstrip())

    def live(self, *, transient: bool = False) -> AbstractContextManager[Live | None]:
        """There is none."""
        return nullcontext(None)


def sheet(file: TextIO | None = None) -> Sheet:
    """The right sheet for a file, standard output by default."""
    file = file or sys.stdout
    if file.isatty():
        try:
            from exporter.cli.terminal import Terminal
        except ImportError:
            return Plain(file)
        return Terminal(file)
    return Plain(file)
