"""Tasks of the daemon: every one is known until it ends, and a component that crashes is started again."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from exporter.ledger import Own

logger = logging.getLogger(__name__)

#: Seconds until a crashed component is started again, doubled with each crash up to the second number; one that ran
#: for longer than that starts with the first again.
_BACKOFF = (1.0, 60.0)
#: Crashes in a row, each soon after the start before, from which a component is not expected to come back by itself.
HOPELESS = 5


class Supervisor:
    """Owns tasks on the running loop. Crashes and restarts are counted in `own`, by component."""

    def __init__(self, own: Own) -> None:
        self._own = own
        self._tasks: set[asyncio.Task[None]] = set()
        #: Components that are down or came back only now, with their crashes in a row.
        self._crashes: dict[object, tuple[str, int, float]] = {}

    def spawn(self, work: Coroutine[Any, Any, None], name: str = "once") -> asyncio.Task[None]:
        """Run something once."""
        task = asyncio.get_running_loop().create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def keep(self, component: str, run: Callable[[], Awaitable[None]]) -> asyncio.Task[None]:
        """Keep a component running until its task is cancelled; one that ends or crashes starts again with backoff."""
        return self.spawn(self._keep_running(component, run), component)

    def ailments(self) -> list[str]:
        """Components that crash again and again; nothing while all are well."""
        now, most = time.monotonic(), _BACKOFF[1]
        return [
            f"{component} crashed {crashes} times in a row"
            for component, crashes, started in self._crashes.values()
            if crashes >= HOPELESS and now - started < most
        ]

    async def close(self) -> None:
        """Cancel all there is, and wait until it has ended."""
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _keep_running(self, component: str, run: Callable[[], Awaitable[None]]) -> None:
        me, crashes = object(), 0
        try:
            while True:
                started = time.monotonic()
                try:
                    await run()
                except Exception:
                    logger.exception("component crashed, starting it again", extra={"fields": {"component": component}})
                    self._own.internal_errors[component] += 1
                self._own.component_restarts[component] += 1
                least, most = _BACKOFF
                crashes = 1 if time.monotonic() - started > most else crashes + 1
                wait = min(most, least * 2 ** min(crashes - 1, 30))
                self._crashes[me] = (component, crashes, time.monotonic() + wait)
                await asyncio.sleep(wait)
        finally:
            self._crashes.pop(me, None)
