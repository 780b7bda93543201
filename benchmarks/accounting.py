"""What a process cost: CPU time and memory, as the kernel accounts for them."""

import os
import time
from pathlib import Path
from typing import NamedTuple


def cpu_seconds(pid: int) -> float:
    """CPU seconds of a process with all its threads, to the nanosecond where /proc/PID/stat counts in ticks of 10 ms.

    The clock's number is the kernel's own encoding for "the CPU clock of process PID" (clock_getcpuclockid(3)).
    """
    return time.clock_gettime((~pid << 3) | 2)


def memory(pid: int) -> tuple[int, int]:
    """Resident bytes now, and the most there ever were."""
    status = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    now, peak = (int(status[key].split()[0]) * 1024 for key in ("VmRSS", "VmHWM"))
    return now, peak


def waited_seconds(pid: int) -> float:
    """Seconds its threads were ready to run and another process had the core: how busy the machine was beside."""
    return sum(int(path.read_text().split()[1]) for path in Path(f"/proc/{pid}/task").glob("*/schedstat")) / 1e9


class Spent(NamedTuple):
    """CPU seconds of a process, and the part of the time in which others had its core."""

    cpu: float
    waited: float


class Meter:
    """Accounts for a process that is pinned to a core, from now on."""

    def __init__(self, pid: int, core: int) -> None:
        self._pid, self._core = pid, core
        self._began = self._now()

    def read(self) -> Spent:
        """Until now. Threads of one process wait for each other, too; so others had no more than they used there."""
        passed, cpu, waited, busy = (now - then for now, then in zip(self._now(), self._began, strict=True))
        return Spent(cpu, min(waited, max(0.0, busy - cpu)) / passed)

    def _now(self) -> tuple[float, float, float, float]:
        return time.perf_counter(), cpu_seconds(self._pid), waited_seconds(self._pid), busy_seconds(self._core)


def busy_seconds(core: int) -> float:
    """Seconds in which programs ran on a core, or the machine's host had it: user, nice, system and steal."""
    line = next(line for line in Path("/proc/stat").read_text().splitlines() if line.startswith(f"cpu{core} "))
    user, nice, system, _, _, _, _, steal = map(int, line.split()[1:9])
    return (user + nice + system + steal) / os.sysconf("SC_CLK_TCK")
