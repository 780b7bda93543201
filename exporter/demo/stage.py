"""Puts fake servers on ports, on free ones of loopback if nothing else is said, and takes them off again."""

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import Self

from aiohttp import web

from exporter.demo.scenes import SCENES, Scene, Server


class Stage:
    """All scenes running at once, as an async context manager. `urls` maps a scene's name to its base url.

    With `first_port` they take that port and those that follow, in the order of the scenes.
    """

    def __init__(
        self,
        scenes: Sequence[Scene] = SCENES,
        clock: Callable[[], float] = time.monotonic,
        host: str = "127.0.0.1",
        first_port: int = 0,
    ) -> None:
        self.scenes = tuple(scenes)
        self.urls: dict[str, str] = {}
        self.servers: dict[str, Server] = {}
        self._clock = clock
        self._host = host
        self._first_port = first_port
        self._runners: list[web.AppRunner] = []

    async def __aenter__(self) -> Self:
        try:
            for scene in self.scenes:
                await self._open(scene)
        except BaseException:
            await self.close()
            raise
        self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    def start(self) -> None:
        """Let every timeline begin now."""
        for server in self.servers.values():
            server.timeline.start()

    async def close(self) -> None:
        """Free the handlers that hang on purpose, and stop listening."""
        for server in self.servers.values():
            server.closing.set()
        await asyncio.gather(*(runner.cleanup() for runner in self._runners))
        self._runners.clear()
        self.servers.clear()

    async def _open(self, scene: Scene) -> None:
        server = scene.build(self._clock)
        runner = web.AppRunner(server.app(), access_log=None, handler_cancellation=True, shutdown_timeout=1.0)
        await runner.setup()
        self._runners.append(runner)
        self.servers[scene.name] = server
        port = self._first_port + len(self.urls) if self._first_port else 0
        await web.TCPSite(runner, self._host, port).start()
        self.urls[scene.name] = f"http://{self._host}:{runner.addresses[0][1]}"
