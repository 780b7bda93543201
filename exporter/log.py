"""Structured logging: logfmt or JSON lines on standard error. Nothing else configures logging.

Fields travel in `extra={"fields": {...}}`, so that a message stays a constant and values can be searched.
"""

import json
import logging
import sys
import time
from typing import Any, Literal, TextIO

Format = Literal["logfmt", "json"]
LEVELS = ("debug", "info", "warning", "error")


def configure(level: str = "info", form: Format = "logfmt", stream: TextIO | None = None) -> None:
    """Send all records at `level` and above to `stream` (standard error by default). A stream that cannot be written
    to never stops the program.
    """
    handler = _Handler(stream or sys.stderr)
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
    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - the base class's name
        """A closed or full log pipe is the reader's trouble, not a reason to fail."""


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
