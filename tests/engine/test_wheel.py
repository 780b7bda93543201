"""The schedule on virtual time."""

import random
from collections import Counter

import pytest

from exporter.engine.wheel import AT_ONCE, SLOT, Planned, Wheel


class Entry(Planned):
    def __init__(self, wheel, every=None):
        super().__init__()
        self.wheel, self.every, self.calls = wheel, every, []

    def due(self, planned, now):
        self.calls.append((planned, now))
        if self.every:
            self.wheel.put(self, planned + self.every)


@pytest.fixture
def failures():
    return []


@pytest.fixture
def wheel(world, failures):
    wheel = Wheel(world.loop.time, failures.append)
    world.loop.call_soon(wheel.start)
    world.advance(0)
    yield wheel
    wheel.stop()


def test_called_within_a_slot_of_its_moment_and_never_before(world, wheel):
    dice = random.Random(1)
    entries = [(Entry(wheel), world.now + dice.random() * 10) for _ in range(500)]
    for entry, due in entries:
        wheel.put(entry, due)
    world.advance(11)
    for entry, due in entries:
        ((planned, now),) = entry.calls
        assert due - 1e-6 <= planned <= due + SLOT
        assert now == pytest.approx(planned, abs=1e-6)


def test_those_of_one_moment_are_called_in_the_order_they_came(world, wheel):
    entries = [Entry(wheel) for _ in range(3 * AT_ONCE)]
    called = []
    for number, entry in enumerate(entries):
        entry.due = lambda planned, now, number=number: called.append(number)
        wheel.put(entry, world.now + 1)
    world.advance(2)
    assert called == list(range(3 * AT_ONCE))


def test_regular_entries_keep_their_gaps(world, wheel):
    entry = Entry(wheel, every=13 * SLOT)
    wheel.put(entry, world.now + 0.1234)
    world.advance(100)
    gaps = {round(later[0] - sooner[0], 6) for sooner, later in zip(entry.calls, entry.calls[1:], strict=False)}
    assert gaps == {13 * SLOT}


def calls_by_turn(world, wheel, monkeypatch, many, advance):
    """How many of one slot's entries were called in each turn of the loop."""
    turns, called = [0], Counter()
    select = world.loop.selector.select

    def turn(timeout=None):
        turns[0] += 1
        return select(timeout)

    monkeypatch.setattr(world.loop.selector, "select", turn)

    class Noted(Planned):
        def due(self, planned, now):
            called[turns[0]] += 1

    for _ in range(many):
        wheel.put(Noted(), world.now + 0.5)
    advance()
    assert called.total() == many
    return list(called.values())


def test_the_loop_has_its_turn_between_the_entries_of_a_slot(world, wheel, monkeypatch):
    """Else what arrives for the first one is stamped when the last one has been started."""
    each = calls_by_turn(world, wheel, monkeypatch, 4 * AT_ONCE, lambda: world.advance(1))
    assert each == [AT_ONCE] * 4


def test_more_at_once_the_later_it_is(world, wheel, monkeypatch):
    """A few per turn would not be enough: other things make the turns long."""

    def late():
        world.loop.freeze(0.5 + 2 * SLOT)
        world.advance(SLOT / 2)

    assert calls_by_turn(world, wheel, monkeypatch, 7 * AT_ONCE, late) == [3 * AT_ONCE, 3 * AT_ONCE, AT_ONCE]


def test_an_earlier_plan_is_forgotten(world, wheel):
    entry = Entry(wheel)
    for after in (5.0, 1.0, 9.0, 1.0, 3.0):
        wheel.put(entry, world.now + after)
    world.advance(20)
    assert len(entry.calls) == 1
    assert entry.calls[0][0] == pytest.approx(1003.0)


def test_put_earlier_than_everything_else_wakes_in_time(world, wheel):
    late, soon = Entry(wheel), Entry(wheel)
    wheel.put(late, world.now + 100)
    world.advance(1)
    wheel.put(soon, world.now + 0.01)
    world.advance(0.02)
    assert len(soon.calls) == 1


def test_dropped_is_not_called(world, wheel):
    entry = Entry(wheel)
    wheel.put(entry, world.now + 1)
    wheel.drop(entry)
    world.advance(2)
    assert entry.calls == []


def test_planning_for_the_past_is_one_call_and_no_endless_turn(world, wheel):
    entry = Entry(wheel)
    wheel.put(entry, world.now - 50)
    world.advance(0.1)
    assert len(entry.calls) == 1
    again = Entry(wheel, every=-1.0)
    wheel.put(again, world.now)
    world.advance(1.0)
    assert len(again.calls) <= 1.0 / SLOT + 2


def test_a_failing_entry_does_not_stop_the_others(world, wheel, failures):
    class Bad(Planned):
        def due(self, planned, now):
            raise ValueError

    good = Entry(wheel)
    for entry in (Bad(), good):
        wheel.put(entry, world.now + 1)
    world.advance(2)
    assert len(good.calls) == 1
    assert [type(error) for error in failures] == [ValueError]


def test_a_timer_that_fires_early_does_not_call_twice(world, wheel, monkeypatch):
    """uvloop rounds to milliseconds and may wake a little before the moment."""
    call_later = world.loop.call_later
    monkeypatch.setattr(
        world.loop, "call_later", lambda delay, *rest, **more: call_later(max(0.0, delay - 0.001), *rest, **more)
    )
    entry = Entry(wheel, every=0.1)
    wheel.put(entry, world.now + 0.1)
    world.advance(10.05)
    assert len(entry.calls) == 100
    assert all(-0.0015 <= now - planned <= 0.0 for planned, now in entry.calls[1:])


def test_stopped_it_calls_nobody_and_started_again_it_goes_on(world, wheel):
    entry = Entry(wheel)
    wheel.put(entry, world.now + 1)
    wheel.stop()
    world.advance(5)
    assert (entry.calls, wheel.turning) == ([], False)
    world.loop.call_soon(wheel.start)
    world.advance(0.01)
    assert len(entry.calls) == 1
