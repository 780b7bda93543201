"""A stream of tokens on its way, as the asker sees it."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Self

from exporter.client.line import Hear, Told
from exporter.model.stream import Channel, StreamSummary, TokenEvent


class TokenStream:
    """An async iterator of `TokenEvent`s; afterwards, `summary`.

    The request is sent when iteration begins. A stream that fails raises its `Failure` after the tokens that came; the
    `summary` then tells how far it got. Tokens are read and stamped as they come, however slowly they are taken from
    here. Use it as an async context manager where iteration may be left early: leaving ends the stream.
    """

    def __init__(self, run: Callable[[Hear], Awaitable[Told]]) -> None:
        self._run = run
        self._events: deque[TokenEvent] = deque()
        self._news = asyncio.Event()
        self._task: asyncio.Task[Told] | None = None
        self._over = False
        self._said: list[str] = []
        #: The whole stream in numbers: time to first token, gaps, outcome, usage. None until it has ended, and where
        #: none was begun.
        self.summary: StreamSummary | None = None

    @property
    def text(self) -> str:
        """The content that was taken from here so far, reasoning and tool calls left out."""
        return "".join(self._said)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> TokenEvent:
        if self._over:
            raise StopAsyncIteration
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._ask())
            self._task.add_done_callback(self._ended)
        while not self._events:
            if self._task.done():
                self._over = True
                if self._task.cancelled():
                    raise RuntimeError("the stream was closed")
                if (failure := self._task.result().failure) is not None:
                    raise failure
                raise StopAsyncIteration
            self._news.clear()
            try:
                await self._news.wait()
            except asyncio.CancelledError:
                await self.aclose()
                raise
        event = self._events.popleft()
        if event.channel is Channel.CONTENT:
            self._said.append(event.text)
        return event

    async def aclose(self) -> None:
        """End it. What has not been taken is lost; harmless when it is over."""
        self._over = True
        self._events.clear()
        task = self._task
        if task is not None and not task.done():
            task.cancel()
            await asyncio.wait([task])

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    async def _ask(self) -> Told:
        told = await self._run(self._hear)
        self.summary = told.observation.stream
        return told

    def _hear(self, event: TokenEvent) -> None:
        self._events.append(event)
        self._news.set()

    def _ended(self, task: "asyncio.Task[Told]") -> None:
        if not task.cancelled():
            task.exception()  # looked at, so that asyncio does not complain where nobody waits for it any more
        self._news.set()
