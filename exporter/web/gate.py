"""/api/v1/gate: is what I have just rolled out good? Answered at once, from the runs that are remembered."""

import asyncio

from aiohttp import web

from exporter.slices import unhurried
from exporter.web.answers import JSON
from exporter.web.doors import Doors

#: Questions answered at once; more wait.
AT_ONCE = 4


class GateDoor:
    """Answers the same to GET and to POST, whose body says nothing here: webhooks of rollout controllers are posted."""

    def __init__(self, doors: Doors) -> None:
        self._doors = doors
        self._places = asyncio.Semaphore(AT_ONCE)

    async def get(self, request: web.Request) -> web.Response:
        """200 ready, 503 not ready, 400 with everything that is wrong with the question."""
        async with self._places:
            records = unhurried(list(self._doors.ledger))
            status, text = await self._doors.gate(list(request.query.items()), records)
        return web.Response(status=status, text=text, headers=JSON)
