"""The end of a growing file, looked at again and again: pure of loops, blocking, for a thread.

Rotation is another file under the path, or the same one cut short; both are seen by what the files are, never by time.
"""

import contextlib
import os
import stat
import threading
import time
from pathlib import Path
from typing import Literal, NamedTuple

#: Bytes read at a time.
PIECE = 256 * 1024
#: Bytes of a log that may wait to be read. Of more, all but the last KEPT are left out: what is told is to be of now.
BEHIND, KEPT = 8_000_000, 1_000_000
#: Bytes of a file's beginning by which one that was cut and has grown again is known.
_HEAD = 256
#: Bytes looked through at a time for line ends.
_COUNTED = 1 << 20
#: Seconds after which a deleted file into which nothing was written is let go: until then it takes up its room.
_DELETED = 60.0


class Look(NamedTuple):
    """What one look brought. `missing`: why there is no file to read; else `data` are its next bytes, none where there
    are none yet, written by the Unix time `at`. Before them `left_out` lines were passed over. `cut`: what was read
    before does not go on; `anew`: the data begin a file.
    """

    data: bytes = b""
    at: float = 0.0
    missing: str = ""
    left_out: int = 0
    cut: bool = False
    anew: bool = False


class Tail:
    """One path. The file that is open is read to its end, also when it was renamed or deleted meanwhile."""

    def __init__(self, path: str, *, start: Literal["beginning", "end"] = "beginning") -> None:
        self._path = path
        self._descriptor: int | None = None
        self._position = 0
        self._head = b""
        #: Only a file that is there at the first look is begun at its end.
        self._skip = start == "end"
        self._midline = False
        self._known = False
        self._busy = threading.Lock()
        self._closing = False

    def look(self) -> Look:
        """The next bytes, or the reason why there are none. Never raises OSError."""
        with self._busy:
            try:
                return self._look()
            except OSError as error:
                self._let_go()
                return Look(missing=error.strerror or type(error).__name__)
            finally:
                if self._closing:
                    self._let_go()

    def close(self) -> None:
        """Let go of the file: now, or when a look that hangs has come to its end."""
        self._closing = True
        if self._busy.acquire(blocking=False):
            self._let_go()
            self._busy.release()

    def _let_go(self) -> None:
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            with contextlib.suppress(OSError):
                os.close(descriptor)

    def _look(self) -> Look:
        anew = False
        if self._descriptor is None:
            anew = self._known
            self._open()
        assert self._descriptor is not None  # noqa: S101 - it was opened
        found = os.fstat(self._descriptor)
        if found.st_size < self._position or (found.st_size > self._position and not self._same()):
            self._begin()
            anew = True
            found = os.fstat(self._descriptor)
        if found.st_size <= self._position:
            if not self._replaced(found):
                return Look(at=found.st_mtime, cut=anew, anew=anew)
            # Once more: something may have been written between the last look and the rename.
            if os.fstat(self._descriptor).st_size <= self._position:
                self._let_go()
                self._open()
                anew = True
                found = os.fstat(self._descriptor)
        left_out = self._catch_up(found.st_size)
        data = os.pread(self._descriptor, PIECE, self._position)
        self._remember()
        self._position += len(data)
        if self._midline:
            data = self._from_line_start(data)
        return Look(data, found.st_mtime, "", left_out, anew or bool(left_out), anew)

    def _open(self) -> None:
        try:
            # Without O_NONBLOCK, opening a FIFO waits for a writer.
            descriptor = os.open(self._path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError:
            self._skip = False
            raise
        self._descriptor = descriptor
        self._begin()
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode):
            raise OSError(0, "not a regular file")
        if self._skip:
            self._skip = False
            self._jump(found.st_size)
        self._known = True

    def _begin(self) -> None:
        self._position = 0
        self._head = b""
        self._midline = False

    def _jump(self, position: int) -> None:
        """Go on at a position, from the first line that begins there or after it."""
        assert self._descriptor is not None  # noqa: S101 - the caller opened it
        self._remember()
        self._position = position
        self._midline = position > 0 and os.pread(self._descriptor, 1, position - 1) not in (b"\n", b"\r")

    def _remember(self) -> None:
        if len(self._head) < _HEAD:
            assert self._descriptor is not None  # noqa: S101 - the caller opened it
            self._head = os.pread(self._descriptor, _HEAD, 0)

    def _same(self) -> bool:
        """Whether the file still begins as it did: one that was cut and is longer again does not."""
        assert self._descriptor is not None  # noqa: S101 - the caller opened it
        return not self._head or os.pread(self._descriptor, len(self._head), 0) == self._head

    def _replaced(self, found: os.stat_result) -> bool:
        """Whether another file stands under the path; when none does, more may still come into this one for a while."""
        try:
            there = Path(self._path).stat()
        except OSError:
            return found.st_nlink == 0 and time.time() - found.st_mtime > _DELETED
        return (there.st_dev, there.st_ino) != (found.st_dev, found.st_ino)

    def _catch_up(self, size: int) -> int:
        """Pass over what is too far behind; the number of lines that were."""
        if size - self._position <= BEHIND:
            return 0
        assert self._descriptor is not None  # noqa: S101 - the caller opened it
        lines, position, until = 0, self._position, size - KEPT
        while position < until and (data := os.pread(self._descriptor, min(_COUNTED, until - position), position)):
            lines += data.count(b"\n")
            position += len(data)
        self._jump(position)
        return lines + self._midline

    def _from_line_start(self, data: bytes) -> bytes:
        ends = [end for end in (data.find(b"\n"), data.find(b"\r")) if end >= 0]
        if not ends:
            return b""
        self._midline = False
        return data[min(ends) + 1 :]
