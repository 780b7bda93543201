"""The kernel's stamps on our clock, and when they are not believed: clocks here say what a test tells them."""

import socket
import struct

import pytest

from exporter.transport.clocks import CLOCK_MOVED, MISSING, OPTION, OUT_OF_ORDER, ROOM, USED, Clocks, available

SECOND = 1_000_000_000
EPOCH = 1_800_000_000 * SECOND
MS = 1_000_000
#: Seconds that reading both clocks takes, and by which moments seem later for it.
GRAIN = 1e-7


class World:
    """Both clocks. `wall` is what the wall clock is ahead by; `taken`: nanoseconds for which the core goes to others
    between the next readings of the two, one after the other.
    """

    def __init__(self) -> None:
        self.now = 5 * SECOND
        self.wall = EPOCH
        self.taken: list[int] = []
        self.overtaken = False
        self.counts: dict[str, int] = {}
        self.clocks = Clocks(self.counts, self.read_wall, lambda: self.now)

    def read_wall(self) -> int:
        read = self.now + self.wall
        self.now += self.taken.pop(0) if self.taken else 50
        return read

    def arrival(self) -> list[tuple[int, int, bytes]]:
        """What the kernel puts beside bytes that arrive now."""
        return [(socket.SOL_SOCKET, OPTION, struct.pack("=qq", *divmod(self.now + self.wall, SECOND)))]

    def moment(self, beside: list[tuple[int, int, bytes]], after: float = 0.0) -> float:
        return self.clocks.moment(beside, after, lambda: self.overtaken)

    def told(self) -> dict[str, int]:
        return {result: count for result, count in self.counts.items() if count}


@pytest.fixture
def world() -> World:
    return World()


def test_a_stamp_is_the_moment_of_the_arrival_and_not_of_the_read(world: World) -> None:
    arrived, beside = world.now, world.arrival()
    world.now += 30 * MS
    assert world.moment(beside) == pytest.approx(arrived / SECOND, abs=GRAIN)
    assert world.told() == {USED: 1}


@pytest.mark.parametrize("beside", [[], [(socket.SOL_SOCKET, 1, b"x" * 16)], [(socket.SOL_SOCKET, OPTION, b"")]])
def test_one_that_is_missing(world: World, beside: list[tuple[int, int, bytes]]) -> None:
    assert world.moment(beside) == 0.0
    assert world.told() == {MISSING: 1}


@pytest.mark.parametrize("step", [SECOND * 3600, -SECOND * 3600, 5 * MS, -5 * MS, MS // 10, -MS // 10])
def test_the_clock_is_set_between_arrival_and_read(world: World, step: int) -> None:
    beside = world.arrival()
    world.now += 10 * MS
    world.wall += step
    world.now += 10 * MS
    assert world.moment(beside) == 0.0
    assert world.told() == {CLOCK_MOVED: 1}
    world.now += MS
    arrived, beside = world.now, world.arrival()
    world.now += MS
    assert world.moment(beside) == pytest.approx(arrived / SECOND, abs=GRAIN)  # believed again, by the new difference


@pytest.mark.parametrize("step", [5 * MS, SECOND])
def test_another_read_noticed_it_first(world: World, step: int) -> None:
    """What lay unread when the clock was set forward would seem to have arrived before it did."""
    first, second = world.arrival(), world.arrival()
    world.wall += step
    assert world.moment(first) == 0.0
    assert world.moment(second) == 0.0
    assert world.told() == {CLOCK_MOVED: 2}


@pytest.mark.parametrize("step", [5 * MS, SECOND])
def test_set_back_and_another_read_noticed_it_first(world: World, step: int) -> None:
    """It would seem to arrive later than it did; never than it was read."""
    arrived = world.now
    first, second = world.arrival(), world.arrival()
    world.wall -= step
    world.now += 2 * MS
    assert world.moment(first) == 0.0
    world.now += 2 * MS
    at = world.moment(second)
    assert at == 0.0 or arrived / SECOND <= at <= world.now / SECOND


def test_the_core_was_taken_away_between_two_readings(world: World) -> None:
    arrived, beside = world.now, world.arrival()
    world.taken = [8 * MS, 3 * MS]
    assert world.moment(beside) == pytest.approx(arrived / SECOND, abs=GRAIN)
    assert world.told() == {USED: 1}


def test_small_steps_add_up(world: World) -> None:
    for _ in range(10):
        world.wall += MS // 100  # each is below what is noticed
        world.now += MS
        world.moment(world.arrival())
    assert world.counts[CLOCK_MOVED] >= 3
    arrived, beside = world.now, world.arrival()
    at = world.moment(beside)
    assert at == 0.0 or abs(at - arrived / SECOND) <= 20e-6


def test_it_cannot_be_before_the_request(world: World) -> None:
    beside = world.arrival()
    world.now += MS
    assert world.moment(beside, after=world.now / SECOND) == 0.0
    assert world.told() == {OUT_OF_ORDER: 1}


def test_it_cannot_be_in_the_future(world: World) -> None:
    world.now += 10 * MS
    beside = world.arrival()
    world.now -= 10 * MS
    assert world.moment(beside) == 0.0
    assert world.told() == {OUT_OF_ORDER: 1}


def test_a_packet_that_overtook_others_waited_for_them(world: World) -> None:
    world.overtaken = True
    assert world.moment(world.arrival())  # it is read at once: there is nothing to be wrong by
    beside = world.arrival()
    world.now += 2 * MS
    assert world.moment(beside) == 0.0
    assert world.told() == {USED: 1, OUT_OF_ORDER: 1}


def test_this_system_stamps() -> None:
    assert available()  # the tests of the driver rest on it
    with socket.socket() as sock:
        sock.setsockopt(socket.SOL_SOCKET, OPTION, 1)
        assert ROOM >= 32


def test_another_system_does_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.platform", "darwin")
    assert not available.__wrapped__()
