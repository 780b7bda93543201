"""Structured logging: logfmt or JSON lines on standard error. Nothing else configures logging.

Fields travel in `extra={"fields": {...}}`, so that a message stays a constant and values can be searched.
"""

import json
import logging
import os
import select
import sys
import time
from typing import Any, Literal, TextIO, get_args

Format = Literal["logfmt", "json"]
FORMATS: tuple[Format, ...] = get_args(Format)
LEVELS = ("debug", "info", "warning", "error")

#: Seconds a line waits for a reader that is behind; once one was lost, the next do not wait.
_PATIENCE = 0.02
#: Bytes written at once: what a pipe that can be written to takes without waiting (PIPE_BUF of Linux).
_PIECE = 4096


def configure(level: str = "info", form: Format = "logfmt", stream: TextIO | None = None) -> None:
    """Send all records at `level` and above to `stream` (standard error by default). A stream that cannot be written
    to never stops the program, and one that nobody reads never holds it up: lines are lost then, and counted.
    """
    stream = stream or sys.stderr
    # There is none when it was closed from the start.
    handler: logging.Handler = logging.NullHandler() if stream is None else _Handler(stream)
    handler.setFormatter(_Logfmt() if form == "logfmt" else _Json())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    logging.raiseExceptions = False
    # aiohttp's access log and asyncio's slow-callback lines would drown ours.
    logging.getLogger("aiohttp.access").setLevel(logging.WARNING)
    # At debug botocore writes down what it signs, session tokens included.
    logging.getLogger("botocore").setLevel(logging.WARNING)


def event(logger: logging.Logger, level: int, message: str, **fields: Any) -> None:
    """Log a constant message with searchable fields."""
    logger.log(level, message, extra={"fields": fields})


class _Handler(logging.StreamHandler[TextIO]):
    """Writes to a file descriptor where the stream has one, and never waits there for long."""

    def __init__(self, stream: TextIO) -> None:
        super().__init__(stream)
        self._lost = 0
        self._torn = False
        try:
            self._file: int | None = stream.fileno()
        except (OSError, ValueError):
            self._file = None  # in memory

    def emit(self, record: logging.LogRecord) -> None:
        if self._file is None:
            super().emit(record)
            return
        try:
            text = f"{self.format(record)}\n"
            if self._lost:
                text = f"{self.format(_losses(self._lost))}\n{text}"
            self.flush()
            self._write(self._file, text.encode(errors="backslashreplace"))
        except Exception:
            self.handleError(record)

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - the base class's name
        """A closed or full log pipe is the reader's trouble, not a reason to fail."""

    def _write(self, file: int, data: bytes) -> None:
        if self._torn:
            data = b"\n" + data
        for start in range(0, len(data), _PIECE):
            if not select.select([], [file], [], 0 if self._lost else _PATIENCE)[1]:
                self._lost += 1
                self._torn = self._torn or start > 0
                return
            os.write(file, data[start : start + _PIECE])
        self._lost, self._torn = 0, False


def _losses(count: int) -> logging.LogRecord:
    record = logging.LogRecord(__name__, logging.WARNING, __file__, 0, "log lines lost: nobody read them", None, None)
    record.fields = {"lines": count}
    return record


def _fields(record: logging.LogRecord, formatter: logging.Formatter) -> dict[str, Any]:
    stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
    fields: dict[str, Any] = {
        "ts": f"{stamp}.{int(record.msecs):03d}Z",
        "level": record.levelname.lower(),
        "msg": record.getMessage(),
        "logger": record.name,
    }
    fields |= getattr(record, "fields", {})
    if record.exc_info:
        fields["error"] = formatter.formatException(record.exc_info)
    return fields


class _Json(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        return json.dumps(_fields(record, self), default=str, ensure_ascii=False)


class _Logfmt(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        return " ".join(f"{key}={_quote(value)}" for key, value in _fields(record, self).items())


def _quote(value: Any) -> str:
    text = str(value)
    if text and text.isprintable() and not any(char in ' "=' for char in text):
        return text
    return json.dumps(text, ensure_ascii=False)
