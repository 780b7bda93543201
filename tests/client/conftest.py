"""Servers for a client: the demo's, and small ones that count what they are asked."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from aiohttp import web

from exporter.demo.stage import Stage

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@pytest.fixture
async def stage() -> AsyncIterator[Stage]:
    """All servers of the demo."""
    async with Stage() as stage:
        yield stage


class Fake:
    """A server whose every answer is `answer`'s. `requests` are those that came, `ports` their connections."""

    def __init__(self) -> None:
        self.answer: Handler = self._nothing
        self.requests: list[web.Request] = []
        self.ports: set[int] = set()
        self.at_once = self.most_at_once = 0
        self.abandoned = 0
        self.url = ""

    @property
    def paths(self) -> list[str]:
        return [f"{request.method} {request.path}" for request in self.requests]

    def always(self, value: Any, status: int = 200, headers: dict[str, str] | None = None) -> None:
        """Answer everything with this JSON."""

        async def answer(request: web.Request) -> web.Response:
            return web.json_response(value, status=status, headers=headers)

        self.answer = answer

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.requests.append(request)
        assert request.transport is not None
        self.ports.add(request.transport.get_extra_info("peername")[1])
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            return await self.answer(request)
        except asyncio.CancelledError:
            self.abandoned += 1
            raise
        finally:
            self.at_once -= 1

    async def _nothing(self, request: web.Request) -> web.StreamResponse:
        raise web.HTTPNotFound


@pytest.fixture
async def fake() -> AsyncIterator[Fake]:
    """A server on loopback, taken off again with whatever it still holds."""
    fake = Fake()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", fake.handle)
    runner = web.AppRunner(app, access_log=None, handler_cancellation=True, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    fake.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield fake
    await runner.cleanup()


async def until(condition: Callable[[], object]) -> None:
    """Wait for something that is about to happen."""
    async with asyncio.timeout(5):
        while not condition():
            await asyncio.sleep(0.005)


#: What an OpenAI-compatible server says to a short question.
SAID = {
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "OK."}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 4, "completion_tokens": 2},
}
