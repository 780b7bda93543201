"""How many files, sockets and the like this process has open."""

from pathlib import Path


def descriptors() -> int:
    """Open descriptors, the one that lists them included."""
    return sum(1 for _ in Path("/proc/self/fd").iterdir())
