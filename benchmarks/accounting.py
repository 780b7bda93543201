"""What a process cost: CPU time and memory, as the kernel accounts for them."""

import time
from pathlib import Path


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
