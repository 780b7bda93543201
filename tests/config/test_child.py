"""Large files are read in another process, and come back whole."""

import asyncio
from pathlib import Path

import pytest

from exporter.config import build, loader
from exporter.config.loader import ConfigError, load, load_in_child

pytestmark = pytest.mark.slow


@pytest.fixture
def always(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every file is large."""
    monkeypatch.setattr(loader, "LARGE", -1)


def config(tmp_path: Path, count: int = 250) -> Path:
    path = tmp_path / "config.yaml"
    lines = ["modules: {m: {protocol: http, probes: {health: {interval: 9s}}}, idle: {protocol: http}}", "targets:"]
    lines += [f"  - {{url: 'http://h{n}', module: m, labels: {{n: '{n}'}}}}" for n in range(count)]
    path.write_text("\n".join(lines))
    return path


@pytest.mark.usefixtures("always")
async def test_what_comes_back_is_what_was_read(tmp_path: Path) -> None:
    path = config(tmp_path)
    there, here = await load_in_child([path]), load([path])
    assert there.warnings == here.warnings != []
    assert there.file.model_dump() == here.file.model_dump()
    assert there.file.folder == here.file.folder
    fingerprints = [[job.fingerprint for job in build.build(loaded.file).jobs] for loaded in (there, here)]
    assert fingerprints[0] == fingerprints[1]


@pytest.mark.usefixtures("always")
async def test_problems_come_back(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_text("targets:\n" + "  - {url: 'ftp://h'}\n" * 250)
    with pytest.raises(ConfigError) as there:
        await load_in_child([path])
    with pytest.raises(ConfigError) as here:
        load([path])
    assert there.value.problems == here.value.problems
    assert len(there.value.problems) == 250


@pytest.mark.usefixtures("always")
async def test_a_child_that_dies_is_a_problem(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.executable", "/bin/false")
    with pytest.raises(ConfigError, match="ended with status 1"):
        await load_in_child([config(tmp_path)])


@pytest.mark.usefixtures("always")
async def test_a_cancelled_load_leaves_no_child(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[asyncio.subprocess.Process] = []
    real = asyncio.create_subprocess_exec

    async def remember(*arguments: str, **options: object) -> asyncio.subprocess.Process:
        started.append(await real("/bin/sleep", "60", **options))  # type: ignore[arg-type]
        return started[0]

    monkeypatch.setattr(asyncio, "create_subprocess_exec", remember)
    task = asyncio.create_task(load_in_child([config(tmp_path)]))
    while not started:
        await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert started[0].returncode is not None


async def test_small_files_need_no_child(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def refuse(*_: object, **__: object) -> None:
        raise AssertionError("no child is needed")

    monkeypatch.setattr(asyncio, "create_subprocess_exec", refuse)
    assert len((await load_in_child([config(tmp_path)])).file.targets or []) == 250
