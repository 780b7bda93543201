"""What holds of any answers, whatever they are: scores and their intervals."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.evaluation.intervals import student, wilson
from tests.evaluation.test_scorers import score, scorer

pytestmark = pytest.mark.slow

classes = st.sampled_from(["cat", "dog", "bird", "fish"])
finite = st.floats(-1e100, 1e100, allow_nan=False)
measured = st.integers(-(10**6), 10**6).map(lambda number: number / 1000)


@given(st.lists(st.tuples(classes, classes), min_size=1, max_size=40))
def test_what_holds_of_all_classes(pairs):
    expected, answered = zip(*pairs, strict=True)
    right = sum(one == other for one, other in pairs)
    accuracy, micro = score("accuracy", expected, answered), scorer("f1", average="micro")
    assert accuracy.value == pytest.approx(right / len(pairs))
    assert micro.value([micro.mark(one, other) for other, one in pairs]) == pytest.approx(accuracy.value)
    judge = scorer("f1")
    marks = [judge.mark(one, other) for other, one in pairs]
    assert 0.0 <= judge.value(marks) <= 1.0
    assert (judge.value(marks) == 1.0) == (right == len(pairs))
    assert judge.value(marks[::-1]) == pytest.approx(judge.value(marks))


@given(st.lists(st.tuples(measured, measured), min_size=2, max_size=30))
def test_what_holds_of_all_errors(pairs):
    expected, answered = zip(*pairs, strict=True)
    mae, rmse = score("mae", expected, answered), score("rmse", expected, answered)
    assert 0.0 <= mae.value <= rmse.value * (1 + 1e-9)
    for found in (mae, rmse):
        low, high = found.interval
        assert 0.0 <= low <= found.value * (1 + 1e-9)
        assert found.value <= high * (1 + 1e-9)
    assert score("mae", answered, expected).value == pytest.approx(mae.value)


@given(st.lists(finite.filter(lambda one: abs(one) > 1e-100), min_size=1, max_size=20), st.floats(1e-3, 1e3))
def test_a_vector_is_like_itself_whatever_its_length(vector, factor):
    assert scorer("cosine").mark([factor * one for one in vector], vector) == pytest.approx(1.0)


@given(of=st.integers(1, 5000), data=st.data())
def test_a_proportion_is_in_its_interval(of, data):
    good = data.draw(st.integers(0, of))
    low, high = wilson(good, of)
    assert 0.0 <= low <= good / of <= high <= 1.0
    assert low < high
    # More examples of the same kind say more.
    lower, higher = wilson(2 * good, 2 * of)
    assert higher - lower < high - low


@given(of=st.integers(1, 500), data=st.data())
def test_wilson_is_the_same_from_both_sides(of, data):
    good = data.draw(st.integers(0, of))
    low, high = wilson(good, of)
    assert wilson(of - good, of) == pytest.approx((1 - high, 1 - low))


@given(st.lists(st.floats(-1e6, 1e6), max_size=30))
def test_a_mean_is_in_its_interval(values):
    found = student(values)
    if len(values) < 2:
        assert found is None
    else:
        mean = math.fsum(values) / len(values)
        assert found[0] - 1e-6 <= mean <= found[1] + 1e-6
