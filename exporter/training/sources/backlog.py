"""Between a stream that comes by itself and who reads it: bounded, and what is too much for too long is left out."""

import asyncio
import time
from collections import deque
from collections.abc import AsyncGenerator
from contextlib import aclosing

from exporter.training.sources import Event, Gap, Text

#: Bytes that wait to be read.
LIMIT = 1_000_000
#: Seconds a sender is held up: it may have a whole log to tell at first. After that the oldest is left out.
PATIENCE = 30.0


class Backlog:
    """Hands events on, in order. Only text is ever left out, and a gap says so."""

    def __init__(self, limit: int = LIMIT, patience: float = PATIENCE) -> None:
        self._limit = limit
        self._patience = patience
        self._waiting: deque[Event] = deque()
        self._size = 0
        #: Since when there was always more than had been read; None: all was, at some moment.
        self._behind_since: float | None = None
        self._midline = False
        self._came = asyncio.Event()
        self._went = asyncio.Event()

    async def through(self, events: AsyncGenerator[Event, None]) -> AsyncGenerator[Event, None]:
        """The same events. What they raise is raised here, after what came before it."""
        reading = asyncio.create_task(self._read(events))
        reading.add_done_callback(lambda _: self._came.set())
        try:
            while True:
                while self._waiting:
                    event = self._waiting.popleft()
                    if isinstance(event, Text):
                        self._size -= len(event.data)
                    self._went.set()
                    yield event
                self._behind_since = None
                if reading.done():
                    reading.result()
                    return
                self._came.clear()
                await self._came.wait()
        finally:
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)

    async def _read(self, events: AsyncGenerator[Event, None]) -> None:
        async with aclosing(events):
            async for event in events:
                if isinstance(event, Text):
                    await self._make_room()
                    event = self._from_line_start(event)
                    self._size += len(event.data)
                elif isinstance(event, Gap):
                    self._midline = False
                self._waiting.append(event)
                self._came.set()

    async def _make_room(self) -> None:
        while self._size >= self._limit:
            now = time.monotonic()
            if self._behind_since is None:
                self._behind_since = now
            left = self._behind_since + self._patience - now
            if left <= 0:
                self._leave_out()
                return
            self._went.clear()
            try:
                async with asyncio.timeout(left):
                    await self._went.wait()
            except TimeoutError:
                continue

    def _leave_out(self) -> None:
        """All text that waits; what comes next begins in the middle of a line."""
        kept: list[Event] = []
        lines = 0
        for event in self._waiting:
            if isinstance(event, Text):
                lines += event.data.count(b"\n")
                self._midline = not event.data.endswith(b"\n")
            else:
                kept.append(event)
        self._waiting.clear()
        self._waiting += [*kept, Gap(lines + self._midline)]
        self._size = 0

    def _from_line_start(self, text: Text) -> Text:
        if not self._midline:
            return text
        end = text.data.find(b"\n")
        if end < 0:
            return Text(b"", text.at)
        self._midline = False
        return Text(text.data[end + 1 :], text.at)
