"""The sink `jsonl`: a line of JSON per record, in a file that is rotated by size, or on standard output.

A batch is in the file whole or not at all: where a write ends early (a full disk, a quota), what it left of itself is
cut off again, so half a line never stays. A file that ends in half a line when it is opened was left by a process that
was killed; that half is cut off too. Files are opened for appending, and anew when somebody else moved them away.
"""

import errno
import os
import select
import stat
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from exporter.contracts import Record
from exporter.sinks import records
from exporter.sinks.shape import VERSION
from exporter.sinks.spec import STDOUT, Jsonl
from exporter.transport.thread import in_thread

#: How every line of ours begins: what does not is no half line of ours.
_BEGINNING = b'{"version":%d,' % VERSION
#: Bytes at the end of a file that are searched for the beginning of its last line.
_TAIL = 1_000_000
_FLAGS = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOCTTY


class JsonlSink:
    """Writes in a thread: a disk may hang."""

    def __init__(self, settings: Jsonl) -> None:
        self._settings = settings
        self._fd: int | None = None
        self._regular = False
        self._busy = False
        #: Where a file has to be cut, while that could not be done.
        self._torn: int | None = None

    def encode(self, batch: Sequence[Record]) -> bytes:
        """A line for each record."""
        return b"".join([records.line(record) for record in batch])

    async def send(self, payload: bytes, key: str) -> None:
        """Append the lines."""
        self._busy = True  # and so for good where this is given up: the thread goes on by itself
        try:
            await in_thread(lambda: self._append(payload), "jsonl")
        except OSError:
            self._busy = False
            raise
        self._busy = False

    async def close(self) -> None:
        """Close the file, unless a write hangs in it."""
        fd, self._fd = self._fd, None
        if fd is not None and not self._busy and self._settings.path != STDOUT:
            with suppress(OSError):
                os.close(fd)

    def _append(self, lines: bytes) -> None:
        fd = self._open()
        if not self._regular:
            _write(fd, lines)
            return
        if self._torn is not None:
            self._cut(fd, self._torn)
        size = os.fstat(fd).st_size
        if self._settings.rotate is not None and size > 0 and size + len(lines) > self._settings.rotate:
            fd, size = self._rotate(), 0
        try:
            _write(fd, lines)
        except OSError:
            self._torn = size
            with suppress(OSError):
                self._cut(fd, size)
            raise

    def _cut(self, fd: int, size: int) -> None:
        os.ftruncate(fd, size)
        os.lseek(fd, 0, os.SEEK_END)  # standard output may not be open for appending
        self._torn = None

    def _open(self) -> int:
        path = self._settings.path
        if self._fd is not None and (path == STDOUT or not self._regular or self._is_still_there(self._fd)):
            return self._fd
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None
        self._torn = None
        fd = _stdout() if path == STDOUT else os.open(path, _FLAGS, 0o644)
        self._regular = stat.S_ISREG(os.fstat(fd).st_mode)
        if self._regular and path != STDOUT:
            _mend(path, fd)
        self._fd = fd
        return fd

    def _is_still_there(self, fd: int) -> bool:
        """Whether the path still names the open file: it may have been moved away or removed."""
        try:
            return os.path.samestat(Path(self._settings.path).stat(), os.fstat(fd))
        except FileNotFoundError:
            return False

    def _rotate(self) -> int:
        """Begin a new file: PATH becomes PATH.1, PATH.1 becomes PATH.2, and the oldest goes."""
        path, keep = self._settings.path, self._settings.keep
        for number in range(keep - 1, 0, -1):
            with suppress(FileNotFoundError):
                Path(f"{path}.{number}").replace(f"{path}.{number + 1}")
        Path(path).replace(f"{path}.1")
        return self._open()


def _stdout() -> int:
    if sys.stdout is None:
        raise OSError(errno.EBADF, "standard output is closed")
    return sys.stdout.fileno()


def _write(fd: int, data: bytes) -> None:
    """All of it. Raises OSError after having written a part."""
    view = memoryview(data)
    while view:
        try:
            view = view[os.write(fd, view) :]
        except BlockingIOError:  # somebody made standard output non-blocking, and its reader is slow
            select.select([], [fd], [])


def _mend(path: str, fd: int) -> None:
    """Cut off the half line that a process which was killed has left; end a line that is not ours."""
    size = os.fstat(fd).st_size
    with Path(path).open("rb") as file:
        file.seek(max(0, size - _TAIL))
        last = file.read().rpartition(b"\n")[2]
    if not last:
        return
    if last.startswith(_BEGINNING) or _BEGINNING.startswith(last):
        os.ftruncate(fd, size - len(last))
    else:
        _write(fd, b"\n")
