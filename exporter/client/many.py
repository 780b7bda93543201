"""Many predictions with a bounded number of them under way."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable
from typing import TypeVar

from exporter.model.failure import Failure

Asked = TypeVar("Asked")
Found = TypeVar("Found")


async def each(
    asked: Iterable[Asked], find: Callable[[Asked], Awaitable[Found]], in_flight: int
) -> AsyncGenerator[tuple[int, Found | Failure], None]:
    """(index, what was found or the `Failure`) as they come. Closing it cancels what is under way."""
    if in_flight < 1:
        raise ValueError("in_flight: at least 1")

    async def settle(one: Asked) -> Found | Failure:
        try:
            return await find(one)
        except Failure as failure:
            return failure.with_traceback(None)

    waiting = enumerate(asked)
    flying: dict[asyncio.Task[Found | Failure], int] = {}
    try:
        while True:
            while len(flying) < in_flight and (following := next(waiting, None)) is not None:
                index, one = following
                flying[asyncio.create_task(settle(one))] = index
            if not flying:
                return
            done, _ = await asyncio.wait(flying, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                yield flying.pop(task), task.result()
    finally:
        for task in flying:
            task.cancel()
        if flying:
            await asyncio.wait(flying)
