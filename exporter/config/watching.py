"""Whether files changed: by content, so that a touched file is none and a swapped symlink is one."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

from exporter.config.source import digest_of

#: Seconds a changed file must stay as it is before it counts: it may be half written.
_DEBOUNCE = 0.2


class Watcher:
    """Looks at files every `interval` seconds; calls `changed` when they hold something else than what is `known`."""

    def __init__(self, paths: Sequence[Path], interval: float, changed: Callable[[], Awaitable[object]]) -> None:
        self._paths = tuple(paths)
        self._interval = interval
        self._changed = changed
        #: Of what is loaded, or known to be bad.
        self.known = b""

    async def digest(self) -> bytes:
        """Of what the files hold now."""
        return await asyncio.to_thread(digest_of, self._paths)

    async def run(self) -> None:
        """Until cancelled. Each change is told once, when it has stood for a moment."""
        while True:
            await asyncio.sleep(self._interval)
            if await changed(self.digest, lambda: self.known):
                await self._changed()


async def changed(digest: Callable[[], Awaitable[bytes]], known: Callable[[], bytes]) -> bool:
    """Whether files hold something else than what is known, once that has stood for a moment."""
    found = await digest()
    while found != known():
        await asyncio.sleep(_DEBOUNCE)
        if (again := await digest()) == found:
            return True
        found = again
    return False
