"""What a source tells, collected."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress

from exporter.training.sources import Event, Pause, Source, Text, Values
from exporter.transport import Transport


class Told:
    """Every event so far."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.ended = False

    @property
    def text(self) -> str:
        """All bytes."""
        return b"".join(event.data for event in self.events if isinstance(event, Text)).decode()

    @property
    def lines(self) -> list[str]:
        """All whole lines."""
        return self.text.split("\n")[:-1]

    @property
    def pauses(self) -> list[str]:
        """Why there was nothing to read."""
        return [event.why for event in self.events if isinstance(event, Pause)]

    @property
    def values(self) -> list[Values]:
        """What a tracking server told."""
        return [event for event in self.events if isinstance(event, Values)]

    def of(self, kind: type[Event]) -> list[Event]:
        """Events of one kind."""
        return [event for event in self.events if isinstance(event, kind)]

    async def until(self, what: Callable[["Told"], object], within: float = 10.0) -> None:
        """Wait until something is so."""
        with suppress(TimeoutError):
            async with asyncio.timeout(within):
                while not what(self):
                    await asyncio.sleep(0.01)
        assert what(self), self.events[-20:]


@asynccontextmanager
async def reading(source: Source, transport: Transport | None = None) -> AsyncIterator[Told]:
    """Reads a source while the block runs."""
    told, own = Told(), transport or Transport(user_agent="model-exporter/test")

    async def read() -> None:
        events = source.events(own)
        try:
            async for event in events:
                told.events.append(event)
        finally:
            await events.aclose()
        told.ended = True

    task = asyncio.create_task(read())
    try:
        yield told
        if task.done():
            task.result()
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        if transport is None:
            await own.close()
