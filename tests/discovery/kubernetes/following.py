"""One discoverer at work on a fake cluster."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from exporter.contracts import Found
from exporter.discovery import Discovery
from exporter.discovery.kubernetes import Kubernetes, Wanted
from exporter.discovery.listing import Labels
from exporter.ledger import Own
from tests.fakes.cluster import Cluster

ALL = Wanted(annotated=False)


class Running:
    """One discoverer at work."""

    def __init__(self) -> None:
        self.own = Own()
        self._changed = asyncio.Event()
        self.tasks: list[asyncio.Task[None]] = []
        self.discovery = Discovery(own=self.own, supervise=self._supervise, changed=self._told)

    def _supervise(self, run: Any) -> "asyncio.Task[None]":
        self.tasks.append(asyncio.create_task(run()))
        return self.tasks[-1]

    def _told(self) -> None:
        self._changed.set()

    @property
    def names(self) -> tuple[str, ...] | None:
        found = self.discovery.found("k8s")
        return found.names if found is not None else None

    async def until(self, *names: str) -> Found:
        """Wait until exactly these are found."""
        async with asyncio.timeout(5):
            while self.names != names:
                self._changed.clear()
                for task in self.tasks:
                    assert not task.done() or task.cancelled(), task
                await self._changed.wait()
        found = self.discovery.found("k8s")
        assert found is not None
        return found

    async def failed(self, times: int = 1) -> None:
        await until(lambda: self.own.discovery_failures["k8s"] >= times)


@asynccontextmanager
async def running(discoverer: Kubernetes) -> AsyncIterator[Running]:
    made = Running()
    made.discovery.take([discoverer])
    try:
        yield made
    finally:
        made.discovery.take([])
        await asyncio.gather(*made.tasks, return_exceptions=True)


async def until(true: Callable[[], Any]) -> None:
    async with asyncio.timeout(5):
        while not true():
            await asyncio.sleep(0.005)


async def labels_of(discoverer: Kubernetes) -> dict[str, Labels]:
    found = await discoverer.find()
    return dict(zip(found.names, found.entries, strict=True))


def lists(api: Cluster, plural: str) -> int:
    return sum(f"/{plural}?" in asked and "watch=" not in asked for asked in api.asked)


def watches(api: Cluster, plural: str) -> int:
    return sum(f"/{plural}?" in asked and "watch=" in asked for asked in api.asked)
