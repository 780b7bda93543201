"""What people look at: the status page, one target, training jobs and evaluations.

It is loaded when somebody looks: most exporters are scraped and no more.
"""

from typing import TYPE_CHECKING, Any

from aiohttp import web

from exporter.transport.thread import imported
from exporter.web.doors import Doors

if TYPE_CHECKING:
    from exporter.web.page.status import StatusPage
    from exporter.web.page.tables import TablePages
    from exporter.web.page.target import TargetPage


class Pages:
    """Hands each request to the page it asks for. Loading one takes tens of milliseconds, so a thread does it."""

    def __init__(self, doors: Doors) -> None:
        self._doors = doors
        self._made: dict[str, Any] = {}

    async def status(self, request: web.Request) -> web.Response:
        """All targets."""
        page: StatusPage = await self._page("status", "StatusPage")
        return await page.get(request)

    async def target(self, request: web.Request) -> web.Response:
        """One target."""
        page: TargetPage = await self._page("target", "TargetPage")
        return await page.get(request)

    async def training(self, request: web.Request) -> web.Response:
        """Training jobs."""
        page: TablePages = await self._page("tables", "TablePages")
        return await page.training(request)

    async def evaluations(self, request: web.Request) -> web.Response:
        """Evaluations."""
        page: TablePages = await self._page("tables", "TablePages")
        return await page.evaluations(request)

    async def _page(self, module: str, name: str) -> Any:
        if name not in self._made:
            loaded = await imported(f"{__name__}.{module}")
            self._made.setdefault(name, getattr(loaded, name)(self._doors))  # two may have asked at once
        return self._made[name]
