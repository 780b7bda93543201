"""Text that came from a peer, made safe to keep: for labels, and for people."""

import re
import unicodedata

from exporter.model.text import LABEL_BYTES, label

__all__ = ["LABEL_BYTES", "QUOTE", "label", "quote"]

#: Characters of an answer that a detail may quote.
QUOTE = 200

_CREDENTIAL = re.compile(r"(?i)\b(bearer|basic)\s+[A-Za-z0-9._~+/=-]{6,}")


def quote(text: str, limit: int = QUOTE) -> str:
    """Text for people: one line of at most `limit` characters. What looks like a credential sent back is hidden."""
    start = "".join(" " if _control(char) else char for char in text[: 4 * limit])
    line = _CREDENTIAL.sub(r"\1 <hidden>", " ".join(start.split()))
    line = line.encode("utf-8", "replace").decode()
    return line if len(line) <= limit else line[: limit - 3] + "..."


def _control(char: str) -> bool:
    # Cf holds the marks that reorder what people read; U+2028 and U+2029 break lines.
    return unicodedata.category(char) in ("Cc", "Cf", "Zl", "Zp")
