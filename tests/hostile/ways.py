"""How answers are made: bytes by hand, and coroutines for those that take their time."""

import asyncio
import socket
import struct
from asyncio import StreamReader, StreamWriter
from collections.abc import Awaitable, Callable

Handler = Callable[[StreamReader, StreamWriter, bytes], Awaitable[None]]

#: What every request carries, and some answers: it must appear nowhere.
SECRET = "s3cr3t-hostile-bearer"
#: Floods write this much, then let others have their turn.
BURST = 131072
PAUSE = 0.005


def plain(body: bytes = b"ok", *headers: str, status: str = "200 OK", kind: str = "text/plain") -> bytes:
    lines = [f"HTTP/1.1 {status}", f"Content-Type: {kind}", f"Content-Length: {len(body)}", *headers, "", ""]
    return "\r\n".join(lines).encode("latin-1") + body


def head(*headers: str, status: str = "200 OK") -> bytes:
    return "\r\n".join([f"HTTP/1.1 {status}", *headers, "", ""]).encode("latin-1")


def jsonish(body: bytes) -> bytes:
    return plain(body, kind="application/json")


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


def reset(writer: StreamWriter) -> None:
    """End a connection as a kernel does that knows of none."""
    raw = writer.get_extra_info("socket")
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


def drip(data: bytes, first: bytes = b"", every: float = 0.02) -> Handler:
    """One byte at a time: no read ever times out."""

    async def handler(reader: StreamReader, writer: StreamWriter, request: bytes) -> None:
        writer.write(first)
        for byte in data * 1000:
            writer.write(bytes([byte]))
            await writer.drain()
            await asyncio.sleep(every)

    return handler


def endless(data: bytes, first: bytes = b"") -> Handler:
    """As much as the other side takes."""
    burst = data * max(1, BURST // len(data))

    async def handler(reader: StreamReader, writer: StreamWriter, request: bytes) -> None:
        writer.write(first)
        while True:
            writer.write(burst)
            await writer.drain()
            await asyncio.sleep(PAUSE)

    return handler


def then_hang(data: bytes) -> Handler:
    async def handler(reader: StreamReader, writer: StreamWriter, request: bytes) -> None:
        writer.write(data)
        await reader.read()

    return handler


def then_close(data: bytes) -> Handler:
    async def handler(reader: StreamReader, writer: StreamWriter, request: bytes) -> None:
        writer.write(data)
        await writer.drain()
        writer.close()

    return handler


def then_reset(data: bytes) -> Handler:
    async def handler(reader: StreamReader, writer: StreamWriter, request: bytes) -> None:
        writer.write(data)
        await writer.drain()
        await asyncio.sleep(0.02)
        reset(writer)

    return handler


def in_segments(first: bytes, *parts: bytes) -> Handler:
    """Chunks whose size, data and end each come by themselves."""

    async def handler(reader: StreamReader, writer: StreamWriter, request: bytes) -> None:
        for piece in (
            first,
            *(piece for part in parts for piece in (b"%x\r\n" % len(part), part, b"\r\n")),
            b"0\r\n\r\n",
        ):
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(0.005)
        await reader.read()

    return handler


def then_stray(data: bytes, stray: bytes) -> Handler:
    """A good answer, and a moment later bytes that nobody asked for."""

    async def handler(reader: StreamReader, writer: StreamWriter, request: bytes) -> None:
        writer.write(data)
        await asyncio.sleep(0.02)
        writer.write(stray)
        await reader.read()

    return handler
