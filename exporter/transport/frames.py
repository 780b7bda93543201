"""HTTP/2 frames as they pass by (RFC 9113, 4.1): whose they are and where they end, and nothing of what they say."""

from collections.abc import Iterator
from typing import NamedTuple

DATA, HEADERS, RST_STREAM, SETTINGS, GOAWAY, CONTINUATION = 0x0, 0x1, 0x3, 0x4, 0x7, 0x9
END_STREAM, END_HEADERS = 0x1, 0x4

#: Bytes a client sends before its first frame.
PREFACE = 24
#: Bytes in front of each frame's payload.
HEAD = 9
#: Bytes of a payload that are kept: as many as are in front of a message of gRPC.
FIRST = 5


class Frame(NamedTuple):
    """One frame; `length` is its payload's, in bytes. Told twice: when its head is there, and when it is `whole`.

    `first` is the beginning of the payload, known once it is whole.
    """

    kind: int
    flags: int
    stream: int
    length: int
    whole: bool
    first: bytes = b""


class Frames:
    """Cuts one direction of a connection into frames, however its bytes come."""

    __slots__ = ("_frame", "_head", "_left")

    def __init__(self, skip: int = 0) -> None:
        self._head = bytearray()
        self._left = skip
        self._frame: Frame | None = None

    def feed(self, data: bytes | memoryview) -> Iterator[Frame]:
        """The frames that begin or end in `data`, in order. To be taken to its end, or never used again."""
        at, size = 0, len(data)
        while at < size:
            if self._left:
                step = min(self._left, size - at)
                if self._frame is not None and len(self._frame.first) < FIRST:
                    known = self._frame.first
                    self._frame = self._frame._replace(first=known + data[at : at + min(step, FIRST - len(known))])
                self._left -= step
                at += step
                if not self._left and self._frame is not None:
                    yield self._frame
                continue
            part = data[at : at + HEAD - len(self._head)]
            self._head += part
            at += len(part)
            if len(self._head) == HEAD:
                yield from self._begun()

    def _begun(self) -> Iterator[Frame]:
        head = self._head
        self._left = int.from_bytes(head[:3], "big")
        frame = Frame(head[3], head[4], int.from_bytes(head[5:], "big") & 0x7FFFFFFF, self._left, False)
        head.clear()
        self._frame = frame._replace(whole=True)
        yield frame
        if not self._left:
            yield self._frame
