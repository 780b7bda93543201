"""A model server that knows the truth: it notes when it was asked and when it sent each piece of its answer.

    python -m benchmarks.truth_server          prints its port; `report FILE` on standard input writes what it noted

The path says what to do, in milliseconds: `/FIRST.GAP.MORE` sends the head and the first piece FIRST after the request,
and MORE pieces GAP apart; `/bPERIOD.OFFSET` answers all at once, OFFSET after the next multiple of PERIOD. A POST gets
tokens as server-sent events of OpenAI's API, anything else bytes of a body. Stamps are of CLOCK_MONOTONIC, which all
processes of a machine share.
"""

import asyncio
import gc
import json
import socket
import sys
from time import perf_counter
from typing import Any, NamedTuple, cast

TOKEN = {"id": "1", "object": "chat.completion.chunk", "model": "m"}
HEAD = "HTTP/1.1 200 OK\r\nContent-Type: "
END = b"0\r\n\r\n"


class Asked(NamedTuple):
    """One request. `accepted` is None on a connection that was open already; `sent` has a stamp for each piece, taken
    before it was handed to the kernel.
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


class Talk(asyncio.Protocol):
    """One connection."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.accepted: float | None = perf_counter()
        self.transport = cast(asyncio.Transport, transport)  # uvloop's are none by inheritance
        self.buffer = b""
        self.received = 0.0

    def data_received(self, data: bytes) -> None:
        at = perf_counter()
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
        elif not self.transport.is_closing():
            note.sent.append(perf_counter())
            self.transport.write(pieces.pop(0))
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
    server = await loop.create_server(Talk, sock=listener)
    loop.add_reader(0, lambda: _told(line) if (line := sys.stdin.readline()) else sys.exit(0))
    gc.collect()
    gc.freeze()
    gc.disable()
    print(listener.getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    try:
        from uvloop import run
    except ImportError:
        run = asyncio.run
    run(main())
