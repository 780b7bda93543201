"""How a server of the tests misbehaves: it takes $LOADING seconds to be ready, and the words in the file $SWITCH, read
at each request, say the rest. The file beside it, with `.seen` to its name, says how far a slow stream is.
"""

import os
import time
from pathlib import Path

#: What the streaming models say.
WORDS = ("OK", ",", " all", " is", " well", ".")


def load() -> None:
    """Take the time a model takes to load."""
    time.sleep(float(os.environ.get("LOADING", "0")))


def on(word: str) -> bool:
    """Whether the file holds this word."""
    path = Path(os.environ.get("SWITCH", "switch"))
    return path.exists() and word in path.read_text().split()


def seen(what: str) -> None:
    """Tell those who watch from outside."""
    Path(os.environ.get("SWITCH", "switch") + ".seen").write_text(what)


def wait_while(word: str) -> None:
    """Block for as long as the file holds this word."""
    while on(word):
        time.sleep(0.05)


def classify(row: list[float]) -> int:
    """A decision tree on sepal length, sepal width, petal length, petal width that knows the three kinds of iris."""
    _, _, length, width = row
    return 0 if length < 2.45 else 1 if width < 1.75 else 2
