"""A process as /proc shows it: what it has open, its threads, its memory."""

import os
import time
from pathlib import Path


class Proc:
    """Looks at a running process from outside."""

    def __init__(self, pid: int) -> None:
        self._folder = Path(f"/proc/{pid}")

    def descriptors(self) -> int:
        """Open files, sockets and the like."""
        return sum(1 for _ in (self._folder / "fd").iterdir())

    def sockets(self) -> int:
        """Open sockets."""
        return sum(1 for fd in (self._folder / "fd").iterdir() if _target(fd).startswith("socket:"))

    def threads(self) -> int:
        return self._status("Threads")

    def rss(self) -> float:
        """Memory in use now, in MB."""
        return self._status("VmRSS") / 1024

    def peak(self) -> float:
        """The most memory since `forget_peak`, in MB."""
        return self._status("VmHWM") / 1024

    def forget_peak(self) -> None:
        (self._folder / "clear_refs").write_text("5")

    def cpu(self, *, children: bool = False) -> float:
        """Seconds of CPU so far, or those of its children that have ended too."""
        fields = (self._folder / "stat").read_text().rpartition(")")[2].split()
        return sum(map(int, fields[11 : 15 if children else 13])) / os.sysconf("SC_CLK_TCK")

    def settled(self, descriptors: int, within: float = 5.0) -> int:
        """Descriptors above this number that are still open after the time it may take to close them."""
        until = time.monotonic() + within
        while (left := self.descriptors() - descriptors) > 0 and time.monotonic() < until:
            time.sleep(0.02)
        return max(0, left)

    def _status(self, name: str) -> int:
        for line in (self._folder / "status").read_text().splitlines():
            if line.startswith(f"{name}:"):
                return int(line.split()[1])
        raise LookupError(name)


def _target(fd: Path) -> str:
    try:
        return str(fd.readlink())
    except OSError:
        return ""
