"""Bytes of a log in, its lines out."""

import re
from typing import Final

#: Bytes a line may have. What is longer is no line of a trainer, and half of it could hold half of a number.
MAX_LINE: Final = 16_384

_ENDS: Final = bytes.maketrans(b"\r", b"\n")
#: Control characters, but for the tab, what ends lines, and what begins (ESC) or ends (BEL) escapes. Keras draws over
#: its bar with backspaces, and a log that was cut while its writer went on has a hole of NULs.
_CONTROLS: Final = bytes({*range(32), 127} - {*b"\t\n\r\x1b\x07"})
#: ECMA-48: control sequences (colours, moves of the cursor), strings (titles, links), and the short escapes.
_ESCAPE: Final = re.compile(rb"\x1b(?:\[[0-?]*[ -/]*[@-~]|[\]PX^_][^\x07\x1b]*(?:\x07|\x1b\\)?|[ -/]*[0-~])?|\x07")


class Lines:
    r"""Cuts a log into lines. Where the bytes are cut that it is fed with changes nothing; it holds one line at most.

    `\n`, `\r\n` and `\r` alone end a line (progress bars are redrawn after `\r`); blank lines are left out. ANSI
    escapes and control characters are taken out, invalid UTF-8 becomes U+FFFD. A line above MAX_LINE bytes is left out
    whole and counted in `skipped`.
    """

    __slots__ = ("skipped", "_begun", "_overlong")

    def __init__(self) -> None:
        #: Lines left out so far because they were too long.
        self.skipped = 0
        #: Of the line that nothing has ended yet.
        self._begun = b""
        self._overlong = False

    def feed(self, data: bytes) -> list[str]:
        """The lines that these bytes end."""
        # A carriage return at the end and a line feed at the next beginning make a blank line, which is left out.
        found = data.translate(_ENDS, _CONTROLS).split(b"\n")
        self._begin(found[0])
        if len(found) == 1:
            return []
        found[0] = self._begun
        last = found.pop()
        self._begun, self._overlong = b"", False
        self._begin(last)
        if len(data) > MAX_LINE and max(map(len, found)) > MAX_LINE:
            kept = [line for line in found if len(line) <= MAX_LINE]
            self.skipped += len(found) - len(kept)
            found = kept
        return _texts(found)

    def end(self) -> list[str]:
        """The last line where nothing ended it; afterwards it is as new, `skipped` aside."""
        begun, self._begun, self._overlong = self._begun, b"", False
        return _texts([begun]) if begun else []

    def _begin(self, data: bytes) -> None:
        """More of the line that nothing has ended yet."""
        if self._overlong:
            return
        self._begun += data
        if len(self._begun) > MAX_LINE:
            self.skipped += 1
            self._begun, self._overlong = b"", True


def _texts(lines: list[bytes]) -> list[str]:
    text = b"\n".join(lines)
    if b"\x1b" in text or b"\x07" in text:
        text = b"\n".join([_ESCAPE.sub(b"", line) for line in lines])
    return [line for line in text.decode(errors="replace").split("\n") if line and not line.isspace()]
