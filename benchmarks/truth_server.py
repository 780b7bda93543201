"""A model server that knows the truth: it notes when it was asked and when it sent each piece of its answer.

    python -m benchmarks.truth_server          prints its port; `report FILE` on standard input writes what it noted

The path says what to do, in milliseconds: `/FIRST.GAP.MORE` sends the head and the first piece FIRST after the request,
and MORE pieces GAP apart; `/bPERIOD.OFFSET` answers all at once, OFFSET after the next multiple of PERIOD. A POST gets
tokens as server-sent events of OpenAI's API, anything else bytes of a body. Stamps are of CLOCK_MONOTONIC, which all
processes of a machine share. When a request came is for the kernel to say: that this server was late to read it is no
fault of who asked. Linux only.
"""

import asyncio
import gc
import json
import socket
import struct
import sys
from collections.abc import Iterable
from time import perf_counter, time
from typing import Any, NamedTuple

TOKEN = {"id": "1", "object": "chat.completion.chunk", "model": "m"}
HEAD = "HTTP/1.1 200 OK\r\nContent-Type: "
END = b"0\r\n\r\n"


class Asked(NamedTuple):
    """One request. `accepted` is None on a connection that was open already; `received` is the kernel's stamp, `sent`
    has one for each piece, taken before it was handed to the kernel.
    """

    trace: str
    what: str
    accepted: float | None
    received: float
    sent: list[float]


#: Everything that was asked and answered since the last report.
asked: list[Asked] = []


def _event(choice: dict[str, Any]) -> bytes:
    data = b"data: " + json.dumps({**TOKEN, "choices": [{"index": 0, **choice}]}).encode() + b"\n\n"
    return b"%x\r\n%s\r\n" % (len(data), data)


SAYS = "This is what a model says when nobody wants to know anything of it at all today."
EVENTS = [_event({"delta": {"content": f"{word} "}, "finish_reason": None}) for word in SAYS.split()]
LAST = _event({"delta": {}, "finish_reason": "stop"}) + b"e\r\ndata: [DONE]\n\n\r\n" + END


#: Linux's SO_TIMESTAMPNS, which is what the stamp beside the bytes is called, too; and a `struct timespec`.
STAMPS, TIMESPEC = 35, struct.Struct("@ll")


def arrived(beside: Iterable[tuple[int, int, bytes]]) -> float:
    """The kernel's stamp, of real time, on the clock of all others; now, where there is none."""
    real, now = time(), perf_counter()  # in this order: a pause between them makes the truth no longer than it was
    for level, kind, data in beside:
        if (level, kind) == (socket.SOL_SOCKET, STAMPS):
            seconds, nanoseconds = TIMESPEC.unpack_from(data)
            return now - (real - seconds - nanoseconds / 1e9)
    return now


class Talk:
    """One connection. All it writes is small, and fits into what the kernel keeps for a socket."""

    def __init__(self, sock: socket.socket) -> None:
        self.accepted: float | None = perf_counter()
        self.sock = sock
        self.buffer = b""
        self.received = 0.0
        asyncio.get_running_loop().add_reader(sock, self.readable)

    def readable(self) -> None:
        """Bytes came, or the end."""
        try:
            data, beside, _, _ = self.sock.recvmsg(65536, socket.CMSG_SPACE(TIMESPEC.size))
        except OSError:
            data = b""
        if data:
            self.take(arrived(beside), data)
        else:
            asyncio.get_running_loop().remove_reader(self.sock)
            self.sock.close()

    def take(self, at: float, data: bytes) -> None:
        """A part of a request."""
        if not self.buffer:
            self.received = at
        self.buffer += data
        head, end, body = self.buffer.partition(b"\r\n\r\n")
        if not end:
            return
        headers = dict(line.lower().split(": ", 1) for line in head.decode("latin-1").split("\r\n")[1:])
        if len(body) < int(headers.get("content-length", 0)):
            return
        self.buffer = b""
        method, path, _ = head.split(b" ", 2)
        what = path.decode().split("/")[1]
        numbers = [float(part) / 1000 for part in what.removeprefix("b").split(".")]
        if what.startswith("b"):
            period, offset = numbers
            numbers = [period - (self.received - offset) % period]
        first, gap, more = (*numbers, 0.0, 0.0)[:3]
        trace = headers.get("traceparent", "--").split("-")[1]
        stream = method == b"POST"
        note = Asked(trace, f"s{what}" if stream else what, self.accepted, self.received, [])
        self.accepted = None
        self._answer(note, stream, self.received + first, gap, round(more * 1000))

    def _answer(self, note: Asked, stream: bool, at: float, gap: float, more: int) -> None:
        head = f"{HEAD}text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
        if not stream:
            head = f"{HEAD}text/plain\r\nContent-Length: {1 + more}\r\n\r\n"
        pieces = [EVENTS[i % len(EVENTS)] for i in range(1 + more)] if stream else [b"x"] * (1 + more)
        pieces[0] = head.encode() + pieces[0]
        pieces[-1] += LAST if stream else b""
        self._send(note, pieces, at, gap)

    def _send(self, note: Asked, pieces: list[bytes], at: float, gap: float) -> None:
        wait = at - perf_counter()
        if wait > 0:
            asyncio.get_running_loop().call_later(wait, self._send, note, pieces, at, gap)
        elif self.sock.fileno() >= 0:
            note.sent.append(perf_counter())
            try:
                self.sock.send(pieces.pop(0))
            except OSError:
                return
            if pieces:
                self._send(note, pieces, at + gap, gap)
            else:
                asked.append(note)


def _told(line: str) -> None:
    """`report FILE`."""
    _, path = line.split()
    with open(path, "w") as file:
        json.dump(asked, file)
    asked.clear()
    print("ok", flush=True)


async def main() -> None:
    loop = asyncio.get_running_loop()
    listener = socket.create_server(("127.0.0.1", 0), backlog=4096)
    listener.setsockopt(socket.SOL_SOCKET, STAMPS, 1)  # and so has each connection
    listener.setblocking(False)

    def accept() -> None:
        try:
            while True:
                sock, _ = listener.accept()
                sock.setblocking(False)
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                Talk(sock)
        except OSError:
            return

    loop.add_reader(listener, accept)
    loop.add_reader(0, lambda: _told(line) if (line := sys.stdin.readline()) else sys.exit(0))
    gc.collect()
    gc.freeze()
    gc.disable()
    print(listener.getsockname()[1], flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    try:
        from uvloop import run
    except ImportError:
        run = asyncio.run
    run(main())
