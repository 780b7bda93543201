"""What the process may use: file descriptors and memory as its limits say, shared out so that nothing starves the rest.

A probe that cannot open a socket, or a scrape that is not accepted, would tell of a failure that is ours. So there are
never more probes in flight than descriptors were set aside for; what has none waits for its slot.
"""

import contextlib
import resource
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

#: Descriptors for everything else: standard streams, the loop, listeners, look-ups, files that are read, sinks.
RESERVED = 24
#: As many are asked for as the hard limit allows, up to this.
ENOUGH = 65_536
#: Memory of a probe in flight as a rule: its task, its buffers and the kernel's for its socket. Bodies are bounded
#: one by one, by `max_body`.
PER_PROBE = 256 * 1024

_CGROUPS = Path("/sys/fs/cgroup")
_OF_THIS = Path("/proc/self/cgroup")


#: Descriptors of a probe in flight at most: over gRPC its connection, and both ends of the socket that leads to it.
PER_PROBE_FILES = 3


class Capacity(NamedTuple):
    """How many at once: `probes` in flight, and descriptors of connections `kept` between runs."""

    probes: int
    kept: int


def capacity(wanted: int) -> Capacity:
    """By the limits that are in force now; `wanted` probes in flight are enough."""
    return shared_out(resource.getrlimit(resource.RLIMIT_NOFILE)[0], memory_limit(), wanted)


def shared_out(files: int, memory: int | None, wanted: int) -> Capacity:
    """A quarter of the descriptors is for clients of our own pages, which see to that themselves. A third of the others
    is for connections that are kept, as is all that the probes have no use for.
    """
    left = max(3, files - files // 4 - RESERVED)
    third = left // 3
    probes = min(wanted, left - third)
    if memory is not None:
        probes = min(probes, memory // 2 // PER_PROBE)
    probes = max(1, probes)
    return Capacity(probes, max(third, left - probes * PER_PROBE_FILES))


def raise_files() -> None:
    """Take as many descriptors as the hard limit allows: the soft one is for programs that still use select(2)."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = ENOUGH if hard == resource.RLIM_INFINITY else min(hard, ENOUGH)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with contextlib.suppress(OSError, ValueError):  # then the soft one it is
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def memory_limit() -> int | None:
    """The smallest memory limit of the cgroups this process is in, in bytes; None where there is none."""
    limits = [limit for path in _limit_files() if (limit := _read(path)) is not None]
    return min(limits, default=None)


def _limit_files() -> Iterator[Path]:
    """Of version 2 and version 1; of our own group and all above it. In a container its own is the root."""
    try:
        groups = _OF_THIS.read_text().splitlines()
    except OSError:
        return
    for line in groups:
        _, kinds, path = line.split(":", 2)
        if kinds == "":
            root, name = _CGROUPS, "memory.max"
        elif "memory" in kinds.split(","):
            root, name = _CGROUPS / "memory", "memory.limit_in_bytes"
        else:
            continue
        own = Path(path.lstrip("/"))
        for group in (own, *own.parents):
            yield root / group / name


def _read(path: Path) -> int | None:
    try:
        limit = int(path.read_text())
    except (OSError, ValueError):  # not there, or `max`
        return None
    return limit if limit < 1 << 60 else None  # version 1 writes a huge number for none
