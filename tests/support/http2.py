"""HTTP/2 frame by frame, as a gRPC server says it, and a peer that says what it is told to say."""

import asyncio
import socket
from collections.abc import Iterable
from contextlib import suppress

from exporter.transport import frames

#: Bytes to say, seconds to wait, or None to reset the connection.
Step = bytes | float | None


def frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    return len(payload).to_bytes(3, "big") + bytes([kind, flags]) + stream.to_bytes(4, "big") + payload


def fields(*pairs: tuple[bytes, bytes], status: int = 200) -> bytes:
    """A header block without compression."""
    block = b"\x88" if status == 200 else b"\x08\x03%d" % status
    for name, value in pairs:
        block += b"\x00" + bytes([len(name)]) + name + bytes([len(value)]) + value
    return block


END_STREAM, END_HEADERS = frames.END_STREAM, frames.END_HEADERS
GREETING = frame(frames.SETTINGS, 0, 0)
GRPC = (b"content-type", b"application/grpc")
HEADERS = frame(frames.HEADERS, END_HEADERS, 1, fields(GRPC))
MESSAGE = frame(frames.DATA, 0, 1, b"\0\0\0\0\2ok")


def trailers(*pairs: tuple[bytes, bytes]) -> bytes:
    block = b"".join(b"\x00" + bytes([len(name)]) + name + bytes([len(value)]) + value for name, value in pairs)
    return frame(frames.HEADERS, END_HEADERS | END_STREAM, 1, block)


class Peer:
    """Greets, waits for a call, says its `script`, and closes. No greeting: it does not wait for a call either."""

    def __init__(self, script: Iterable[Step] = (), greeting: bytes = GREETING) -> None:
        self.port = 0
        self.greeting = greeting
        self.script = script
        self.heard = b""
        self.over = asyncio.Event()
        self.going: set[asyncio.StreamWriter] = set()

    async def talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.going.add(writer)
        with suppress(ConnectionError, RuntimeError):  # uvloop has the latter for what is closed
            await self.converse(reader, writer)
            # What was not read would make a reset of the close, and the other side would hear that.
            if not writer.transport.is_closing():
                writer.write_eof()
            while await reader.read(65536):
                pass
        writer.close()
        self.going.discard(writer)

    async def converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(self.greeting)
        seen = frames.Frames(frames.PREFACE)
        called = not self.greeting
        while not called and (data := await reader.read(65536)):
            self.heard += data
            called = any(frame.kind == frames.HEADERS for frame in list(seen.feed(data)) if frame.whole)
        for step in self.script:
            if step is None:
                writer.transport.get_extra_info("socket").setsockopt(
                    socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0"
                )
                writer.transport.abort()
            elif isinstance(step, bytes):
                writer.write(step)
                await writer.drain()
            else:
                with suppress(TimeoutError):
                    await asyncio.wait_for(self.over.wait(), step)
