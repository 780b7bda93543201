"""Reads secrets at the moment of use: a rotated file is seen without a reload. Values appear in no message."""

import os
import stat
from pathlib import Path

from exporter.model.failure import Failure, Reason
from exporter.model.secret import Secret

#: A secret is a token, not a document.
MAX_BYTES = 65536

# Path -> (identity of the content as stat tells it, value). Bounded: on-demand probes may bring paths of their own.
_files: dict[str, tuple[tuple[int, int, int], str]] = {}
_MAX_FILES = 4096


def read(secret: Secret) -> str:
    """The secret's present value, without a trailing line break.

    Raises `Failure(auth)` that says where it was looked for, and never what was found.
    """
    if secret.source == "inline":
        return secret.where
    if secret.source == "env":
        value = os.environ.get(secret.where, "").rstrip("\r\n")
        if not value:
            raise Failure(Reason.AUTH, f"cannot read secret: environment variable {secret.where} is not set or empty")
        return _checked(value, f"environment variable {secret.where}")
    try:
        return _read_file(secret.where)
    except OSError as error:
        raise Failure(Reason.AUTH, f"cannot read secret: {secret.where}: {error.strerror}") from None


def _read_file(path: str) -> str:
    found = Path(path).stat()
    identity = (found.st_mtime_ns, found.st_size, found.st_ino)
    known = _files.get(path)
    if known is not None and known[0] == identity:
        return known[1]
    if not stat.S_ISREG(found.st_mode):
        raise Failure(Reason.AUTH, f"cannot read secret: {path} is not a regular file")
    with open(path, "rb") as file:
        content = file.read(MAX_BYTES + 1)
    if len(content) > MAX_BYTES:
        raise Failure(Reason.AUTH, f"cannot read secret: {path} is longer than {MAX_BYTES} bytes")
    try:
        value = content.decode().rstrip("\r\n")
    except UnicodeDecodeError:
        raise Failure(Reason.AUTH, f"cannot read secret: {path} is not UTF-8 text") from None
    if not value:
        raise Failure(Reason.AUTH, f"cannot read secret: {path} is empty")
    value = _checked(value, path)
    if len(_files) >= _MAX_FILES:
        _files.clear()
    _files[path] = (identity, value)
    return value


def _checked(value: str, where: str) -> str:
    if not value.isprintable() and any(ord(char) < 32 or ord(char) == 127 for char in value):
        raise Failure(Reason.AUTH, f"cannot read secret: {where} holds a control character")
    return value
