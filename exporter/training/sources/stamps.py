"""Log lines with the time in front, as Kubernetes gives them: how far they were read, and what is new after a break.

A log can be asked for from a second on, so the beginning of what comes was read before. Times are told to the
nanosecond (RFC 3339), in Z or with an offset.
"""

import re
from datetime import UTC, datetime

Stamp = tuple[int, int]  #: seconds of Unix time, nanoseconds

_STAMP = re.compile(rb"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?(Z|[+-]\d\d:\d\d) ?")
_STAMPS = re.compile(rb"^" + _STAMP.pattern, re.MULTILINE)
#: Bytes of an unfinished line that are held back. Of a longer one no more has to be known than when it was.
_HELD = 65_536


class Stamps:
    """Takes the time off lines, and leaves out lines that were read before."""

    def __init__(self) -> None:
        self._rest = b""
        #: Of the newest line that was handed on, and how many such lines there were.
        self._last: Stamp | None = None
        self._same = 0
        #: Lines of that time that come again; None: all that comes is new.
        self._again: int | None = None
        self._midline = False

    @property
    def since(self) -> str:
        """From when on to ask: the second of the newest line, `""` before the first."""
        return "" if self._last is None else datetime.fromtimestamp(self._last[0], UTC).strftime("%Y-%m-%dT%H:%M:%SZ")

    @property
    def at(self) -> float | None:
        """When the newest line was written, Unix time."""
        return None if self._last is None else self._last[0] + self._last[1] / 1e9

    def resume(self) -> None:
        """What comes next begins at `since`."""
        self._rest = b""
        self._midline = False
        self._again = None if self._last is None else self._same

    def feed(self, data: bytes) -> bytes:
        """What these bytes bring that is new, without the times."""
        whole, end, rest = (self._rest + data).rpartition(b"\n")
        self._rest = rest
        block = whole + end
        if self._midline and block:
            tail, end, block = block.partition(b"\n")
            self._midline = False
            return tail + end + self._lines(block)
        if len(rest) > _HELD:
            self._rest = b""
            if self._midline:
                return rest
            self._midline = True
            return self._lines(block) + self._lines(rest)
        return self._lines(block)

    def _lines(self, block: bytes) -> bytes:
        if self._again is not None:
            block = self._fresh(block)
        if block:
            self._note(block)
        return _STAMPS.sub(b"", block)

    def _fresh(self, block: bytes) -> bytes:
        """From the first line on that was not handed on before."""
        lines = block.splitlines(keepends=True)
        for index, line in enumerate(lines):
            stamp = _stamp(line)
            if stamp is None or self._last is None:
                continue
            if stamp > self._last:
                self._again = None
                return b"".join(lines[index:])
            if stamp == self._last and self._again is not None:
                self._again -= 1
                if self._again < 0:
                    self._again = None
                    return b"".join(lines[index:])
        return b""

    def _note(self, block: bytes) -> None:
        """Remember the newest time, and how many lines bear it."""
        newest, same = None, 0
        end = len(block)
        while end > 0:
            start = block.rfind(b"\n", 0, end - 1) + 1
            stamp = _stamp(block[start : start + 64])
            if stamp is not None and newest is None:
                newest = stamp
            if stamp is not None:
                if stamp != newest:
                    break
                same += 1
            end = start
        if newest is not None:
            self._same = same + (self._same if newest == self._last and end <= 0 else 0)
            self._last = newest


def _stamp(line: bytes) -> Stamp | None:
    match = _STAMP.match(line)
    if match is None:
        return None
    zone = "+00:00" if match[3] == b"Z" else match[3].decode()
    try:
        seconds = int(datetime.fromisoformat(match[1].decode() + zone).timestamp())
    except (ValueError, OverflowError):
        return None
    return seconds, int((match[2] or b"").ljust(9, b"0"))
