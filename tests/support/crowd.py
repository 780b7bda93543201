"""Thousands of clients at once, in a process of their own, so that who measures beside them is not held up.

    python -m tests.support.crowd PORT COUNT TEXT

Each client connects, says TEXT as soon as it may, and hears all until the end. Prints one JSON object: for each status,
or `cut` where there was none, how many got it, and the most seconds from what was said to the end.
"""

import json
import resource
import selectors
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

#: Clients that wait outside at once, and seconds between two looks at how many do. The kernel has room for twice as
#: many: whoever finds none comes again after a second, then after two, four and so on.
OUTSIDE, EVERY = 64, 0.005
LISTENING = "0A"
#: Seconds after which it is over for all.
PATIENCE = 120.0


class Ends(NamedTuple):
    """How many clients were answered with each status, `cut` for none, and the longest that one waited for its end."""

    statuses: Mapping[str, int]
    longest: float


class Crowd:
    """A crowd on its way."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process

    @property
    def there(self) -> bool:
        """Whether any of its clients is still there."""
        return self._process.poll() is None

    def ends(self) -> Ends:
        """Wait until all are gone."""
        told, _ = self._process.communicate(timeout=2 * PATIENCE)
        assert self._process.returncode == 0
        return Ends(**json.loads(told))


@contextmanager
def crowd(port: int, count: int, text: str) -> Iterator[Crowd]:
    """So many clients of a port of this machine, each of which says `text`."""
    command = [sys.executable, "-m", "tests.support.crowd", str(port), str(count), text]
    root = Path(__file__).resolve().parents[2]
    with subprocess.Popen(command, cwd=root, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield Crowd(process)
        finally:
            process.kill()


class _Client:
    """One of them. `said_at` is None until it is let in."""

    def __init__(self, port: int) -> None:
        self.socket = socket.socket()
        self.socket.setblocking(False)
        self.socket.connect_ex(("127.0.0.1", port))
        self.said_at: float | None = None
        self.heard = b""

    def say(self, text: bytes) -> bool:
        """Whether it could."""
        if self.socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
            return False
        self.said_at = time.monotonic()
        with suppress(OSError):
            self.socket.send(text)
        return True

    def hear(self) -> bool:
        """Take what came; whether there may be more."""
        try:
            data = self.socket.recv(65536)
        except BlockingIOError:
            return True
        except OSError:
            return False
        if len(self.heard) < 12:
            self.heard += data[:12]
        return bool(data)


def _outside(port: int) -> int:
    """How many are connected, as far as the kernel goes, and not let in yet."""
    with Path("/proc/net/tcp").open() as lines:
        next(lines)
        for line in lines:
            _, local, _, state, queues, *_ = line.split()
            if state != LISTENING:
                break  # all that listen come first
            if int(local.rpartition(":")[2], 16) == port:
                return int(queues.rpartition(":")[2], 16)
    return 0


def main(port: int, count: int, text: bytes) -> Ends:
    """All of them, from the first knock to the last end."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    select, until = selectors.DefaultSelector(), time.monotonic() + PATIENCE
    statuses: dict[str, int] = {}
    longest, come, there = 0.0, 0, 0
    while (come < count or there) and time.monotonic() < until:
        for _ in range(min(count - come, OUTSIDE - _outside(port))):
            client = _Client(port)
            select.register(client.socket, selectors.EVENT_WRITE, client)
            come, there = come + 1, there + 1
        for key, _ in select.select(EVERY):
            client = key.data
            if client.said_at is None:
                if client.say(text):
                    select.modify(client.socket, selectors.EVENT_READ, client)
                    continue
            elif client.hear():
                continue
            else:
                longest = max(longest, time.monotonic() - client.said_at)
            select.unregister(client.socket)
            client.socket.close()
            there -= 1
            status = client.heard[9:12].decode() or "cut"
            statuses[status] = statuses.get(status, 0) + 1
    if there:
        statuses["still there"] = there
        longest = PATIENCE
    return Ends(statuses, longest)


if __name__ == "__main__":
    print(json.dumps(main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3].encode())._asdict()))
