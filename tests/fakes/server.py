"""Base of the fakes: a model server on a free loopback port, which keeps what it was asked."""

import asyncio
import json
from collections.abc import Iterable
from types import TracebackType
from typing import Any, NamedTuple, Self

from aiohttp import web


class Asked(NamedTuple):
    """One request. `path` has its query; header names are in lower case."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)


class FakeServer:
    """An async context manager. A subclass gives `routes`; what it answers may change while it runs."""

    def __init__(self) -> None:
        self.requests: list[Asked] = []
        self.port = 0
        self._runner: web.AppRunner | None = None
        self._leaving = asyncio.Event()

    def routes(self) -> Iterable[web.RouteDef]:
        """The server's routes."""
        raise NotImplementedError

    @property
    def url(self) -> str:
        """Where it is."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def asked(self) -> list[str]:
        """`METHOD PATH` of each request, oldest first."""
        return [f"{request.method} {request.path}" for request in self.requests]

    async def hang(self) -> None:
        """Wait until the server ends: for a handler that never answers."""
        await self._leaving.wait()

    async def __aenter__(self) -> Self:
        app = web.Application(middlewares=[self._keep], client_max_size=1 << 24)
        app.router.add_routes(self.routes())
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self.port).start()
        self.port = self._runner.addresses[0][1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._leaving.set()
        if self._runner is not None:
            await self._runner.cleanup()

    @web.middleware
    async def _keep(self, request: web.Request, handler: Any) -> web.StreamResponse:
        body = await request.read()
        headers = {name.lower(): value for name, value in request.headers.items()}
        self.requests.append(Asked(request.method, request.path_qs, headers, body))
        return await self.answer(request, handler)

    async def answer(self, request: web.Request, handler: Any) -> web.StreamResponse:
        """What is sent back; a subclass may say something else to everything (loading, refusing, hanging)."""
        response: web.StreamResponse = await handler(request)
        return response


async def sse(request: web.Request, *events: Any, end: bytes = b"data: [DONE]\n\n") -> web.StreamResponse:
    """Server-sent events: JSON values, bytes as they are, and numbers as seconds to wait."""
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream; charset=utf-8"})
    await response.prepare(request)
    for event in (*events, end):
        if isinstance(event, int | float):
            await asyncio.sleep(event)
        else:
            await response.write(event if isinstance(event, bytes) else b"data: %b\n\n" % json.dumps(event).encode())
    return response
