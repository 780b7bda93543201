"""/metrics: written in slices, to no more readers at once than memory allows."""

import asyncio
from contextlib import aclosing

from aiohttp import hdrs, web

from exporter.metrics.exposition import Exposition
from exporter.web.connection import patience

#: Scrapes being written at once: each may hold a snapshot of its own. More wait for their turn, but not many.
AT_ONCE = 32
WAITING = 256
#: Seconds a scrape waits for its turn before it is turned away.
PATIENCE = 5.0
#: Bytes handed to a connection at once.
PIECE = 16 * 1024


class Scrapes:
    """Answers scrapes."""

    def __init__(self, exposition: Exposition) -> None:
        self._exposition = exposition
        self._places = asyncio.Semaphore(AT_ONCE)
        self._waiting = 0

    async def get(self, request: web.Request) -> web.StreamResponse:
        """One scrape, in the format and encoding the scraper prefers."""
        form = self._exposition.negotiate(request.headers.get(hdrs.ACCEPT, "")[:4096])
        zipped = self._exposition.accepts_gzip(request.headers.get(hdrs.ACCEPT_ENCODING, "")[:4096])
        response = web.StreamResponse(headers={hdrs.CONTENT_TYPE: form.content_type})
        response.headers[hdrs.VARY] = "Accept, Accept-Encoding"
        if zipped:
            response.headers[hdrs.CONTENT_ENCODING] = "gzip"
        if request.method == hdrs.METH_HEAD:
            return response
        if not await self._turn():
            return web.Response(status=503, text="too many slow scrapes at once\n", headers={hdrs.RETRY_AFTER: "1"})
        try:
            async with patience() as reading, aclosing(self._exposition.render(form, zipped=zipped)) as slices:
                await response.prepare(request)
                async for text in slices:
                    with reading:
                        for start in range(0, len(text), PIECE):
                            await response.write(text[start : start + PIECE])
        finally:
            self._places.release()
        return response

    async def _turn(self) -> bool:
        """Wait for a place among those that are written. False: none came in time, or too many wait already."""
        if self._waiting >= WAITING:
            return False
        self._waiting += 1
        try:
            async with asyncio.timeout(PATIENCE):
                return await self._places.acquire()
        except TimeoutError:
            return False
        finally:
            self._waiting -= 1
