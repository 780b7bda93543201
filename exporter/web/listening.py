"""The addresses of `--listen`."""

import asyncio
import os
import socket
from collections.abc import Iterable
from typing import cast

from aiohttp import web

from exporter.contracts import CannotListen
from exporter.web.access import Access
from exporter.web.connection import Runner

#: Connections that may wait to be taken in, and how many are in one turn of the loop.
BACKLOG = 128
AT_ONCE = 16


class _Site(web.TCPSite):
    """asyncio takes in, in one turn of the loop, as many connections as may wait for it; here more may wait. (uvloop
    takes one.)
    """

    async def start(self) -> None:
        await super().start()
        for listening in cast(asyncio.Server, self._server).sockets:
            with socket.socket(fileno=os.dup(listening.fileno())) as same:
                same.listen(BACKLOG)


async def listen(application: web.Application, access: Access, places: Iterable[tuple[str, int]]) -> web.AppRunner:
    """Serve at each (host, port), a host of `""` standing for all addresses, port 0 for any that is free.

    Raises `CannotListen`; then nothing is left open.
    """
    runner = Runner(application, access)
    await runner.setup()
    for host, port in places:
        try:
            await _Site(runner, host or None, port, backlog=AT_ONCE, reuse_address=True).start()
        except (OSError, OverflowError) as error:
            await runner.cleanup()
            reason = os.strerror(error.errno) if isinstance(error, OSError) and error.errno else str(error)
            raise CannotListen(f"cannot listen on {host or '*'}:{port}: {reason}") from error
    return runner
