"""The kernel's stamps by our clock. It stamps what it receives by the wall clock; all other stamps are monotonic.

What the wall clock is ahead of the monotonic one by stays the same, to the nanosecond, until somebody sets it: both are
slewed alike. So one subtraction moves a stamp, and a change of the difference tells that the clock was set, which makes
false what was stamped before.
"""

import socket
import struct
import sys
from collections.abc import Callable, Sequence
from functools import cache
from time import perf_counter_ns, time_ns

#: Linux's SO_TIMESTAMPNS_NEW, of which Python has no name; what it brings is a __kernel_timespec.
OPTION = 64
_TIMESPEC = struct.Struct("=qq")
#: Bytes to set aside for it beside a read.
ROOM = socket.CMSG_SPACE(_TIMESPEC.size)

#: What becomes of the stamp of a read. All but the first fall back to the event loop's.
USED, MISSING, CLOCK_MOVED, OUT_OF_ORDER = RESULTS = ("used", "missing", "clock_moved", "out_of_order")

#: Nanoseconds by which the difference may change unnoticed, and so the most that a stamp is wrong by for it. It takes
#: less than one of them to read both clocks.
_SLACK = 20_000
#: Readings of both clocks, the best of which is believed: the core may be taken away in between.
_TRIES = 5
#: Seconds above which a read that is late may be one of a packet that overtook others: then somebody has to look.
_LATE = 0.001

Ancillary = Sequence[tuple[int, int, bytes]]


@cache
def available() -> bool:
    """Whether this system stamps what it receives by the nanosecond."""
    if sys.platform != "linux":
        return False
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as tried:
            ask_for_stamps(tried)
            return bool(tried.getsockopt(socket.SOL_SOCKET, OPTION))
    except OSError:
        return False


def ask_for_stamps(sock: socket.socket) -> None:
    """Have a socket's reads bring them. Raises OSError."""
    sock.setsockopt(socket.SOL_SOCKET, OPTION, 1)


class Clocks:
    """Both clocks, held against each other. `counts` has the reads by what became of their stamps."""

    __slots__ = ("_ahead", "_counts", "_now", "_since", "_wall")

    def __init__(
        self,
        counts: dict[str, int],
        wall: Callable[[], int] = time_ns,
        now: Callable[[], int] = perf_counter_ns,
    ) -> None:
        self._wall, self._now = wall, now
        self._counts = counts
        for result in RESULTS:
            counts.setdefault(result, 0)
        self._since = 0  #: the wall clock was not set since this moment
        self._ahead = self._read()

    def moment(self, found: Ancillary, after: float, overtaken: Callable[[], bool]) -> float:
        """The stamp of perf_counter at which a read's bytes arrived; 0.0 where the kernel's is missing or may be false.

        `found` is what came beside the bytes, `after` a stamp that they cannot have arrived before. `overtaken` tells
        whether packets of the connection overtook others; it is asked seldom.
        """
        stamp = 0
        for level, kind, data in found:
            if kind == OPTION and level == socket.SOL_SOCKET and len(data) >= _TIMESPEC.size:
                seconds, nanoseconds = _TIMESPEC.unpack_from(data)
                stamp = seconds * 1_000_000_000 + nanoseconds
        # The wall clock first: should the core be taken away in between, it seems less ahead than it is.
        ahead = self._wall() - (now := self._now())
        moved = not -_SLACK <= ahead - self._ahead <= _SLACK and self._moved()
        arrived = stamp - self._ahead
        at = arrived / 1e9
        if not stamp:
            result = MISSING
        elif moved or arrived < self._since:
            result = CLOCK_MOVED
        elif at < after or arrived > now or (now - arrived > _LATE * 1e9 and overtaken()):
            result = OUT_OF_ORDER
        else:
            self._counts[USED] += 1
            return at
        self._counts[result] += 1
        return 0.0

    def _moved(self) -> bool:
        """Whether the wall clock was set, and not just the core taken away between two readings."""
        ahead = self._read()
        if abs(ahead - self._ahead) <= _SLACK:
            return False
        self._ahead, self._since = ahead, self._now()
        return True

    def _read(self) -> int:
        return max(self._wall() - self._now() for _ in range(_TRIES))
