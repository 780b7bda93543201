"""Which shard has a target: the same everywhere, evenly, and a new number of shards moves as little as can be."""

from collections import Counter

import pytest

from exporter.config.roster import shard_of

NAMES = [f"assistant-{number}.models:8000/llama-{number % 7}" for number in range(10_000)]


def homes(count: int) -> list[int]:
    return [shard_of(name, count) for name in NAMES]


@pytest.mark.parametrize("count", [1, 2, 3, 10, 99])
def test_one_more_shard_takes_its_share_and_moves_nothing_else(count: int) -> None:
    before, after = homes(count), homes(count + 1)
    moved = [new for old, new in zip(before, after, strict=True) if new != old]
    assert set(moved) == {count}, "a target moved between shards that were there before"
    # The least there can be: what the new one has has to come from somewhere.
    assert len(moved) / len(NAMES) == pytest.approx(1 / (count + 1), rel=0.2)


def test_shards_are_even() -> None:
    counted = Counter(homes(10))
    assert len(counted) == 10
    assert max(counted.values()) < 1.15 * len(NAMES) / 10


def test_a_shard_is_the_same_in_every_process_and_version() -> None:
    """A StatefulSet is rolled pod by pod: two versions share the targets meanwhile."""
    assert [shard_of(name, 5) for name in ("a", "b", "chat", "größe", "x/y@10.0.0.1:80")] == [0, 0, 2, 1, 3]
