"""From what a source tells to a record: in slices, bounded, and nothing lost or counted twice."""

import asyncio
import time
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass, field
from itertools import pairwise
from typing import ClassVar

import pytest

from exporter.ledger.training import TrainingRecord
from exporter.model.training import Outcome, Reading, Rules
from exporter.training import follow
from exporter.training.follow import Follower, Job, Pace
from exporter.training.sources import Anew, Ended, Event, Gap, Pause, Text, Values
from exporter.training.sources.backlog import Backlog
from exporter.transport import Transport


@dataclass(frozen=True)
class Script:
    """A source that tells what a test says, and ends."""

    told: tuple[Event, ...]
    pressing: bool = False
    shown: ClassVar[str] = "a script"
    before: Callable[[int], object] = field(default=lambda at: None, compare=False)

    async def events(self, transport: Transport) -> AsyncGenerator[Event, None]:
        for at, event in enumerate(self.told):
            self.before(at)
            yield event


def text(data: str | bytes, at: float = 1000.0) -> Text:
    return Text(data if isinstance(data, bytes) else data.encode(), at)


async def followed(
    *told: Event, rules: Rules | None = None, record: TrainingRecord | None = None, **more: object
) -> TrainingRecord:
    """The record after everything was told."""
    rules = rules or Rules()
    record = record or TrainingRecord("job", rules, 0.0)
    job = Job("job", Script(told), preset="plain", rules=rules)
    transport = Transport(user_agent="test")
    await Follower(job, record, transport, Pace(share=1.0), **more).run()  # type: ignore[arg-type]
    await transport.close()
    return record


async def test_lines_become_numbers() -> None:
    heard: list[tuple[Reading, float]] = []
    record = await followed(
        text("Epoch 1/10 - loss: 0.5\nEpo"), text("ch 2/10 - loss: 0.25\nnothing here\n", 1001.0),
        told=lambda reading, at: heard.append((reading, at)),
    )  # fmt: skip
    assert (record.values, record.epoch, record.last_value_at) == ({"loss": 0.25}, 2.0, 1001.0)
    assert (record.line_count, record.skipped_lines) == (3, 0)
    assert [at for _, at in heard] == [1000.0, 1001.0]


async def test_the_last_line_needs_no_end() -> None:
    record = await followed(text("loss: 0.5"))
    assert (record.values, record.line_count) == ({"loss": 0.5}, 1)


async def test_what_was_cut_is_never_half_a_number() -> None:
    record = await followed(text("loss: 0.12\nloss: 0.1"), Gap(7), text("loss: 0.25\n"))
    assert record.values == {"loss": 0.25}
    assert (record.line_count, record.skipped_lines) == (9, 7)
    record = await followed(text("loss: 0.25\nloss: 0.1"), Gap())
    assert record.values == {"loss": 0.25}


async def test_lines_that_are_too_long_are_counted() -> None:
    record = await followed(text("loss: 1" + "0" * 100_000 + "\nloss: 0.5\n"))
    assert (record.values, record.line_count, record.skipped_lines) == ({"loss": 0.5}, 2, 1)


async def test_a_pattern_that_explodes_skips_lines() -> None:
    record = TrainingRecord("job", Rules(), 0.0)
    job = Job("job", Script((text("x" * 5000 + "!\nloss=2\n"),)), regex=r"(?:(?:x+)+y)|loss=(?P<loss>\d+)")
    transport = Transport(user_agent="test")
    await Follower(job, record, transport, Pace()).run()
    await transport.close()
    assert (record.values, record.line_count, record.skipped_lines) == ({"loss": 2.0}, 2, 1)


async def test_values_of_a_tracking_server() -> None:
    record = await followed(Values(Reading(step=3, values=(("loss", 0.5),)), 5.0), Ended(Outcome.FAILED))
    assert (record.step, record.values, record.outcome) == (3, {"loss": 0.5}, Outcome.FAILED)
    assert (record.last_value_at, record.line_count) == (5.0, 0)


async def test_reconnects_are_counted_and_told_once(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("INFO"):
        record = await followed(*[Pause("down", True)] * 3, Pause("missing", False), text("loss: 0.5\n"))
    assert record.reconnects == 3
    told = [(record.levelname, record.fields["why"]) for record in caplog.records if hasattr(record, "fields")]  # type: ignore[attr-defined]
    assert told == [("WARNING", "down"), ("INFO", "missing")]


async def test_a_log_that_begins_anew() -> None:
    """A rotated file goes on; one in which the job is further back than it was is that of another run."""
    before = text("Epoch 5/10 - loss: 0.5 - acc: 0.9\n")
    rotated = await followed(before, Gap(), Anew(sure=False), text("Epoch 6/10 - loss: 0.4\n"))
    assert rotated.values == {"loss": 0.4, "acc": 0.9}
    another = await followed(before, Gap(), Anew(sure=False), text("Epoch 1/10 - loss: 2.0\n", 2000.0))
    assert (another.values, another.since) == ({"loss": 2.0}, 2000.0)
    assert another.line_count == 2
    resumed = await followed(before, text("Epoch 1/10 - loss: 2.0\n"))
    assert resumed.values == {"loss": 2.0, "acc": 0.9}
    sure = await followed(before, Anew(sure=True), text("nothing yet\n"))
    assert (sure.values, sure.epoch) == ({}, None)


async def test_the_end_is_told_once(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("INFO"):
        await followed(text("loss: 0.5\n"), Ended(Outcome.KILLED), Ended(Outcome.KILLED))
    (told,) = [record for record in caplog.records if record.message == "training ended"]
    assert told.levelname == "WARNING"
    assert told.fields == {"training": "job", "outcome": "killed"}  # type: ignore[attr-defined]


class TestPace:
    async def test_a_share_is_left_to_others(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Work takes its share of the time and no more, whoever does it, and never more than a slice at once."""
        now = 0.0
        slept: list[float] = []

        async def sleep(seconds: float) -> None:
            nonlocal now
            slept.append(seconds)
            now += seconds

        monkeypatch.setattr(follow.time, "perf_counter", lambda: now)
        monkeypatch.setattr(follow.asyncio, "sleep", sleep)
        pace = Pace(share=0.25, slice_=0.001)
        worked = 0.0

        def steps() -> object:
            nonlocal now, worked
            for _ in range(1000):
                now += 0.0001
                worked += 0.0001
                yield None

        for _ in range(5):
            await pace.work(steps())  # type: ignore[arg-type]
        assert worked == pytest.approx(0.5)
        assert now == pytest.approx(2.0, rel=0.05)
        assert max(slept) < 2 * 0.003 * 1.1  # what one slice and the beginning of another one owe

    async def test_small_pieces_are_settled_together(self, monkeypatch: pytest.MonkeyPatch) -> None:
        now = 0.0
        slept: list[float] = []

        async def sleep(seconds: float) -> None:
            nonlocal now
            slept.append(seconds)
            now += seconds

        monkeypatch.setattr(follow.time, "perf_counter", lambda: now)
        monkeypatch.setattr(follow.asyncio, "sleep", sleep)
        pace = Pace(share=0.25, slice_=0.001)

        def step() -> object:
            nonlocal now
            now += 0.0001
            yield None

        for _ in range(100):
            await pace.work(step())  # type: ignore[arg-type]
        assert len(slept) <= 11
        slept.clear()
        for _ in range(100):
            now += 1.0  # nothing is owed after a rest
            await pace.work(step())  # type: ignore[arg-type]
        assert not slept


class TestBacklog:
    async def test_all_comes_in_order_while_it_is_read(self) -> None:
        told = (text("a\n"), Pause("x", True), text("b\n"), Gap(3), text("c\n"))
        found = [event async for event in Backlog().through(Script(told).events(None))]  # type: ignore[arg-type]
        assert found == list(told)

    async def test_a_sender_is_held_up_first(self) -> None:
        sent: list[int] = []
        script = Script(tuple(text("x" * 99 + "\n") for _ in range(100)), before=sent.append)
        backlog = Backlog(limit=1000, patience=60.0).through(script.events(None))  # type: ignore[arg-type]
        found = 0
        async for event in backlog:
            await asyncio.sleep(0.002)
            assert isinstance(event, Text)
            found += 1
            assert len(sent) - found <= 12
        assert found == 100

    @pytest.mark.parametrize("size", [1, 7, 10, 33, 1000])
    async def test_what_is_too_much_for_too_long_is_left_out_by_whole_lines(self, size: int) -> None:
        log = b"".join(b"line %d\n" % number for number in range(1000))
        script = Script(tuple(text(log[at : at + size]) for at in range(0, len(log), size)))
        record = TrainingRecord("job", Rules(), 0.0)
        whole = b""
        left_out = 0
        async for event in Backlog(limit=500, patience=0.0).through(script.events(None)):  # type: ignore[arg-type]
            if isinstance(event, Text):
                whole += event.data
            elif isinstance(event, Gap):
                left_out += event.lines
                whole = whole[: whole.rfind(b"\n") + 1]
        assert left_out > 0
        lines = whole.splitlines()
        assert set(lines) <= set(log.splitlines())
        assert abs(len(lines) + left_out - 1000) <= left_out // 20 + 2
        assert record.line_count == 0

    async def test_what_a_source_raises_is_raised(self) -> None:
        async def broken() -> AsyncGenerator[Event, None]:
            yield text("a")
            raise ValueError("broken")

        events = Backlog().through(broken())
        assert await anext(events) == text("a")
        with pytest.raises(ValueError, match="broken"):
            await anext(events)


@pytest.mark.slow
async def test_a_flood_disturbs_nobody() -> None:
    """The loop is given back after each slice, and most of its time is left to others."""
    log = b"".join(b"[job-1] Epoch %d/10000 - loss: 0.%d - acc: 0.5\n" % (n % 10_000, n) for n in range(20_000))
    pieces = tuple(text(log[at : at + 65_536]) for at in range(0, len(log), 65_536))
    record = TrainingRecord("job", Rules(), 0.0)
    transport = Transport(user_agent="test")
    follower = Follower(Job("job", Script(pieces), preset="plain"), record, transport, Pace())
    turns: list[float] = []

    async def watch() -> None:
        while True:
            turns.append(time.process_time())
            await asyncio.sleep(0)

    # What the loop costs that only turns has to be known: it is not the follower's.
    watching = asyncio.create_task(watch())
    began = time.perf_counter()
    await follower.run()
    took = time.perf_counter() - began
    watching.cancel()
    await transport.close()
    assert record.line_count == 20_000
    assert record.values["loss"] == pytest.approx(0.19999)
    held = sorted((later - earlier for earlier, later in pairwise(turns)), reverse=True)
    slices = [seconds for seconds in held if seconds > follow.SLICE / 2]
    # Of a slice that took longer somebody else had the processor; most did not.
    assert slices[len(slices) // 2] < 3 * follow.SLICE
    assert sum(slices) < took / 2
