"""Which jobs are followed: those of the config, and those whose logs appear in a folder; through reloads."""

import asyncio
import os
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path

import pytest

from exporter.ledger import Ledger
from exporter.model.training import Rules
from exporter.supervisor import Supervisor
from exporter.training import jobs
from exporter.training.folder import Folder
from exporter.training.follow import Job
from exporter.training.jobs import Training
from exporter.training.sources.file import File
from exporter.transport import Transport


class World:
    """A ledger and what fills it."""

    def __init__(self, mine: Callable[[str], bool] = lambda name: True) -> None:
        self.ledger = Ledger()
        self.transport = Transport(user_agent="test")
        self.supervisor = Supervisor(self.ledger.own)
        self.training = Training(
            ledger=self.ledger, transport=self.transport, mine=mine,
            supervise=lambda run: self.supervisor.keep("training", run),
        )  # fmt: skip

    def loss(self, name: str) -> float | None:
        record = self.ledger.trainings.get(name)
        return record.values.get("loss") if record else None

    async def until(self, what: Callable[[], object]) -> None:
        async with asyncio.timeout(10):
            while not what():
                await asyncio.sleep(0.01)


@pytest.fixture
async def world() -> AsyncIterator[World]:
    made = World()
    yield made
    await made.supervisor.close()
    await made.transport.close()


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jobs, "INTERVAL", 0.02)


def job(name: str, path: Path, **more: object) -> Job:
    return Job(name, File(str(path)), preset="plain", **more)  # type: ignore[arg-type]


async def test_a_reload_keeps_what_stayed(world: World, tmp_path: Path) -> None:
    a, b = tmp_path / "a.log", tmp_path / "b.log"
    a.write_text("loss: 0.5\n")
    b.write_text("loss: 0.25\n")
    world.training.take([job("a", a), job("b", b)])
    await world.until(lambda: world.loss("a") == 0.5 and world.loss("b") == 0.25)
    kept = world.ledger.trainings["a"]
    world.training.take([job("a", a, rules=Rules(stall_after=5.0)), job("c", b)])
    assert set(world.ledger.trainings) == {"a", "c"}
    assert world.ledger.trainings["a"] is kept
    assert (kept.line_count, kept.rules.stall_after) == (1, 5.0)
    with a.open("a") as file:
        file.write("loss: 0.125\n")
    await world.until(lambda: world.loss("a") == 0.125 and world.loss("c") == 0.25)
    assert kept.line_count == 2  # nothing was read twice
    world.training.take([])
    assert world.ledger.trainings == {}


async def test_another_log_or_reader_begins_anew(world: World, tmp_path: Path) -> None:
    a, b = tmp_path / "a.log", tmp_path / "b.log"
    a.write_text("loss: 0.5\n")
    b.write_text('{"loss": 0.25}\nloss: 0.125\n')
    world.training.take([job("a", a)])
    await world.until(lambda: world.loss("a") == 0.5)
    world.training.take([job("a", b)])
    assert world.loss("a") is None
    await world.until(lambda: world.loss("a") == 0.125)
    world.training.take([replace(job("a", b), preset="json")])
    await world.until(lambda: world.loss("a") == 0.25)
    assert world.ledger.trainings["a"].line_count == 2


async def test_nothing_is_left_when_it_is_over(tmp_path: Path) -> None:
    made = World()
    made.training.take([job(str(at), tmp_path / f"{at}.log") for at in range(5)])
    await asyncio.sleep(0.05)
    await made.supervisor.close()
    await made.transport.close()
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_only_what_is_mine(tmp_path: Path) -> None:
    made = World(mine=lambda name: name == "b")
    made.training.take([job("a", tmp_path / "a.log"), job("b", tmp_path / "b.log")])
    assert set(made.ledger.trainings) == {"b"}
    await made.supervisor.close()
    await made.transport.close()


async def test_a_log_that_has_ended_is_not_read_again(world: World, tmp_path: Path) -> None:
    from exporter.training.sources.process import Command

    world.training.take([Job("c", Command(("echo", "loss: 0.5")), preset="plain")])
    await world.until(lambda: world.ledger.trainings["c"].outcome)
    await asyncio.sleep(0.05)
    assert world.ledger.trainings["c"].line_count == 1
    assert world.ledger.own.component_restarts["training"] == 0


def folder(tmp_path: Path, **more: object) -> Folder:
    like = Job("", File(""), preset="plain")
    return replace(Folder(str(tmp_path / "*.log"), like), **more)  # type: ignore[arg-type]


async def test_each_file_is_a_job(world: World, tmp_path: Path) -> None:
    (tmp_path / "one.log").write_text("loss: 0.5\n")
    (tmp_path / "sub.log").mkdir()
    world.training.take([folder(tmp_path)])
    await world.until(lambda: world.loss("one") == 0.5)
    (tmp_path / "two.log").write_text("loss: 0.25\n")
    await world.until(lambda: world.loss("two") == 0.25)
    assert set(world.ledger.trainings) == {"one", "two"}
    one = world.ledger.trainings["one"]
    # Other rules, and what was found goes on; no look is waited for.
    like = Job("", File(""), preset="plain", rules=Rules(stall_after=1.0))
    world.training.take([folder(tmp_path, like=like)])
    assert world.ledger.trainings["one"] is one
    assert one.rules.stall_after == 1.0
    world.training.take([folder(tmp_path), job("one", tmp_path / "two.log")])
    await world.until(lambda: world.loss("one") == 0.25)  # what the config names comes first
    world.training.take([])
    assert not world.ledger.trainings


async def test_a_job_is_forgotten(world: World, tmp_path: Path) -> None:
    log = tmp_path / "one.log"
    log.write_text("loss: 0.5\n")
    (tmp_path / "old.log").write_text("loss: 0.5\n")
    long_ago = time.time() - 3000
    os.utime(tmp_path / "old.log", (long_ago, long_ago))
    world.training.take([folder(tmp_path, forget=1000.0)])
    await world.until(lambda: world.loss("one") == 0.5)
    assert set(world.ledger.trainings) == {"one"}
    log.unlink()
    await asyncio.sleep(0.1)
    assert world.loss("one") == 0.5  # how it ended is to be seen for a while
    log.write_text("")
    os.utime(log, (long_ago, long_ago))
    await world.until(lambda: not world.ledger.trainings)


def test_names(tmp_path: Path) -> None:
    found = folder(tmp_path)
    for path, name in (
        ("/logs/job-1.log", "job-1"), ("/logs/lr0.01", "lr0.01"), ("/logs/a.b.JSONL", "a.b"), ("/logs/.log", ".log"),
        ("/logs/a\nb.txt", "a\ufffdb"), ("/logs/\udcff.log", "?"), (f"/logs/{'x' * 300}", "x" * 256),
    ):  # fmt: skip
        assert found.name_of(path) == name
    nested = folder(tmp_path, job_from="folder")
    assert nested.name_of("/logs/job-1/train.log") == "job-1"
    assert nested.jobs({"/train.log": 1.0}, frozenset()) == ([], 0)
    (odd,), _ = found.jobs({"/logs/\udcff.log": 1.0}, frozenset())
    assert (odd.name, odd.source.shown) == ("?", "/logs/?.log")


def test_too_many_and_two_of_one_name(tmp_path: Path) -> None:
    found = folder(tmp_path, job_from="folder", limit=2)
    files = {"/a/train.log": 3.0, "/b/train.log": 1.0, "/c/train.log": 2.0, "/x/a/train.log": 4.0}
    named, left_out = found.jobs(files, frozenset())
    assert [(each.name, each.source.shown) for each in named] == [("a", "/x/a/train.log"), ("c", "/c/train.log")]
    assert left_out == 1
    named, _ = found.jobs(files, {"/a/train.log"})
    assert named[0].source.shown == "/a/train.log"  # the one that is followed stays


async def test_too_many_are_told_once(world: World, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    for at in range(5):
        (tmp_path / f"{at}.log").write_text("loss: 0.5\n")
    world.training.take([folder(tmp_path, limit=2)])
    await world.until(lambda: len(world.ledger.trainings) == 2)
    await asyncio.sleep(0.1)
    (told,) = [record for record in caplog.records if record.levelname == "WARNING"]
    assert told.fields["left_out"] == 3  # type: ignore[attr-defined]
