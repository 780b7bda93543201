"""Files that are there whole or not at all."""

import contextlib
import json
import os
import tempfile
from pathlib import Path
from typing import Any


def save(path: str, document: Any) -> None:
    """Write a document as JSON in place of the file at `path`. Raises OSError; the old file then stays."""
    data = json.dumps(document, ensure_ascii=False, allow_nan=False, indent=1).encode("utf-8", "replace") + b"\n"
    target = Path(path)
    descriptor, name = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
    try:
        with open(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
            os.fchmod(file.fileno(), 0o644)
        Path(name).replace(target)
    except BaseException:
        with contextlib.suppress(OSError):
            Path(name).unlink()
        raise
    folder = os.open(target.parent, os.O_RDONLY)
    try:
        os.fsync(folder)  # else the name may be lost with the power
    finally:
        os.close(folder)
