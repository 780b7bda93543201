"""Blocking calls on threads of their own."""

import asyncio
import threading

import pytest

from exporter.transport import thread
from exporter.transport.thread import in_thread


async def test_a_result_and_an_error() -> None:
    assert await in_thread(lambda: 1 + 1, "adding") == 2

    def fail() -> None:
        raise KeyError("x")

    with pytest.raises(KeyError):
        await in_thread(fail, "failing")


async def test_it_runs_elsewhere_and_is_waited_for_by_nobody() -> None:
    found = await in_thread(threading.current_thread, "named")
    assert (found.name, found.daemon) == ("named", True)
    assert found is not threading.current_thread()


async def test_giving_up() -> None:
    go_on = threading.Event()
    waiting = asyncio.create_task(in_thread(go_on.wait, "waiting"))
    await asyncio.sleep(0.01)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    go_on.set()  # its result comes to nobody
    await asyncio.sleep(0.02)


async def test_no_thread_to_be_had(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    with pytest.raises(OSError, match="cannot start a thread"):
        await in_thread(lambda: None, "never")


def test_a_loop_that_has_ended_is_no_trouble() -> None:
    go_on, ended = threading.Event(), threading.Event()

    def slow() -> None:
        go_on.wait(10)
        ended.set()

    async def leave() -> None:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(in_thread(slow, "slow"), 0.01)

    asyncio.run(leave())
    go_on.set()
    assert ended.wait(10)


async def test_many_who_wait_for_a_module_wait_for_one_import(monkeypatch: pytest.MonkeyPatch) -> None:
    go_on, begun = threading.Event(), []

    def slow(name: str) -> str:
        begun.append(name)
        go_on.wait(10)
        return name

    monkeypatch.setattr(thread, "import_module", slow)
    monkeypatch.setattr(thread, "_imported", {})
    waiting = [asyncio.create_task(thread.imported("x")) for _ in range(20)]
    await asyncio.sleep(0.01)
    waiting[0].cancel()
    go_on.set()
    found = await asyncio.gather(*waiting, return_exceptions=True)
    assert found[1:] == ["x"] * 19
    assert begun == ["x"]


async def test_a_module_that_is_not_there_is_looked_for_again() -> None:
    for _ in range(2):
        with pytest.raises(ImportError):
            await thread.imported("exporter.nowhere")
    await thread.available(("exporter.nowhere", "exporter"))
