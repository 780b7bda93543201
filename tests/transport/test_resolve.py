import asyncio
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from exporter.model.failure import Failure, Reason
from exporter.transport import resolve
from exporter.transport.resolve import Resolver, is_literal

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]


@pytest.fixture
def dead() -> Iterator[threading.Event]:
    """A resolver that never answers, until the test is over."""
    event = threading.Event()
    yield event
    event.set()


@pytest.mark.parametrize(
    ("host", "literal"),
    [("127.0.0.1", True), ("::1", True), ("fe80::1%eth0", True), ("localhost", False), ("127.1", False), ("", False)],
)
def test_is_literal(host: str, literal: bool) -> None:
    assert is_literal(host) is literal


async def test_literals_are_not_looked_up() -> None:
    resolver = Resolver(lambda *_: pytest.fail("looked up"))
    found = await resolver.resolve("::1", 80)
    assert found.addresses == ("::1",)
    assert found.began == found.ended


async def test_a_name_is_looked_up_once_for_all_who_ask(dead: threading.Event) -> None:
    asked = []

    def lookup(host: str, port: int) -> list[str]:
        asked.append(host)
        dead.wait()
        return ["10.0.0.1", "10.0.0.2"]

    resolver = Resolver(lookup)
    tasks = [asyncio.create_task(resolver.resolve("a.test", 80)) for _ in range(5)]
    while not asked:
        await asyncio.sleep(0.001)
    dead.set()
    assert {(await task).addresses for task in tasks} == {("10.0.0.1", "10.0.0.2")}
    assert asked == ["a.test"]
    await resolver.resolve("a.test", 80)  # nothing is remembered
    assert asked == ["a.test", "a.test"]


@pytest.mark.parametrize(
    "error", [socket.gaierror(socket.EAI_NONAME, "not known"), UnicodeError("label too long"), OSError(5, "I/O")]
)
async def test_failures_are_dns(error: Exception) -> None:
    def lookup(host: str, port: int) -> list[str]:
        raise error

    with pytest.raises(Failure) as caught:
        await Resolver(lookup).resolve("a.test", 80)
    assert caught.value.reason is Reason.DNS


async def test_no_address_is_dns_and_a_bug_is_a_bug() -> None:
    with pytest.raises(Failure) as caught:
        await Resolver(lambda *_: []).resolve("a.test", 80)
    assert caught.value.reason is Reason.DNS
    with pytest.raises(ZeroDivisionError):
        await Resolver(lambda *_: [str(1 // 0)]).resolve("a.test", 80)


async def test_names_in_a_dead_resolver_leave_room_for_others(dead: threading.Event) -> None:
    def lookup(host: str, port: int) -> list[str]:
        if host.startswith("stuck"):
            dead.wait()
        return ["10.0.0.1"]

    before = sum(thread.name == "resolver" for thread in threading.enumerate())
    resolver = Resolver(lookup, threads=8)

    async def give_up_on(name: str) -> None:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(resolver.resolve(name, 80), 0.05)

    # The first eight hold every thread, and are replaced when everybody has given up on them. From then on all are
    # known to be slow, and have half of the threads between them however long they are waited for.
    await asyncio.gather(*(give_up_on(f"stuck{number}.test") for number in range(500)))
    waiting = [asyncio.create_task(resolver.resolve(f"stuck{number}.test", 80)) for number in range(500)]
    await asyncio.sleep(0.05)
    for number in range(20):
        found = await asyncio.wait_for(resolver.resolve(f"fine{number}.test", 80), 5)
        assert found.addresses == ("10.0.0.1",)
    assert sum(thread.name == "resolver" for thread in threading.enumerate()) <= 8 * (1 + resolve.STUCK) + before
    dead.set()
    assert {(await task).addresses for task in waiting} == {("10.0.0.1",)}
    assert (resolver._running <= 8, resolver._abandoned, resolver._busy_slow) == (True, 0, 0)


async def test_what_was_given_up_before_it_began_is_not_asked(dead: threading.Event) -> None:
    asked = []

    def lookup(host: str, port: int) -> list[str]:
        asked.append(host)
        if host == "stuck.test":
            dead.wait()
        return ["10.0.0.1"]

    resolver = Resolver(lookup, threads=1)
    stuck = asyncio.create_task(resolver.resolve("stuck.test", 80))
    while not asked:
        await asyncio.sleep(0.001)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(resolver.resolve("abandoned.test", 80), 0.01)
    wanted = asyncio.create_task(resolver.resolve("wanted.test", 80))
    await asyncio.sleep(0)
    dead.set()
    await stuck
    await wanted
    assert asked == ["stuck.test", "wanted.test"]


async def test_giving_up_on_what_has_just_landed_changes_nothing() -> None:
    resolver = Resolver(lambda *_: ["10.0.0.1"])
    for _ in range(50):
        task = asyncio.create_task(resolver.resolve("a.test", 80))
        await asyncio.sleep(0)
        while resolver._flights or not resolver._idle:  # else the next one would wake a second thread
            time.sleep(0.0001)  # its result is on the way to a loop that does not turn
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert (resolver._abandoned, resolver._running) == (0, 1)


async def test_without_threads_there_is_a_failure_and_not_a_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    def start(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    resolver = Resolver(lambda *_: ["10.0.0.1"])
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", start)
        with pytest.raises(Failure) as caught:
            await resolver.resolve("a.test", 80)
    assert caught.value.reason is Reason.DNS
    assert (await resolver.resolve("a.test", 80)).addresses == ("10.0.0.1",)


async def test_the_time_of_the_look_up_is_its_own_not_the_queues(dead: threading.Event) -> None:
    begun = threading.Event()

    def lookup(host: str, port: int) -> list[str]:
        if host == "first.test":
            begun.set()
            dead.wait()
        return ["10.0.0.1"]

    resolver = Resolver(lookup, threads=1)
    first = asyncio.create_task(resolver.resolve("first.test", 80))
    while not begun.is_set():
        await asyncio.sleep(0.001)
    second = asyncio.create_task(resolver.resolve("second.test", 80))
    await asyncio.sleep(0.1)
    dead.set()
    slow, quick = await first, await second
    assert slow.ended - slow.began >= 0.1
    assert quick.began >= slow.ended


async def test_idle_threads_end(monkeypatch: pytest.MonkeyPatch) -> None:
    def ours() -> int:
        return sum(thread.name == "resolver" for thread in threading.enumerate())

    await until(lambda: ours() == 0)
    monkeypatch.setattr(resolve, "IDLE", 0.05)
    resolver = Resolver(lambda *_: ["10.0.0.1"])
    await asyncio.gather(*(resolver.resolve(f"{number}.test", 80) for number in range(4)))
    assert ours()
    await until(lambda: ours() == 0)
    resolver.close()


async def until(holds: Callable[[], bool]) -> None:
    end = time.monotonic() + 20
    while not holds():
        assert time.monotonic() < end
        await asyncio.sleep(0.01)


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_a_dead_resolver_does_not_hold_the_exit(loop: str) -> None:
    if loop == "uvloop":
        pytest.importorskip("uvloop", reason="pip install model-exporter[fast]")
    program = f"""
import asyncio, contextlib, threading, {loop}
from exporter.transport.resolve import Resolver
from exporter.model.failure import Failure

async def main():
    resolver = Resolver(lambda *_: threading.Event().wait())
    for task in [asyncio.ensure_future(resolver.resolve(f"{{n}}.test", 80)) for n in range(500)]:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(task, 0.0001)
    assert (await resolver.resolve("127.0.0.1", 80)).addresses == ("127.0.0.1",)

{loop}.run(main())
print("done")
"""
    ran = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )
    assert (ran.stdout, ran.returncode) == ("done\n", 0), ran.stderr
    assert "Error" not in ran.stderr
