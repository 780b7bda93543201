"""Intervals, held against values that scipy and scikit-learn worked out once."""

import math

import pytest

from exporter.evaluation.intervals import bootstrap, student, t_quantile, wilson

#: scipy.stats.binomtest(k, n).proportion_ci(method="wilson")
WILSON = [
    (0, 10, 0.0, 0.27753279986288926),
    (10, 10, 0.7224672001371109, 1.0),
    (145, 150, 0.9243482038212211, 0.9856795681019074),
    (1, 3, 0.06149194472039626, 0.7923403991979523),
    (290, 300, 0.9397381741959452, 0.9817950526611452),
]
#: scipy.stats.t.ppf(0.975, n)
STUDENT = [
    (1, 12.706204736174694), (2, 4.302652729749462), (5, 2.5705818356363146), (30, 2.0422724563012378),
    (100, 1.9839715185235518), (101, 1.983731002955606), (500, 1.9647198374673676),
]  # fmt: skip


@pytest.mark.parametrize(("good", "of", "low", "high"), WILSON)
def test_wilson_is_that_of_scipy(good, of, low, high):
    assert wilson(good, of) == pytest.approx((low, high), abs=1e-12)


@pytest.mark.parametrize(("freedom", "wanted"), STUDENT)
def test_quantiles_are_those_of_scipy(freedom, wanted):
    assert t_quantile(freedom) == pytest.approx(wanted, abs=1e-9)


def test_quantiles_fall_towards_that_of_the_normal_distribution():
    found = [t_quantile(freedom) for freedom in range(1, 300)]
    assert found == sorted(found, reverse=True)
    assert t_quantile(1_000_000) == pytest.approx(1.959963984540054, abs=1e-5)


def test_the_interval_of_a_mean_is_that_of_scipy():
    # scipy.stats.t.interval(0.95, 4, loc=mean, scale=sem)
    assert student([0.5, 0.5, 0.0, 1.0, 0.25]) == pytest.approx((-0.010421333247995379, 0.9104213332479953), abs=1e-12)


def test_a_bootstrap_comes_near_what_is_known_of_a_mean():
    values = [float(number % 10) for number in range(200)]
    assert bootstrap(values, lambda drawn: math.fsum(drawn) / len(drawn)) == pytest.approx(student(values), abs=0.1)


def test_a_bootstrap_says_the_same_twice_and_nothing_of_one():
    values = [float(number % 7) for number in range(50)]
    assert bootstrap(values, max) == bootstrap(values, max)
    assert bootstrap([1.0], max) is None
