"""Starts the hostile server, for whoever wants it: `with hostile(folder) as server: server.ports["main"]`."""

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.hostile import certificates

_ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Hostile:
    """Ports by name, the file of the authority that signed the good certificates, the ends of their validity.

    `healthy` is the port of a second process that does not share the first one's troubles; it answers `/ok`.
    """

    ports: Mapping[str, int]
    healthy: int
    ca_file: str
    not_after: Mapping[str, float]
    folder: Path


@contextmanager
def started(*arguments: str) -> Iterator[Mapping[str, int]]:
    """One server process; its ports."""
    with subprocess.Popen(
        [sys.executable, "-m", "tests.hostile.server", *arguments],
        cwd=_ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as server:
        assert server.stdout is not None
        try:
            yield json.loads(server.stdout.readline())
        finally:
            server.kill()


@contextmanager
def hostile(folder: Path) -> Iterator[Hostile]:
    """Both servers; certificates are written to `folder`."""
    not_after = certificates.write(folder)
    with ExitStack() as stack:
        ports = stack.enter_context(started("--certificates", str(folder)))
        healthy = stack.enter_context(started())
        yield Hostile(ports, healthy["main"], str(folder / "ca.crt"), not_after, folder)
