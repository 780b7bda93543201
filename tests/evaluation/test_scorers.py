"""Scorers, held against values that scikit-learn worked out once, and against what must hold of any answers."""

import math
import pickle

import pytest

from exporter.evaluation.answers import Unreadable
from exporter.evaluation.scorers import SCORERS, scorer_of
from exporter.model.evaluation import Scoring

EXPECTED = [0, 0, 0, 1, 1, 1, 2, 2, 2, 2, 0, 1]
ANSWERED = [0, 0, 1, 1, 1, 2, 2, 2, 2, 0, 0, 3]
#: sklearn.metrics.f1_score(EXPECTED, ANSWERED, average=...)
F1 = {"macro": 0.5178571428571428, "micro": 0.6666666666666666, "weighted": 0.6904761904761904}
NUMBERS = ([3.0, -0.5, 2.0, 7.0, 4.25], [2.5, 0.0, 2.0, 8.0, 4.0])


def scorer(name, **more):
    return scorer_of(Scoring(name, **more))


def score(name, expected, answered, **more):
    judge = scorer(name, **more)
    return judge.total([judge.mark(one, other) for one, other in zip(answered, expected, strict=True)])


def test_accuracy_is_that_of_scikit_learn():
    found = score("accuracy", EXPECTED, ANSWERED)
    assert found.value == 0.6666666666666666
    assert found.interval == pytest.approx((0.39062, 0.86187), abs=1e-5)


@pytest.mark.parametrize(
    ("answer", "expected", "mark"),
    [
        (1, 1, 1.0), ([1], 1, 1.0), ([[1.0]], 1, 1.0), ("1", 1, 1.0), (" 1.0\n", "1", 1.0), (2, 1, 0.0),
        (" Yes\n", "yes", 1.0), ("yes.", "yes", 0.0), (["cat"], "CAT", 1.0),
        ([0.1, 0.7, 0.2], 1, 1.0), ([[0.1, 0.7, 0.2]], 2, 0.0), ([0.1, 0.7], "a", 0.0),
        (True, True, 1.0), (True, 1, 0.0), ([1, 2], [1, 2], 1.0), ([1, 2], [2, 1], 0.0), ("1_0", 10, 0.0),
    ],
)  # fmt: skip
def test_a_class_is_one_however_it_is_written(answer, expected, mark):
    assert scorer("accuracy").mark(answer, expected) == mark


@pytest.mark.parametrize(
    ("answer", "expected", "mark"),
    [
        ("Yes", "Yes", 1.0),
        ("yes", "Yes", 0.0),
        ("Yes ", "Yes", 0.0),
        (42, "42", 1.0),
        ({"b": 1, "a": 2}, {"a": 2, "b": 1}, 1.0),
    ],
)
def test_exact_match_is_to_the_letter(answer, expected, mark):
    assert scorer("exact_match").mark(answer, expected) == mark


@pytest.mark.parametrize(("average", "wanted"), F1.items())
def test_f1_is_that_of_scikit_learn(average, wanted):
    assert score("f1", EXPECTED, ANSWERED, average=average).value == pytest.approx(wanted, abs=1e-15)


def test_the_interval_of_f1_is_nearly_that_of_scipy():
    # scipy.stats.bootstrap(..., method="percentile", n_resamples=9999) of ten times as many
    found = score("f1", EXPECTED * 10, ANSWERED * 10)
    assert found.interval == pytest.approx((0.45193384268740633, 0.576290444277564), abs=0.01)


def test_the_mean_absolute_error_is_that_of_scikit_learn_and_scipy():
    found = score("mae", *NUMBERS)
    assert found.value == pytest.approx(0.45, abs=1e-15)
    assert found.interval == pytest.approx((0.0, 0.9104213332479953), abs=1e-12)  # an error below 0 there is not


def test_the_root_mean_square_error_is_that_of_scikit_learn_and_scipy():
    found = score("rmse", *NUMBERS)
    assert found.value == pytest.approx(0.5590169943749475, abs=1e-15)
    assert found.interval == pytest.approx((0.0, math.sqrt(0.8094080526028937)), abs=1e-12)


def test_cosine_is_that_of_scikit_learn():
    assert scorer("cosine").mark([[1, 2, 3]], [2, 2, 1]) == pytest.approx(0.8017837257372732, abs=1e-15)


@pytest.mark.parametrize(
    ("name", "answer", "expected"),
    [
        ("mae", "about 3", 3), ("mae", [1, 2], 3), ("mae", None, 3), ("rmse", [1, 2, 3], [1, 2]), ("mae", True, 1),
        ("mae", "inf", 3), ("rmse", 1e200, 0), ("cosine", [1, 2], [1, 2, 3]), ("cosine", [0, 0], [1, 2]),
        ("cosine", "no", [1, 2]),
    ],
)  # fmt: skip
def test_what_is_no_number_cannot_be_read(name, answer, expected):
    with pytest.raises(Unreadable):
        scorer(name).mark(answer, expected)


def test_a_regular_expression_is_found_in_the_answer():
    judge = scorer("regex")
    assert judge.mark("The capital is Paris.", r"(?i)\bparis\b") == 1.0
    assert judge.mark("Lyon", r"(?i)paris") == 0.0
    assert judge.mark({"label": "cat"}, '"label":"cat"') == 1.0
    with pytest.raises(Unreadable, match="takes too long"):
        judge.mark("a" * 100_000 + "b", r"(a|a)+$")


def test_an_expression_is_true_of_the_answer():
    judge = scorer("jmespath")
    assert judge.mark({"a": [1, 2]}, "length(a) == `2`") == 1.0
    assert judge.mark('{"a": 1}', "a == `1`") == 1.0
    assert judge.mark({"a": 1}, "a") == 0.0
    assert judge.mark("no json", "a == `1`") == 0.0


@pytest.mark.parametrize(
    ("name", "expected", "words"),
    [
        ("accuracy", None, "null"), ("f1", None, "null"), ("mae", "many", "a number"), ("rmse", [], "empty"),
        ("cosine", 1, "a list of numbers"), ("cosine", ["a"], "a list of numbers"), ("cosine", [0.0], "zeros"),
        ("regex", "(", "regular expression"), ("regex", 1, "regular expression"), ("jmespath", "a[", "JMESPath"),
    ],
)  # fmt: skip
def test_what_cannot_be_expected_is_told(name, expected, words):
    assert words in scorer(name).unfit(expected)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("accuracy", 0),
        ("accuracy", ""),
        ("mae", "1.5"),
        ("mae", [1, 2]),
        ("cosine", [1, 0]),
        ("regex", "a+"),
        ("jmespath", "a"),
    ],
)
def test_what_can_be_expected_is_fit(name, expected):
    assert scorer(name).unfit(expected) is None


@pytest.mark.parametrize("name", SCORERS)
def test_a_scorer_can_go_to_another_process(name):
    assert pickle.loads(pickle.dumps(scorer(name))).name == name


def test_one_example_has_no_interval_but_that_of_a_proportion():
    assert score("mae", [1], [2]).interval is None
    assert score("accuracy", [1], [1]).interval == pytest.approx((0.2065, 1.0), abs=1e-4)
