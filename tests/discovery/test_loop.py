"""The loop of one discoverer: what was found last stays, what failed is asked sooner, what is new is applied."""

import asyncio
import itertools
import logging
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from exporter.contracts import Found
from exporter.discovery import RECHECK, Discovery
from exporter.ledger import Own
from exporter.model.failure import Failure, Reason
from tests.engine.conftest import VirtualLoop

INTERVAL = 60.0


class Scripted:
    """Answers what the script says, the last of it again and again; `asked` holds the moments."""

    def __init__(self, *script: Found | Failure, source: str = "gw", place: str = "h", question: str = "q") -> None:
        self.source, self.interval, self.place, self.question = source, INTERVAL, place, question
        self.script = list(script)
        self.asked: list[float] = []

    async def find(self) -> Found:
        self.asked.append(asyncio.get_running_loop().time())
        answer = self.script.pop(0) if len(self.script) > 1 else self.script[0]
        if isinstance(answer, Failure):
            raise answer
        return answer


class World:
    """Discovery on virtual time."""

    def __init__(self) -> None:
        self.loop = VirtualLoop()
        self.start = self.loop.time()
        self.own = Own()
        self.changes = 0
        self.tasks: list[asyncio.Task[None]] = []
        self.discovery = Discovery(
            own=self.own, supervise=self._supervise, changed=self._changed, wall=lambda: 1e9 + self.loop.time()
        )

    def _supervise(self, run: Callable[[], Awaitable[None]]) -> "asyncio.Task[None]":
        task: asyncio.Task[None] = self.loop.create_task(run())  # type: ignore[arg-type]
        self.tasks.append(task)
        return task

    def _changed(self) -> None:
        self.changes += 1

    def take(self, *discoverers: Scripted) -> None:
        self.discovery.take(discoverers)

    def advance(self, seconds: float) -> None:
        self.loop.run_until_complete(asyncio.sleep(seconds))

    def waits(self, discoverer: Scripted) -> list[float]:
        moments = [round(at - self.start) for at in discoverer.asked]
        return [after - before for before, after in itertools.pairwise(moments)]


@pytest.fixture
def world() -> Any:
    world = World()
    yield world
    for task in world.tasks:
        task.cancel()
    world.loop.run_until_complete(asyncio.gather(*world.tasks, return_exceptions=True))
    world.loop.close()


def found(*names: str, **more: Any) -> Found:
    return Found(names, **more)


REFUSED = Failure(Reason.CONNECT_REFUSED, "connection refused")


def test_what_was_found_last_stays_while_it_fails_and_failures_are_counted(world: World) -> None:
    server = Scripted(found("a", missing=0), REFUSED)
    world.take(server)
    assert world.own.discovery_failures == {"gw": 0}, "a counter begins at 0"
    assert (world.discovery.found("gw"), world.discovery.tried("gw")) == (None, False)
    world.advance(1)
    assert (world.own.discovery_failures["gw"], world.changes) == (0, 1)
    read_at = world.own.discovery_last_success_at["gw"]
    world.advance(INTERVAL + 20)
    assert world.discovery.found("gw") == found("a", missing=0)
    assert world.own.discovery_failures["gw"] == 3
    assert world.own.discovery_last_success_at["gw"] == read_at
    assert world.changes == 1, "a failure changes nothing"


def test_what_fails_is_asked_again_sooner_and_sooner_no_more(world: World) -> None:
    server = Scripted(*[REFUSED] * 6, found("a"))
    world.take(server)
    world.advance(1000)
    assert world.waits(server)[:8] == [
        RECHECK,
        2 * RECHECK,
        4 * RECHECK,
        8 * RECHECK,
        INTERVAL,
        INTERVAL,
        INTERVAL,
        INTERVAL,
    ]


def test_never_read_and_failed_is_told_once(world: World) -> None:
    world.take(Scripted(REFUSED))
    world.advance(600)
    assert (world.discovery.found("gw"), world.discovery.tried("gw"), world.changes) == (None, True, 1)
    assert "gw" not in world.own.models_missing
    assert "gw" not in world.own.discovery_last_success_at


def test_only_news_are_applied(world: World) -> None:
    world.take(Scripted(found("a"), found("a"), found("a", missing=1), found("a", "b"), found("a", "b")))
    world.advance(INTERVAL * 2.5)
    assert (world.changes, world.own.models_missing["gw"]) == (1, 1)
    world.advance(INTERVAL * 3)
    assert world.changes == 2


def test_a_night_of_failures_is_one_line_in_the_log(world: World, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    other = Failure(Reason.TIMEOUT, "no answer")
    world.take(Scripted(found("a"), REFUSED, REFUSED, REFUSED, other, other, found("a"), REFUSED))
    world.advance(INTERVAL * 30)
    told = [(record.message, getattr(record, "fields", {}).get("reason")) for record in caplog.records]
    assert told == [
        ("targets found", None),
        ("discovery failed, what was found last stays", Reason.CONNECT_REFUSED),
        ("discovery failed, what was found last stays", Reason.TIMEOUT),
        ("discovery works again", None),
        ("discovery failed, what was found last stays", Reason.CONNECT_REFUSED),
    ]


def test_more_than_the_limit_is_counted_and_told_once(world: World, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    world.take(Scripted(found("a", over=7), found("a", over=9), found("a")))
    world.advance(INTERVAL * 1.5)
    assert world.own.discovery_over_limit == {"gw": 9}
    assert [record.message[:19] for record in caplog.records] == ["more was found than"]
    world.advance(INTERVAL)
    assert world.own.discovery_over_limit == {"gw": 0}


def test_another_question_is_asked_at_once_and_keeps_what_was_found(world: World) -> None:
    first, second = Scripted(found("a")), Scripted(found("b"), question="narrower")
    world.take(first)
    world.advance(10)
    world.take(second)
    assert world.discovery.found("gw") == found("a")
    world.advance(1)
    assert world.discovery.found("gw") == found("b")
    world.advance(INTERVAL * 3)
    assert len(first.asked) == 1


def test_the_same_question_waits_for_its_turn(world: World) -> None:
    first, second = Scripted(found("a")), Scripted(found("a"))
    world.take(first)
    world.advance(10)
    world.take(second)
    world.advance(INTERVAL)
    assert (len(first.asked), len(second.asked)) == (2, 0), "it goes on with the one that has the answers"


def test_another_place_is_another_source(world: World) -> None:
    world.take(Scripted(found("a", missing=1)))
    world.advance(1)
    world.take(Scripted(REFUSED, place="elsewhere"))
    world.advance(1)
    assert world.discovery.found("gw") is None
    assert "gw" not in world.own.models_missing
    assert world.own.discovery_failures == {"gw": 1}


def test_a_source_that_is_gone_leaves_nothing(world: World) -> None:
    gone, stays = Scripted(found("a", missing=1)), Scripted(found("b"), source="dns:h")
    world.take(gone, stays)
    world.advance(1)
    world.take(stays)
    world.advance(INTERVAL * 2)
    assert len(gone.asked) == 1
    own = world.own
    for numbers in (own.discovery_failures, own.discovery_last_success_at, own.discovery_over_limit):
        assert set(numbers) == {"dns:h"}
    assert own.models_missing == {}
    assert world.discovery.found("gw") is None


def test_an_answer_to_an_old_question_is_not_taken(world: World) -> None:
    class Slow(Scripted):
        async def find(self) -> Found:
            answer = await super().find()
            await asyncio.sleep(5)
            return answer

    world.take(Slow(found("old")))
    world.advance(1)
    world.take(Scripted(found("new"), question="other"))
    world.advance(5)
    assert world.discovery.found("gw") == found("new")
    assert world.changes == 1


def test_a_bug_ends_the_run_and_what_was_found_outlives_it(world: World) -> None:
    class Buggy(Scripted):
        async def find(self) -> Found:
            if self.asked:
                raise ZeroDivisionError
            return await super().find()

    world.take(Buggy(found("a")))
    world.advance(INTERVAL * 1.5)
    (task,) = world.tasks
    assert isinstance(task.exception(), ZeroDivisionError), "for whoever supervises it"
    assert world.discovery.found("gw") == found("a")


class Pushed(Scripted):
    """Is told of changes: `tell` is there while it is followed."""

    tell: Callable[[], None] | None = None
    crash = False

    async def follow(self, changed: Callable[[], None]) -> None:
        self.tell = changed
        try:
            while not self.crash:
                await asyncio.sleep(1)
            raise ZeroDivisionError
        finally:
            self.tell = None


def test_what_is_told_of_a_change_is_asked_at_once(world: World) -> None:
    source = Pushed(found("a"), found("b"))
    world.take(source)
    world.advance(7)
    assert source.tell is not None
    source.tell()
    world.advance(1)
    assert world.waits(source) == [7]
    assert world.discovery.found("gw") == found("b")
    other = Pushed(found("c"), question="other")
    world.take(other)
    world.advance(2)
    assert source.tell is None, "the old one is followed no longer"
    assert other.tell is not None
    world.take()
    world.advance(1)
    assert other.tell is None


def test_a_bug_in_following_ends_the_run(world: World) -> None:
    source = Pushed(found("a"))
    world.take(source)
    world.advance(1)
    source.crash = True
    world.advance(2)
    (task,) = world.tasks
    error = task.exception()
    assert isinstance(error, ExceptionGroup)
    assert isinstance(error.exceptions[0], ZeroDivisionError)
