"""Config files' bytes: read once and whole, or the reason why they cannot be used; and whether they changed."""

import codecs
import hashlib
import os
import re
import stat
from collections.abc import Sequence
from pathlib import Path

#: Bytes. A hundred thousand short targets fit; nothing sensible is larger.
MAX_FILE = 32_000_000

#: Times that several files are read again, at most: microseconds each, where what changes them needs milliseconds.
_READINGS = 10
#: What YAML does not allow in a stream.
_FORBIDDEN = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_KINDS = (
    (stat.S_ISDIR, "a directory"),
    (stat.S_ISFIFO, "a FIFO"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)


class SourceError(Exception):
    """A file that cannot be used, with line and column from 1."""

    def __init__(self, message: str, line: int = 1, column: int = 1) -> None:
        super().__init__(message)
        self.message, self.line, self.column = message, line, column


def read_file(path: Path) -> bytes:
    """UTF-8 text of a regular file, without a byte order mark. Opened once, never blocks. Raises `SourceError`."""
    try:
        # Without O_NONBLOCK, opening a FIFO waits for a writer.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise SourceError(f"cannot be opened: {error.strerror}") from None
    except ValueError:
        raise SourceError("cannot be opened: the path holds a NUL byte") from None
    try:
        mode = os.fstat(descriptor).st_mode
        for matches, kind in _KINDS:
            if matches(mode):
                raise SourceError(f"is {kind}; allowed: a regular file")
        with open(descriptor, "rb", closefd=False) as file:
            data = file.read(MAX_FILE + 1)
    except OSError as error:
        raise SourceError(f"cannot be read: {error.strerror}") from None
    finally:
        os.close(descriptor)
    return check(data)


def read_together(paths: Sequence[Path]) -> list[bytes | SourceError]:
    """Every file, or why it cannot be used; several as they stood at one moment, though a ConfigMap is swapped
    meanwhile: they are read until they are what they were.
    """
    found = [_read_or_error(path) for path in paths]
    if len(paths) > 1:
        for _ in range(_READINGS):
            before, found = found, [_read_or_error(path) for path in paths]
            if _alike(before, found):
                break
    return found


def _alike(before: Sequence[bytes | SourceError], after: Sequence[bytes | SourceError]) -> bool:
    return all(
        one == other if isinstance(one, bytes) else isinstance(other, SourceError)
        for one, other in zip(before, after, strict=True)
    )


def _read_or_error(path: Path) -> bytes | SourceError:
    try:
        return read_file(path)
    except SourceError as error:
        return error


def check(data: bytes) -> bytes:
    """The bytes as the reader takes them. Raises `SourceError` for size and encoding."""
    if len(data) > MAX_FILE:
        raise SourceError(f"is larger than the size limit of {MAX_FILE // 1_000_000}MB")
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise SourceError("encoding is UTF-16 (byte order mark at offset 0); allowed: UTF-8")
    data = data.removeprefix(codecs.BOM_UTF8)
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        line, column = _place(data[: error.start])
        raise SourceError(f"encoding is not UTF-8 (byte offset {error.start}); allowed: UTF-8", line, column) from None
    if match := _FORBIDDEN.search(text):
        before = text[: match.start()].encode()
        name = "a NUL byte" if match[0] == "\0" else f"the control character U+{ord(match[0]):04X}"
        hint = "; is it UTF-16?" if match[0] == "\0" and data.count(b"\0") > len(data) // 4 else ""
        line, column = _place(before)
        message = f"encoding: found {name} at byte offset {len(before)}; allowed: UTF-8 text without it{hint}"
        raise SourceError(message, line, column)
    return data


def digest_of(paths: Sequence[Path]) -> bytes:
    """A digest of the files' content; a file that cannot be read counts as its error."""
    total = hashlib.sha256()
    for path in paths:
        try:
            content = path.read_bytes() if path.is_file() else b"not a file"
        except OSError as error:
            content = str(error).encode()
        total.update(hashlib.sha256(content).digest())
    return total.digest()


def _place(before: bytes) -> tuple[int, int]:
    line = before.count(b"\n") + 1
    return line, len(before.rpartition(b"\n")[2].decode(errors="replace")) + 1
