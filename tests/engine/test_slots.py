"""Host first, then global; three lanes; first come, first served."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.engine.slots import Limits, Slots, Stage, Ticket
from exporter.ledger import Own


class Guest(Ticket):
    def __init__(self, host="h", *, slow=False, behind=False):
        super().__init__(host, slow=slow, behind=behind)
        self.grants = 0

    def granted(self):
        self.grants += 1

    @property
    def inside(self):
        return self.stage is Stage.IN


@pytest.fixture
def own():
    return Own()


def ask(slots, *guests):
    for guest in guests:
        slots.ask(guest)
    return guests


def test_granted_at_once_while_there_is_room(own):
    slots = Slots(Limits(2, 2), own)
    a, b, c = ask(slots, Guest("a"), Guest("b"), Guest("c"))
    assert (a.inside, b.inside, c.inside) == (True, True, False)
    assert (own.in_flight, own.waiting, own.slots) == (2, 1, 2)
    slots.leave(a)
    assert c.inside
    assert (own.in_flight, own.waiting) == (2, 0)


def test_waiting_for_a_host_holds_no_global_slot(own):
    slots = Slots(Limits(3, 1), own)
    first, *rest = ask(slots, *(Guest("slow-host") for _ in range(5)))
    others = ask(slots, Guest("a"), Guest("b"))
    assert first.inside
    assert not any(guest.inside for guest in rest)
    assert all(guest.inside for guest in others)


def test_the_slow_lane_holds_at_most_half(own):
    slots = Slots(Limits(4, 8), own)
    slow = ask(slots, *(Guest(f"s{index}", slow=True) for index in range(4)))
    fast = ask(slots, *(Guest(f"f{index}") for index in range(3)))
    assert [guest.inside for guest in slow] == [True, True, False, False]
    assert [guest.inside for guest in fast] == [True, True, False]
    slots.leave(fast[0])
    assert fast[2].inside
    assert not slow[2].inside


def test_the_slow_lane_holds_at_most_half_of_a_host_too(own):
    slots = Slots(Limits(100, 4), own)
    slow = ask(slots, *(Guest(slow=True) for _ in range(4)))
    assert sum(guest.inside for guest in slow) == 2
    assert ask(slots, Guest())[0].inside


def test_a_single_slot_serves_both_lanes(own):
    slots = Slots(Limits(1, 1), own)
    slow, fast = ask(slots, Guest("a", slow=True), Guest("b"))
    assert slow.inside
    slots.leave(slow)
    assert fast.inside


def test_first_come_first_served_across_lanes(own):
    slots = Slots(Limits(2, 8), own)
    inside = ask(slots, Guest("a"), Guest("b"))
    waiting = ask(slots, Guest("c", slow=True), Guest("d"), Guest("e", slow=True))
    slots.leave(inside[0])
    assert [guest.inside for guest in waiting] == [True, False, False]
    slots.leave(inside[1])
    assert [guest.inside for guest in waiting] == [True, True, False]
    slots.leave(waiting[0])
    (late,) = ask(slots, Guest("f"))
    assert (waiting[2].inside, late.inside) == (True, False)
    last = ask(slots, Guest("g", slow=True))[0]
    slots.leave(waiting[2])
    assert (late.inside, last.inside) == (True, False)


def test_who_leaves_the_queue_is_passed_over(own):
    slots = Slots(Limits(1, 8), own)
    inside, gone, back, last = ask(slots, Guest("a"), Guest("b"), Guest("c"), Guest("d"))
    slots.leave(gone)
    slots.leave(back)
    slots.ask(back)  # now behind the last
    slots.leave(inside)
    assert (gone.grants, back.grants, last.grants) == (0, 0, 1)
    slots.leave(last)
    assert back.grants == 1
    assert own.waiting == 0


def test_leaving_twice_gives_back_once(own):
    slots = Slots(Limits(1, 1), own)
    (guest,) = ask(slots, Guest())
    slots.leave(guest)
    slots.leave(guest)
    assert own.in_flight == 0
    assert [each.inside for each in ask(slots, Guest("a"), Guest("b"))] == [True, False]


def test_larger_limits_let_more_in_and_smaller_ones_interrupt_nobody(own):
    slots = Slots(Limits(1, 1), own)
    guests = ask(slots, Guest("a"), Guest("a"), Guest("b"))
    slots.limits = Limits(3, 2)
    assert all(guest.inside for guest in guests)
    slots.limits = Limits(1, 1)
    late = Guest("c")
    slots.ask(late)
    for guest in guests[:2]:
        slots.leave(guest)
        assert not late.inside
    slots.leave(guests[2])
    assert late.inside
    assert own.slots == 1


def test_whoever_stands_behind_goes_when_nobody_else_may(own):
    slots = Slots(Limits(1, 8), own)
    first, behind, slow, fast = ask(slots, Guest("a"), Guest("b", behind=True), Guest("c", slow=True), Guest("d"))
    slots.leave(first)
    assert (slow.inside, fast.inside, behind.inside) == (True, False, False)
    slots.leave(slow)
    assert (fast.inside, behind.inside) == (True, False)
    slots.leave(fast)
    assert behind.inside


def test_those_behind_leave_half_of_the_slots_free(own):
    slots = Slots(Limits(8, 4), own)
    behind = ask(slots, *(Guest("a", behind=True) for _ in range(4)))
    assert [guest.inside for guest in behind] == [True, True, False, False]
    assert all(guest.inside for guest in ask(slots, Guest("a"), Guest("a", slow=True)))
    slots.leave(behind[0])
    assert behind[2].inside


def test_those_behind_take_no_place_in_the_slow_lane(own):
    slots = Slots(Limits(2, 8), own)
    behind, slow = ask(slots, Guest("a", slow=True, behind=True), Guest("b", slow=True))
    assert behind.inside
    assert slow.inside


moves = st.lists(
    st.tuples(st.integers(0, 11), st.sampled_from("abc"), st.sampled_from(["fast", "slow", "behind"])), max_size=80
)


@given(moves=moves, concurrency=st.integers(1, 5), per_host=st.integers(1, 3))
def test_limits_hold_and_nobody_waits_beside_a_free_slot(moves, concurrency, per_host):
    own = Own()
    slots = Slots(Limits(concurrency, per_host), own)
    guests = {}
    for who, host, lane in moves:
        before = {guest: guest.stage for guest in guests.values()}
        if who in guests:
            slots.leave(guests.pop(who))
        else:
            guests[who] = Guest(host, slow=lane == "slow", behind=lane == "behind")
            slots.ask(guests[who])
        inside = [guest for guest in guests.values() if guest.inside]
        assert len(inside) <= concurrency
        assert sum(guest.slow for guest in inside) <= max(1, concurrency // 2)
        assert sum(guest.behind for guest in inside) <= max(1, concurrency // 2)
        for name in "abc":
            assert sum(guest.host == name for guest in inside) <= per_host
            assert sum(guest.host == name for guest in inside if guest.behind) <= max(1, per_host // 2)
        for guest in [guest for guest in guests.values() if guest.behind and before.get(guest) is not guest.stage]:
            # It moved on: nobody stood there who may always go first.
            waiting = [each for each in guests.values() if not (each.slow or each.behind)]
            if guest.stage is Stage.IN:
                assert not any(each.stage is Stage.GLOBAL for each in waiting)
            if guest.stage is not Stage.HOST and before.get(guest) is not Stage.GLOBAL:
                assert not any(each.stage is Stage.HOST and each.host == guest.host for each in waiting)
        assert (own.in_flight, own.in_flight + own.waiting) == (len(inside), len(guests))
        fast = [guest for guest in guests.values() if not (guest.slow or guest.behind or guest.inside)]
        if len(inside) < concurrency:
            held = {
                name: sum(g.stage in (Stage.IN, Stage.GLOBAL) and g.host == name for g in guests.values())
                for name in "abc"
            }
            assert all(held[guest.host] >= per_host for guest in fast)
    for guest in guests.values():
        slots.leave(guest)
    assert (own.in_flight, own.waiting) == (0, 0)
    assert not slots._hosts
