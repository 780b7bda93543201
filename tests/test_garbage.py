import gc
import weakref
from collections.abc import Iterator
from typing import Any

import pytest

from exporter.garbage import Kept, rarely


class Ring:
    """Refers to itself, so that only a collection ends it."""

    def __init__(self) -> None:
        self.me: Any = self


@pytest.fixture(autouse=True)
def collecting_by_hand() -> Iterator[None]:
    gc.disable()
    yield
    gc.unfreeze()
    gc.enable()


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
