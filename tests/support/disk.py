"""A disk that is soon full."""

import resource
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

SMALL = 65536


@contextmanager
def small_disk(folder: Path) -> Iterator[Path]:
    """A folder below `folder` on a file system of 64 kB; where none may be mounted, no file of this process and of
    those it starts grows longer than that.
    """
    small = folder / "small"
    small.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={SMALL}", "tmpfs", str(small)]
    if subprocess.run(command, capture_output=True, check=False).returncode == 0:
        try:
            yield small
        finally:
            subprocess.run(["umount", "-l", str(small)], check=True)
        return
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (SMALL, before[1]))
    try:
        yield small
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
