"""The addresses of `--listen`."""

import os
from collections.abc import Iterable

from aiohttp import web

from exporter.contracts import CannotListen
from exporter.web.access import Access
from exporter.web.connection import Runner


async def listen(application: web.Application, access: Access, places: Iterable[tuple[str, int]]) -> web.AppRunner:
    """Serve at each (host, port), a host of `""` standing for all addresses, port 0 for any that is free.

    Raises `CannotListen`; then nothing is left open.
    """
    runner = Runner(application, access)
    await runner.setup()
    for host, port in places:
        try:
            await web.TCPSite(runner, host or None, port, reuse_address=True).start()
        except (OSError, OverflowError) as error:
            await runner.cleanup()
            reason = os.strerror(error.errno) if isinstance(error, OSError) and error.errno else str(error)
            raise CannotListen(f"cannot listen on {host or '*'}:{port}: {reason}") from error
    return runner
