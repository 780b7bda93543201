"""What a program prints: one that we start, or one before us in a pipe."""

import asyncio
import logging
import os
import threading
import time
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass
from typing import ClassVar

from exporter import log
from exporter.model.training import Outcome
from exporter.training.sources import Ended, Event, Open, Text
from exporter.transport import Transport

logger = logging.getLogger(__name__)

#: Bytes read at a time.
_PIECE = 65_536
#: Seconds a program has to end when it is asked to.
_GRACE = 5.0


@dataclass(frozen=True, slots=True)
class Pipe:
    """Implements `Source` for a descriptor that is open already, such as standard input. Its end tells no outcome."""

    pressing: ClassVar[bool] = False

    descriptor: int = 0

    @property
    def shown(self) -> str:
        """What people call it."""
        return "standard input" if self.descriptor == 0 else f"descriptor {self.descriptor}"

    async def events(self, transport: Transport) -> AsyncGenerator[Event, None]:
        """See `Source`. Read by a thread of its own: what stands in a pipe may be a file or a terminal too."""
        loop = asyncio.get_running_loop()
        pieces: asyncio.Queue[bytes] = asyncio.Queue()
        room = threading.Semaphore(8)
        threading.Thread(target=lambda: _pump(self.descriptor, room, loop, pieces.put_nowait), daemon=True).start()
        yield Open()
        while data := await pieces.get():
            yield Text(data, time.time())
            room.release()


@dataclass(frozen=True, slots=True)
class Command:
    """Implements `Source` for a program and its arguments. Both its outputs are read, as a person would see them;
    its exit status is the outcome. It is ended when nobody reads any longer.
    """

    pressing: ClassVar[bool] = False

    words: tuple[str, ...]

    @property
    def shown(self) -> str:
        """The program alone: arguments may hold a secret."""
        return self.words[0]

    async def events(self, transport: Transport) -> AsyncGenerator[Event, None]:
        """See `Source`. Raises OSError when the program cannot be started."""
        child = await asyncio.create_subprocess_exec(
            *self.words, stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT, env={"PYTHONUNBUFFERED": "1", **os.environ},
        )  # fmt: skip
        assert child.stdout is not None  # noqa: S101 - it is a pipe
        try:
            yield Open()
            while data := await child.stdout.read(_PIECE):
                yield Text(data, time.time())
            yield Ended(Outcome.of_exit(await child.wait()))
        finally:
            if child.returncode is None:
                child.terminate()
                try:
                    async with asyncio.timeout(_GRACE):
                        await child.wait()
                except TimeoutError:
                    child.kill()
                    await child.wait()


def _pump(
    descriptor: int, room: threading.Semaphore, loop: asyncio.AbstractEventLoop, put: Callable[[bytes], None]
) -> None:
    """Hand over what comes, an empty piece at the end; wait while nobody takes it."""
    data = b"-"
    while data:
        room.acquire()
        try:
            data = os.read(descriptor, _PIECE)
        except OSError as error:
            log.event(logger, logging.WARNING, "input cannot be read", error=error.strerror)
            data = b""
        try:
            loop.call_soon_threadsafe(put, data)
        except RuntimeError:  # the loop has ended
            return
