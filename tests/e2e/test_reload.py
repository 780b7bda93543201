"""Reloads of the whole daemon in this process: one at a time, and no task is left of any."""

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from pathlib import Path

import pytest

from exporter import app
from exporter.config import loader
from tests.support.fake import Fake

pytestmark = pytest.mark.slow

Write = Callable[[int], None]


@pytest.fixture
def fake() -> Iterator[Fake]:
    with Fake(lambda request: (200, "ok")) as server:
        yield server


@pytest.fixture
def write(tmp_path: Path, fake: Fake) -> Write:
    """Ten targets; which ones, the number says."""

    def write(number: int) -> None:
        probes = {"health": {"interval": "200ms"}}
        targets = [
            {"name": f"{number}-{each}", "url": fake.url, "protocol": "http", "probes": probes} for each in range(10)
        ]
        sink = {"name": f"s{number}", "jsonl": {"path": str(tmp_path / f"{number}.jsonl")}}
        (tmp_path / "models.yml").write_text(json.dumps({"targets": targets, "sinks": [sink]}))

    write(0)
    return write


@pytest.fixture
async def daemon(tmp_path: Path, write: Write) -> AsyncIterator[app.Daemon]:
    made = app.Daemon(app.Options(config=(tmp_path / "models.yml",), listen=(), reload_interval=0.0))
    await made.start()
    yield made
    await made.stop()


def tasks() -> Counter[str]:
    """What is being done, runs of probes left out: they come and go."""
    names = [getattr(task.get_coro(), "__qualname__", "") for task in asyncio.all_tasks()]
    return Counter(name for name in names if not name.startswith("Runner."))


async def test_what_was_loaded_beforehand_is_taken_and_kept_by_nobody(tmp_path: Path, write: Write) -> None:
    held = loader.beforehand([tmp_path / "models.yml"])
    (tmp_path / "models.yml").write_text("wrong")
    made = app.Daemon(app.Options(config=(tmp_path / "models.yml",), listen=()), loaded=held)
    assert held == []
    assert len(made._built.jobs) == 10
    await made.transport.close()


async def test_no_task_is_left(daemon: app.Daemon, write: Write) -> None:
    await asyncio.sleep(0)
    before, replaced = tasks(), daemon._kept.replaced
    write(1)
    await daemon.reload()
    assert daemon._kept.replaced == replaced + 10 + 1
    for number in range(2, 31):
        write(number)
        assert await daemon.reload() == []
    async with asyncio.timeout(30):
        while tasks() != before:
            await asyncio.sleep(0.01)
    assert {job.target.name for job in daemon.jobs} == {f"30-{each}" for each in range(10)}


async def test_one_at_a_time(daemon: app.Daemon, write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    real, at_work, most = loader.load_in_child, 0, 0

    async def counted(paths: Sequence[Path]) -> loader.Loaded:
        nonlocal at_work, most
        at_work += 1
        most = max(most, at_work)
        try:
            await asyncio.sleep(0.01)  # long enough for another one to begin
            return await real(paths)
        finally:
            at_work -= 1

    monkeypatch.setattr(loader, "load_in_child", counted)
    write(1)
    for _ in range(20):
        daemon.reload_soon()  # as SIGHUP does
    await asyncio.gather(*(daemon.reload() for _ in range(5)))
    async with asyncio.timeout(30):
        while daemon.ledger.own.reloads["success"] < 1 + 5 + 1:  # the start, those that were awaited, all hangups
            await asyncio.sleep(0.01)
    assert most == 1
    assert daemon.ledger.own.reloads == {"success": 7, "failure": 0}
