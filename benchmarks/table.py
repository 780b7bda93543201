"""The one table: every target, what was measured, and whether it is met."""

import sys
import time
from collections.abc import Callable, Iterable
from typing import NamedTuple

#: Part of the time in which others had the measured core, above which a figure says more of the machine than of us.
BUSY = 0.02


class Row(NamedTuple):
    """One target. `wanted` is empty for figures that nobody promised, `waited` is how busy the machine was."""

    what: str
    figure: str
    wanted: str = ""
    met: bool | None = None
    waited: float | None = None


def held(what: str, value: float, limit: float, figure: str, wanted: str, waited: float | None = None) -> Row:
    """A row whose value must not pass a limit."""
    return Row(what, figure, wanted, value <= limit, waited)


def show(rows: Iterable[Row]) -> None:
    """Print it."""
    rows = list(rows)
    wide = [max(len(heading), *(len(row[i]) for row in rows)) for i, heading in enumerate(("", "measured", "target"))]
    print(f"\n{'':{wide[0]}}  {'measured':{wide[1]}}  {'target':{wide[2]}}  met")
    for row in rows:
        met = "" if row.met is None else "yes" if row.met else "NO"
        busy = "" if row.waited is None or row.waited <= BUSY else f"  (waited {row.waited:.0%})"
        print(f"{row.what:{wide[0]}}  {row.figure:{wide[1]}}  {row.wanted:{wide[2]}}  {met}{busy}".rstrip())
    if any(row.waited is not None and row.waited > BUSY for row in rows):
        print("waited: part of the time in which other programs had the measured core; such figures are the machine's")


def progress() -> Callable[[str], None]:
    """Tells what is being measured, on a terminal alone."""
    began = time.monotonic()

    def tell(what: str) -> None:
        if sys.stderr.isatty():
            print(f"[{time.monotonic() - began:4.0f} s] {what}", file=sys.stderr, flush=True)

    return tell
