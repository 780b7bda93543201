"""The one table: every target, what was measured, and whether it is met."""

import sys
import time
from collections.abc import Callable, Iterable
from typing import NamedTuple

from benchmarks.targets import Target

#: Part of the time in which others had the measured core, above which a figure says more of the machine than of us.
BUSY = 0.02
#: Characters of an error that a row has room for.
ROOM = 90

#: What `met` may say: beyond the bound, at it, not; and what was not measured, or not compared.
STRETCH, YES, NO, NOT_RUN, ABSENT = "stretch", "yes", "NO", "NOT RUN", "no peer"
HEADINGS = ("", "measured", "target", "stretch", "met")


class Row(NamedTuple):
    """One line. `wanted` and `stretch` are empty for figures that nobody promised; `waited` is the part of the time in
    which other programs had the measured core.
    """

    what: str
    figure: str
    wanted: str = ""
    stretch: str = ""
    met: str = ""
    waited: float = 0.0


def held(what: str, figure: str, *bounds: tuple[float, Target], waited: float = 0.0) -> Row:
    """A row of numbers that each have a target."""
    wanted = ", ".join(target.write(target.bound) for _, target in bounds)
    stretch = ", ".join(target.write(target.stretch) for _, target in bounds if target.stretch != target.bound)
    met = YES if all(target.held(value) for value, target in bounds) else NO
    if stretch and all(target.outdone(value) for value, target in bounds):
        met = STRETCH
    return Row(what, figure, wanted, stretch, met, waited)


def unheld(what: str, figure: str, *targets: Target, met: str = NOT_RUN, waited: float = 0.0) -> Row:
    """A row that has targets and no numbers to hold against them."""
    return held(what, figure, *((target.bound, target) for target in targets), waited=waited)._replace(met=met)


def part(
    what: str, do: Callable[[], Iterable[Row]], tell: Callable[[str], None], targets: Iterable[Target] = ()
) -> list[Row]:
    """The rows of one part. Where it cannot run one says why, and the rest of the table is not lost."""
    tell(what)
    try:
        return list(do())
    except (Exception, SystemExit) as error:
        return [unheld(what, why(error), *targets)]


def why(error: BaseException) -> str:
    """As much of an error as a row has room for; standard error has all of it."""
    text = str(error).removeprefix("bench: ") or type(error).__name__
    print(f"bench: {text}", file=sys.stderr, flush=True)
    line = text.splitlines()[0]
    return line if len(line) <= ROOM else line[: ROOM - 3] + "..."


def show(rows: Iterable[Row]) -> None:
    """Print it."""
    rows = list(rows)
    lines = [HEADINGS, *((*row[:4], f"{row.met}?" if row.met and row.waited > BUSY else row.met) for row in rows)]
    wide = [max(len(line[column]) for line in lines) for column in range(len(HEADINGS))]
    busy = ["", *(f"waited {row.waited:.0%}" if row.waited > BUSY else "" for row in rows)]
    print()
    for line, others in zip(lines, busy, strict=True):
        cells = [f"{cell:{width}}" for cell, width in zip(line, wide, strict=True)]
        print("  ".join([*cells, others]).rstrip())
    if any(busy):
        print("waited: part of the time in which other programs had the measured core; such a figure is the machine's,")
        print("and whether a target is met is not known (?). Try again when nothing else runs.")


def progress() -> Callable[[str], None]:
    """Tells what is being measured, on a terminal alone."""
    began = time.monotonic()

    def tell(what: str) -> None:
        if sys.stderr.isatty():
            print(f"[{time.monotonic() - began:4.0f} s] {what}", file=sys.stderr, flush=True)

    return tell
