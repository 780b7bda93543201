"""The sheet for terminals, drawn by rich. Imported only when there is one."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TextIO

from rich import box
from rich.console import Console, Group
from rich.live import Live as RichLive
from rich.padding import Padding
from rich.table import Table as RichTable
from rich.text import Text

from exporter.cli.sheet import Live, Table

#: States and statuses, by the first word of a cell.
STYLES = {
    "healthy": "green",
    "good": "green",
    "loading": "cyan",
    "saturated": "yellow",
    "zombie": "bold magenta",
    "unhealthy": "red",
    "error": "bold red",
    "unknown": "dim",
    "waiting": "yellow",
    "failed": "red",
    "stays": "yellow",
    "skipped": "dim",
}


class Terminal:
    """Colour, and columns fitted to the width. Text is never read as markup: servers wrote some of it."""

    def __init__(self, file: TextIO) -> None:
        self.console = Console(file=file, highlight=False, markup=False, emoji=False)

    def line(self, text: str = "", *, strong: bool = False) -> None:
        """One line, wrapped at words."""
        self.console.print(Text(text, style="bold" if strong else ""))

    def table(self, table: Table) -> None:
        """A table with its headings."""
        self.console.print(draw(table))

    def pairs(self, rows: Sequence[tuple[str, str]], indent: int = 2) -> None:
        """Names and what belongs to them; long texts wrap in their own column."""
        grid = RichTable.grid(padding=(0, 2))
        grid.add_column(no_wrap=True, style="bold")
        grid.add_column(overflow="fold")
        for name, text in rows:
            grid.add_row(Text(name), Text(text))
        self.console.print(Padding(grid, (0, 0, 0, indent)))

    @contextmanager
    def live(self, *, transient: bool = False) -> Iterator[Live | None]:
        """A live part, unless the terminal cannot move its cursor."""
        if self.console.is_dumb_terminal:
            yield None
            return
        with RichLive(console=self.console, auto_refresh=False, transient=transient) as live:
            yield _Live(live)


class _Live:
    def __init__(self, live: RichLive) -> None:
        self._live = live

    def update(self, title: str, table: Table) -> None:
        """Show this now."""
        self._live.update(Group(Text(title), Text(), draw(table, cut=True)), refresh=True)

    def text(self, text: str) -> None:
        """Show one line now."""
        self._live.update(Text(text), refresh=True)


def draw(table: Table, *, cut: bool = False) -> RichTable:
    """A table of the house as one of rich; with `cut` every row has one line."""
    drawn = RichTable(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0), header_style="bold", show_edge=False)
    for name in table.columns:
        drawn.add_column(
            name,
            justify="right" if name in table.right else "left",
            no_wrap=name != table.wrap,
            overflow="fold" if name == table.wrap else "ellipsis",
        )
    for row in table.rows:
        cells = zip(table.columns, row, strict=True)
        drawn.add_row(*(_cell(cell, cut=cut and name == table.wrap) for name, cell in cells))
    return drawn


def _cell(text: str, *, cut: bool) -> Text:
    # The column stays one that may shrink, its text one that may not be broken: so it is cut, and no other column is.
    fit = {"no_wrap": True, "overflow": "ellipsis"} if cut else {}
    return Text(text, style=STYLES.get(text.partition(" ")[0], ""), **fit)  # type: ignore[arg-type]
