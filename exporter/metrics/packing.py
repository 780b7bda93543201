"""gzip of a scrape, level 1: a tenth of level 9's time. All but small scrapes are compressed beside the loop."""

import asyncio
import zlib
from collections.abc import AsyncGenerator
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing

#: Bytes compressed at once in the thread; a whole scrape of at most _INLINE is compressed on the loop.
_PIECE = 256 * 1024
_INLINE = 16 * 1024


class Packing:
    """Compresses scrapes, one piece of one scrape at a time."""

    def __init__(self) -> None:
        self._threads: ThreadPoolExecutor | None = None

    async def packed(self, slices: AsyncGenerator[bytes, None]) -> AsyncGenerator[bytes, None]:
        """The slices compressed, as they come."""
        packer = zlib.compressobj(1, zlib.DEFLATED, 31)
        pending: list[bytes] = []
        size = total = 0
        loop = asyncio.get_running_loop()
        async with aclosing(slices):
            async for text in slices:
                pending.append(text)
                size += len(text)
                total += len(text)
                if size >= _PIECE:
                    if made := await loop.run_in_executor(self._thread(), packer.compress, b"".join(pending)):
                        yield made
                    pending.clear()
                    size = 0
        rest = b"".join(pending)
        if total <= _INLINE:
            yield packer.compress(rest) + packer.flush()
        else:
            yield await loop.run_in_executor(self._thread(), lambda: packer.compress(rest) + packer.flush())

    def close(self) -> None:
        """Let go of the thread."""
        if self._threads is not None:
            self._threads.shutdown(wait=False)
            self._threads = None

    def _thread(self) -> ThreadPoolExecutor:
        # Not the loop's own pool: stuck name look-ups may fill that one.
        if self._threads is None:
            self._threads = ThreadPoolExecutor(1, thread_name_prefix="gzip")
        return self._threads
