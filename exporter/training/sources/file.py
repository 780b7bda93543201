"""A log file that grows, on a volume that is shared with the trainer."""

import asyncio
import time
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import ClassVar, Literal

from exporter.training.sources import Anew, Event, Gap, Open, Pause, Text
from exporter.training.sources.tail import Look, Tail
from exporter.transport import Transport
from exporter.transport.thread import in_thread

#: Seconds between two looks at a file: the first while it grows; it doubles up to the second while it does not.
SOON, LATER = 0.1, 1.0


@dataclass(frozen=True, slots=True)
class File:
    """Implements `Source` for the file at `path`, which need not be there yet.

    `end` leaves out what is in it when it is opened for the first time; another file under its path is read whole.
    """

    pressing: ClassVar[bool] = False

    path: str
    start: Literal["beginning", "end"] = "beginning"

    @property
    def shown(self) -> str:
        """The path, as far as it is text."""
        return self.path.encode(errors="replace").decode()

    async def events(self, transport: Transport) -> AsyncGenerator[Event, None]:
        """See `Source`. Each look happens in a thread: a volume may hang."""
        tail = Tail(self.path, start=self.start)
        wait, missing = SOON, None
        try:
            while True:
                found = await _look(tail)
                if found.cut:
                    yield Gap(found.left_out)
                if found.anew:
                    yield Anew(sure=False)
                if found.missing != missing:
                    missing = found.missing
                    yield Pause(missing, reconnects=False) if missing else Open()
                if found.data:
                    yield Text(found.data, min(found.at, time.time()))
                    wait = SOON
                    continue
                await asyncio.sleep(wait)
                wait = min(LATER, wait * 2)
        finally:
            tail.close()


async def _look(tail: Tail) -> Look:
    try:
        return await in_thread(tail.look, "log file")
    except OSError as error:  # no thread to be had
        return Look(missing=error.strerror or "no thread")
