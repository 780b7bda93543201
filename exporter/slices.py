"""Long work on the measuring loop, done a little at a time: what is measured must not wait for it."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterable
from typing import TypeVar

T = TypeVar("T")

#: Seconds of work between two turns of the loop.
SLICE = 0.0005


async def unhurried(items: Iterable[T]) -> AsyncIterator[T]:
    """The items, with a turn of the loop after each SLICE of producing and consuming them."""
    began = time.perf_counter()
    for item in items:
        yield item
        if time.perf_counter() - began > SLICE:
            await asyncio.sleep(0)
            began = time.perf_counter()
