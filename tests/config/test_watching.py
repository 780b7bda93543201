"""When files count as changed: by content, and once it has stood for a moment."""

import asyncio
import os
from collections.abc import Sequence
from pathlib import Path

import pytest

from exporter.config import watching
from exporter.config.watching import Watcher, changed


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watching, "_DEBOUNCE", 0.0)


@pytest.mark.parametrize(
    ("held", "told", "looks"),
    [
        (["old"], False, 1),
        (["new", "new"], True, 2),
        (["half", "more", "all", "all"], True, 4),
        (["half", "old"], False, 2),  # taken back before it stood
    ],
)
async def test_what_is_half_written_is_waited_for(held: Sequence[str], told: bool, looks: int) -> None:
    made: list[bytes] = []

    async def digest() -> bytes:
        made.append(held[len(made)].encode())
        return made[-1]

    assert await changed(digest, lambda: b"old") is told
    assert len(made) == looks


def point(folder: Path, name: str) -> None:
    """Swap the link `data`, as kubelet does for a ConfigMap: at no moment is it missing."""
    (folder / "fresh").symlink_to(name)
    (folder / "fresh").replace(folder / "data")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "models.yml").write_text("targets: []\n")
    point(tmp_path, "one")
    return tmp_path


async def test_content_decides(folder: Path) -> None:
    told: asyncio.Queue[bytes] = asyncio.Queue()

    async def loaded() -> None:
        watcher.known = await watcher.digest()
        told.put_nowait(watcher.known)

    watcher = Watcher([folder / "data" / "models.yml"], 0.001, loaded)
    watcher.known = first = await watcher.digest()
    watch = asyncio.create_task(watcher.run())
    try:
        os.utime(folder / "one" / "models.yml", (1, 1))  # touched
        point(folder, "two")  # swapped, and the same
        assert await watcher.digest() == first
        (folder / "three").mkdir()
        (folder / "three" / "models.yml").write_text("targets: [{url: 'http://h'}]\n")
        point(folder, "three")
        async with asyncio.timeout(10):
            assert await told.get() != first
        point(folder, "one")
        async with asyncio.timeout(10):
            assert await told.get() == first
        assert told.empty()
    finally:
        watch.cancel()
        await asyncio.gather(watch, return_exceptions=True)
