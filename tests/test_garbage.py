import gc
import weakref
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

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
