"""The least that can measure: a bare asyncio client, stamped in the callback that reads, and nothing beside it.

    python -m benchmarks.null_engine PORT RATE CLASS... > RECORDS          until it is ended

It asks the truth server at a low rate, one class after the other, a new connection each. How wrong its times are is the
machine's share of the error: what any client would suffer that was measured there at that moment.
"""

import asyncio
import gc
import json
import sys
from random import getrandbits
from time import perf_counter
from typing import cast


class Probe(asyncio.Protocol):
    """One request; `done` has what was measured, as a sink of the exporter would name it."""

    def __init__(self, what: str, began: float) -> None:
        self.what, self.began = what, began
        self.stream = what.startswith("s")
        self.trace = f"{getrandbits(128):032x}"
        self.first = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        made = perf_counter()
        self.transport = cast(asyncio.Transport, transport)  # uvloop's are none by inheritance
        self.connect = made - self.began
        path = self.what.removeprefix("s")
        method = "POST" if self.stream else "GET"
        request = f"{method} /{path}/ HTTP/1.1\r\nHost: t\r\ntraceparent: 00-{self.trace}-{self.trace[:16]}-01\r\n\r\n"
        self.t0 = perf_counter()
        self.transport.write(request.encode())
        self.left = 0 if self.stream else -1

    def data_received(self, data: bytes) -> None:
        at = perf_counter()
        if not self.first:
            self.first = at
            if not self.stream:
                head, _, body = data.partition(b"\r\n\r\n")
                self.left = int(head.rpartition(b": ")[2])
                data = body
        if self.stream:
            if not data.endswith(b"0\r\n\r\n"):
                return
        else:
            self.left -= len(data)
            if self.left:
                return
        phases = {"connect": self.connect, "first_byte": self.first - self.t0, "transfer": at - self.first}
        told = {"trace_id": self.trace, "duration_seconds": at - self.began, "phases_seconds": phases}
        print(json.dumps(told), flush=True)
        self.transport.abort()


async def main(port: int, rate: float, classes: list[str]) -> None:
    loop = asyncio.get_running_loop()
    gc.collect()
    gc.freeze()
    number, start = 0, perf_counter()
    while True:
        began = perf_counter()
        what = classes[number % len(classes)]
        await loop.create_connection(lambda: Probe(what, began), "127.0.0.1", port)  # noqa: B023
        number += 1
        await asyncio.sleep(max(0.0, start + number / rate - perf_counter()))


if __name__ == "__main__":
    try:
        from uvloop import run
    except ImportError:
        run = asyncio.run
    run(main(int(sys.argv[1]), float(sys.argv[2]), sys.argv[3:]))
