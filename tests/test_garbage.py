import asyncio
import gc
import platform
import subprocess
import sys
import weakref
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from exporter import garbage
from exporter.garbage import HOUR, RUNS, Kept, in_small_steps, never, rarely


class Ring:
    """Refers to itself, so that only a collection ends it."""

    def __init__(self) -> None:
        self.me: Any = self


@pytest.fixture(autouse=True)
def collecting_by_hand() -> Iterator[None]:
    gc.disable()
    usual = gc.get_threshold()
    yield
    gc.set_threshold(*usual)
    gc.unfreeze()
    gc.enable()


def test_never_ends_as_it_began() -> None:
    for usual in (False, True):
        if usual:
            gc.enable()
        with never():
            with never():
                pass
            assert not gc.isenabled()
        assert gc.isenabled() is usual
    gc.disable()


def test_what_is_garbage_already_is_not_kept() -> None:
    seen = weakref.ref(Ring())
    assert seen() is not None
    Kept().take(1)
    assert seen() is None


def test_one_of_many_that_is_replaced_is_no_reason_to_look_at_all() -> None:
    kept, ring = Kept(), Ring()
    seen = weakref.ref(ring)
    kept.take(10_000)
    del ring
    kept.replaced += 1
    kept.take(10_000)
    assert seen() is not None
    kept.replaced += 1000
    kept.take(10_000)
    assert seen() is None
    assert kept.replaced == 0


def test_without_end_all_is_looked_at_now_and_then() -> None:
    kept, ring = Kept(), Ring()
    seen = weakref.ref(ring)
    kept.take(5)
    del ring
    for _ in range(200):
        kept.take(5)
    assert seen() is None


def test_it_is_looked_for_as_often_as_before_once_all_is_loaded() -> None:
    usual = gc.get_threshold()
    with rarely():
        assert gc.get_threshold() > usual
    assert gc.get_threshold() == usual


def test_while_records_gather_all_is_hardly_ever_looked_at() -> None:
    in_small_steps()
    looks: Counter[int] = Counter()

    def look(phase: str, info: dict[str, int]) -> None:
        looks[info["generation"]] += phase == "start"

    gc.collect()
    gc.callbacks.append(look)
    gc.enable()
    records = [[number] for number in range(300_000)]
    gc.callbacks.remove(look)
    assert len(records) == 300_000
    assert looks[0] + looks[1] > 300
    assert looks[2] == 0


def test_what_refers_to_itself_and_is_young_goes_all_the_same() -> None:
    in_small_steps()
    seen = weakref.ref(Ring())
    gc.enable()
    for _ in range(10_000):
        Ring()
    assert seen() is None


def test_what_runs_leave_in_place_of_others_is_looked_at_in_steps() -> None:
    """As many objects go as come, so their number tells nothing."""
    in_small_steps()
    kept = Kept()
    largest = 0

    def look(phase: str, info: dict[str, int]) -> None:
        nonlocal largest
        if phase == "start":
            largest = max(largest, len(gc.get_objects(0)) + len(gc.get_objects(1)))

    lasts = [[[number] for number in range(8)] for _ in range(10_000)]
    gc.collect()
    gc.callbacks.append(look)
    gc.enable()
    for last in lasts:
        last[:] = [[number] for number in range(8)]
        kept.ran()
    gc.disable()
    gc.callbacks.remove(look)
    assert 0 < largest < 4 * 8 * RUNS


def test_while_nothing_is_to_be_looked_at_runs_do_not_look_either() -> None:
    kept, seen = Kept(), weakref.ref(Ring())
    for _ in range(3 * RUNS):
        kept.ran()
    assert seen() is not None
    gc.enable()
    kept.ran()
    assert seen() is None


def test_once_an_hour_all_is_looked_at() -> None:
    now = [0.0]
    kept, ring = Kept(lambda: now[0]), Ring()
    seen = weakref.ref(ring)
    gc.collect()
    gc.enable()
    del ring
    for now[0] in (HOUR - 1, HOUR):
        assert seen() is not None
        for _ in range(RUNS):
            kept.ran()
    assert seen() is None


#: Prints how many MB more there are after threads had large pieces, with a little beside each that stays.
PIECES = """
import sys, threading
from exporter.garbage import _libc, _taken, one_heap
if sys.argv[1] == "one_heap":
    one_heap()
kept = []
def work():
    for _ in range(3):
        pieces = []
        for size in range(10):
            pieces.append(bytes(5_000_000 + size))
            kept.append(bytes(2000))
before = _taken()
for _ in range(4):
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
_libc("malloc_trim")(0)
print((_taken() - before) * 4096 / 1e6)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library")
def test_what_threads_freed_is_the_systems_again() -> None:
    def left(how: str) -> float:
        return float(subprocess.check_output([sys.executable, "-c", PIECES, how], text=True))

    assert left("one_heap") < 5 < left("a heap each")


async def test_memory_is_given_back_where_more_was_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    looks, pages, given = [1040, 900, 940, 960, 960, 970], [1000], []

    def trim(keep: int) -> int:
        given.append((pages[0], keep))
        pages[0] -= 40
        return 1

    async def sleep(seconds: float) -> None:
        assert seconds == garbage.LOOK
        if not looks:
            raise asyncio.CancelledError
        pages[0] = looks.pop(0)

    monkeypatch.setattr(asyncio, "sleep", sleep)
    monkeypatch.setattr(garbage, "_taken", lambda: pages[0])
    monkeypatch.setattr(garbage, "_libc", {"malloc_trim": trim}.__getitem__)
    with pytest.raises(asyncio.CancelledError):
        await garbage.give_back()
    # A twentieth more than the least there was; then than what was left.
    assert given == [(960, 0), (970, 0)]


def test_another_c_library_has_no_such_thing() -> None:
    assert garbage._libc("a_name_that_no_library_has")(1, 2) == 0
