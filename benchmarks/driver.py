"""Ask blackbox_exporter for one probe after another at a steady rate: driver.py PORT RATE < URLS.

It stands in for Prometheus: connections are kept alive, answers are read whole. Its own cost is charged to nobody.
"""

import asyncio
import collections
import gc
import sys
import time
from urllib.parse import quote

import httptools


class Connection(asyncio.Protocol):
    """One kept-alive connection; `done` is called when it is free again."""

    def __init__(self, free: "collections.deque[Connection]") -> None:
        self._free = free
        self._transport: asyncio.Transport | None = None
        self._parser = httptools.HttpResponseParser(self)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._free.append(self)

    def ask(self, request: bytes) -> None:
        assert self._transport is not None
        self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_message_complete(self) -> None:
        assert self._parser.get_status_code() == 200
        self._parser = httptools.HttpResponseParser(self)
        self._free.append(self)


async def main(port: int, rate: float, urls: list[str]) -> None:
    requests = [
        f"GET /probe?target={quote(url, safe='')}&module=http_2xx HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n"
        "Accept: text/plain;version=0.0.4\r\nAccept-Encoding: gzip\r\nX-Prometheus-Scrape-Timeout-Seconds: 5\r\n\r\n"
        for url in urls
    ]
    encoded = [request.encode() for request in requests]
    free: collections.deque[Connection] = collections.deque()
    loop = asyncio.get_running_loop()
    for _ in range(32):
        await loop.create_connection(lambda: Connection(free), "127.0.0.1", port)
    started, sent = time.perf_counter(), 0
    gc.freeze()
    while True:
        due = int((time.perf_counter() - started) * rate)
        while sent < due and free:
            free.popleft().ask(encoded[sent % len(encoded)])
            sent += 1
        await asyncio.sleep(0.002)


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), float(sys.argv[2]), sys.stdin.read().split()))
