"""A fake cluster, and discoverers that follow it quickly."""

import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from exporter.discovery import kubernetes as module
from exporter.discovery.kubernetes import Kubernetes, Selection, watch
from exporter.discovery.listing import Choice
from exporter.discovery.relabel import Rule
from exporter.transport import Transport
from tests.fakes.cluster import Cluster


@pytest.fixture
async def api() -> AsyncIterator[Cluster]:
    async with Cluster() as running:
        yield running


@pytest.fixture
async def transport() -> AsyncIterator[Transport]:
    made = Transport(user_agent="tests")
    yield made
    await made.close()


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch, "_FIRST", 0.01)
    monkeypatch.setattr(watch, "_LONGEST", 0.05)
    monkeypatch.setattr(module, "PAUSE", 0.01)
    monkeypatch.setattr("exporter.discovery.RECHECK", 0.02)


@pytest.fixture
def cluster(api: Cluster, transport: Transport, tmp_path: Path) -> Callable[..., Kubernetes]:
    def made(
        role: str, *rules: Rule, limit: int = 100, wall: Callable[[], float] = time.time, **more: Any
    ) -> Kubernetes:
        selection = Selection(role, kubeconfig=api.kubeconfig(tmp_path), **more)
        choice = Choice(rules, lambda labels: labels["__target__"], limit)
        return Kubernetes("k8s", selection, transport.calls, choice, wall)

    return made
