"""The child process of `loader.load_in_child`: `python -m exporter.config.child FILE...` writes what it loaded."""

import gc
import os
import sys
from pathlib import Path

from exporter.config.loader import messages


def main() -> None:
    """Load the files named on the command line and write the messages of `loader.messages`."""
    gc.disable()
    # Whatever prints must not end up between the messages.
    out = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    for message in messages([Path(name) for name in sys.argv[1:]]):
        out.write(message)
    out.flush()


if __name__ == "__main__":
    main()
