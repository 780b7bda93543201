"""A group of processes that may use so much memory together, and is killed by the kernel for more."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.web import until

_CGROUPS = Path("/sys/fs/cgroup")
#: Joins the group, and is the program from then on.
_JOIN = 'echo $$ > "$0" && exec "$@"'


def _candidates() -> Iterator[tuple[Path, str]]:
    """Groups in which one may be made, and the name of the limit there: version 1, then version 2 from ours upwards."""
    yield _CGROUPS / "memory", "memory.limit_in_bytes"
    for line in Path("/proc/self/cgroup").read_text().splitlines():
        number, _, path = line.split(":", 2)
        if number == "0":
            own = Path(path.lstrip("/"))
            for group in (own, *own.parents):
                yield _CGROUPS / group, "memory.max"


def _made(limit: int) -> Path | None:
    """A new group of this many bytes; None where nobody lets us make one."""
    for parent, name in _candidates():
        group = parent / f"model-exporter-test-{os.getpid()}"
        try:
            group.mkdir()
        except OSError:
            continue
        try:
            (group / name).write_text(str(limit))
        except OSError:  # memory is not shared out there
            group.rmdir()
            continue
        return group
    return None


@contextmanager
def memory(limit: int) -> Iterator[list[str]]:
    """What to put before a command so that it and its children have `limit` bytes of memory. Skips the test where no
    group can be made: only root can, and not in every container.
    """
    group = _made(limit)
    if group is None:
        pytest.skip(
            "no group with a memory limit can be made below /sys/fs/cgroup: needs root, and cgroups to write to"
        )
    try:
        yield ["sh", "-c", _JOIN, str(group / "cgroup.procs")]
    finally:
        until("all to have left the group", lambda: not (group / "cgroup.procs").read_text(), within=20)
        group.rmdir()
