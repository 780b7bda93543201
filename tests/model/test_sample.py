"""Answers held against each other: a distance that is one, and a sample that stays small."""

import math
import sys
import time
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from exporter.model.observation import Output
from exporter.model.sample import (
    NEAR,
    NEAR_ANGLE,
    NUMBERS_KEPT,
    STEPS,
    TEXT_KEPT,
    TEXT_SEEN,
    Sample,
    distance,
    edits,
    same,
    take,
)

NUMBERS = st.floats(allow_nan=False, allow_infinity=False) | st.integers(-(2**70), 2**70)
LEAVES = st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=20)
JSON = st.recursive(LEAVES, lambda inner: st.lists(inner) | st.dictionaries(st.text(max_size=5), inner), max_leaves=20)
OUTPUTS = st.one_of(
    st.text(max_size=400).map(lambda text: Output(text=text)),
    st.binary(max_size=400).map(lambda body: Output(body=body)),
    JSON.map(lambda value: Output(essence=value)),
    JSON.map(lambda value: Output(value)),
    st.lists(NUMBERS, min_size=1, max_size=90).map(lambda vector: Output(vectors=(tuple(map(float, vector)),))),
)


def sample(output: Output) -> Sample:
    found = take(output)
    assert found is not None
    return found


def text(said: str) -> Sample:
    return sample(Output(text=said))


def numbers(*found: Any) -> Sample:
    return sample(Output(essence=list(found)))


def vector(*found: float) -> Sample:
    return sample(Output(vectors=[found]))


def by_the_table(one: str, other: str) -> int:
    """Levenshtein distance as the books have it."""
    row = list(range(len(other) + 1))
    for place, char in enumerate(one, 1):
        before, row[0] = row[0], place
        for column, wanted in enumerate(other, 1):
            before, row[column] = row[column], min(row[column] + 1, row[column - 1] + 1, before + (char != wanted))
    return row[-1]


@given(st.text(alphabet="abc", max_size=40), st.text(alphabet="abc", max_size=40))
@example("", "abc")
@example("kitten", "sitting")
def test_edits_are_those_of_the_table(one: str, other: str) -> None:
    assert edits(one, other) == by_the_table(one, other)


@given(OUTPUTS, OUTPUTS)
def test_the_distance_is_one(one: Output, other: Output) -> None:
    left, right = take(one), take(other)
    if left is None or right is None:
        return
    apart = distance(left, right)
    assert 0.0 <= apart <= 1.0
    assert apart == pytest.approx(distance(right, left), abs=1e-12)
    assert same(left, right) == same(right, left)
    assert (apart > 0.0) or same(left, right)
    for each in (left, right):
        assert distance(each, each) == 0.0
        assert same(each, each)


@given(OUTPUTS)
def test_the_same_again_is_the_same(output: Output) -> None:
    left, right = take(output), take(output)
    assert left is None or right is None or (same(left, right) and distance(left, right) == 0.0)


def test_of_text_every_character_counts() -> None:
    assert same(text("OK."), text("OK."))
    assert not same(text("OK."), text("OK"))
    assert distance(text("OK."), text("OK")) == pytest.approx(1 / 3)
    assert distance(text("abc"), text("xyz")) == 1.0


@pytest.mark.parametrize("place", [TEXT_KEPT, TEXT_SEEN - 2])
def test_a_difference_behind_what_is_kept_is_seen_and_small(place: int) -> None:
    long = "a" * (TEXT_SEEN + 100)
    other = long[:place] + "b" + long[place + 1 :]
    assert not same(text(long), text(other))
    assert 0.0 < distance(text(long), text(other)) < 0.001


def test_the_last_digits_of_numbers_do_not_count() -> None:
    one, other = numbers(0.98, 0.02), numbers(0.98 * (1 + 1e-6), 0.02)
    assert same(one, other)
    assert 0.0 < distance(one, other) < NEAR
    assert not same(numbers(0.98, 0.02), numbers(0.95, 0.05))


def test_a_score_that_is_one_now_and_then_is_the_same_score() -> None:
    assert same(numbers(1.0, 0.0), numbers(0.9999999, 0.0))


def test_whole_numbers_are_classes_and_counts() -> None:
    assert not same(numbers(100_000), numbers(100_001))
    many = [7] * (STEPS - 10)
    assert not same(numbers(*many), numbers(*many[:-1], 8))
    assert distance(numbers(*many), numbers(*many[:-1], 8)) > 0.0


def test_more_or_fewer_numbers_are_another_answer() -> None:
    assert distance(numbers(0.5), numbers(0.5, 0.5)) == 1.0


def test_numbers_no_arithmetic_can_square() -> None:
    assert distance(numbers(1.5e308), numbers(-1.5e308)) == 1.0
    assert distance(numbers(1.5e308), numbers(0.75e308)) == pytest.approx(1 / 3)
    assert 0.0 < distance(numbers(5e-324), numbers(1e-323)) <= 1.0
    assert not same(numbers(10**400), numbers(0.5))


def test_of_embeddings_the_direction_counts() -> None:
    assert same(vector(0.3, 0.4), vector(0.6, 0.8))
    assert distance(vector(1.0, 0.0), vector(0.0, 1.0)) == pytest.approx(1.0)
    assert distance(vector(1.0, 0.0), vector(-1.0, 0.0)) == 1.0
    assert distance(vector(1.0, 0.0), vector(1.0, 1.0)) == pytest.approx(1 - math.sqrt(0.5))
    assert distance(vector(0.0, 0.0), vector(0.0, 1.0)) == 1.0
    assert distance(vector(1.0, 0.001), vector(1.0, 0.0)) < NEAR_ANGLE


def test_what_tells_of_one_request_is_left_out() -> None:
    one = Output({"id": "a", "outputs": [1]}, essence=[["y", [1]]])
    assert same(sample(one), sample(Output({"id": "b", "outputs": [1]}, essence=[["y", [1]]])))


def test_the_order_of_keys_is_no_difference() -> None:
    assert same(sample(Output({"a": 1, "b": "x"})), sample(Output({"b": "x", "a": 1})))
    assert not same(sample(Output({"a": 1, "b": 2})), sample(Output({"a": 2, "b": 1})))


def test_words_beside_numbers() -> None:
    one = sample(Output([{"label": "POSITIVE", "score": 0.998}]))
    assert same(one, sample(Output([{"label": "POSITIVE", "score": 0.9980001}])))
    assert distance(one, sample(Output([{"label": "NEGATIVE", "score": 0.998}]))) > 0.1


@pytest.mark.parametrize(
    "output", [Output(), Output(text=""), Output(essence=[""]), Output(essence=[]), Output(body=b"")]
)
def test_nothing_is_no_answer(output: Output) -> None:
    assert take(output) is None


def test_a_sample_is_small_whatever_the_answer() -> None:
    outputs = [
        Output(text="\U0001f600" * 1_000_000),
        Output(body=b"\xff" * 5_000_000),
        Output(vectors=[[0.5] * 4096] * 64),
        Output(essence=[[0.5] * 100_000] * 10),
        Output({str(number): number / 7 for number in range(100_000)}),
    ]
    for output in outputs:
        found = sample(output)
        assert sum(sys.getsizeof(getattr(found, name)) for name in Sample.__slots__) <= 2048
        assert len(found.numbers) <= NUMBERS_KEPT
        assert found.count <= STEPS


def test_what_is_looked_at_is_bounded() -> None:
    """A structure a thousand times as large costs no more than a few times the time."""

    def seconds(output: Output) -> float:
        best = math.inf
        for _ in range(5):
            began = time.perf_counter()
            take(output)
            best = min(best, time.perf_counter() - began)
        return best

    row = [0.5] * STEPS
    assert seconds(Output([row] * 1000)) < 20 * seconds(Output([row]))
    empty: list[list[list[float]]] = [[[]] * STEPS] * STEPS
    assert seconds(Output(empty)) < 20 * seconds(Output([row]))
