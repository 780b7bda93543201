"""What is wrong with a config file, said so that a person can mend it."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from functools import lru_cache
from typing import NamedTuple

#: Problems of a config that are told: nobody mends more before looking again. What is wrong a hundred thousand times
#: would keep a start waiting, and a running exporter busy with telling it.
MOST = 1000
#: Names that are listed; and those to look through, a few microseconds each, for one that is near.
FEW = 100
_MANY = 1000

#: Keys and list indexes from the top of the file to a value.
Path = tuple[str | int, ...]


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    """One thing to mend. Lines and columns count from 1; both are 0 where there is no text, as for `--target URL`.

    `path` is empty where the file as a whole is meant.
    """

    file: str
    line: int
    column: int
    path: str
    message: str
    warning: bool = False

    def __str__(self) -> str:
        where = f"{self.file}:{self.line}:{self.column}" if self.line else self.file
        return ": ".join(part for part in (where, self.path, self.message) if part)


class ConfigError(Exception):
    """A config cannot be used. `problems` holds every problem of every file, sorted by file and line."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        super().__init__("\n".join(str(problem) for problem in problems))
        self.problems = list(problems)

    def __reduce__(self) -> tuple[type["ConfigError"], tuple[list[Problem]]]:
        return (ConfigError, (self.problems,))


class Finding(NamedTuple):
    """A problem before its place in the file is known. `key`: it is the key that is wrong, not its value.

    `{N}` in the message stands for the line of the N-th path of `others`, counted from 0.
    """

    path: Path
    message: str
    key: bool = False
    warning: bool = False
    others: tuple[Path, ...] = ()


def exactly_one(given: Sequence[str], allowed: Sequence[str]) -> str:
    """What is wrong with the keys that are given of those of which one is needed, `""` when nothing is."""
    if len(given) == 1:
        return ""
    return f"found {' and '.join(given) or 'none'}; needs exactly one of {', '.join(allowed)}"


def write_path(path: Iterable[str | int]) -> str:
    """`targets[0].probes.infer` for ("targets", 0, "probes", "infer")."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            name = part if part and part.isprintable() and "." not in part else repr(part)
            text += f".{name}" if text else name
    return text


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """`did you mean X?`, or the list of what is allowed when nothing is near."""
    return _hint(word.lower(), tuple(sorted(known)))


@lru_cache(MOST)
def _hint(word: str, known: tuple[str, ...]) -> str:
    near = get_close_matches(word, known, n=1, cutoff=0.6) if len(known) <= _MANY else ()
    if near:
        return f"did you mean {near[0]}?"
    return f"allowed: {listed(known)}" if known else "nothing is allowed here"


def listed(names: Iterable[str]) -> str:
    """Names as a message has them, the first of many."""
    names = sorted(names)
    more = f" and {len(names) - FEW} more" if len(names) > FEW else ""
    return f"{', '.join(names[:FEW])}{more}"
