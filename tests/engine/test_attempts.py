"""When a failed attempt is followed by another."""

import pytest

from exporter.engine.attempts import wait_before_next
from exporter.model.failure import TABLE, Failure, Reason
from exporter.model.job import Retry

RETRIED = {Reason.DNS, Reason.CONNECT_REFUSED, Reason.CONNECT, Reason.RESET, Reason.DISCONNECTED}
FINAL = {
    Reason.AUTH,
    Reason.MODEL_NOT_FOUND,
    Reason.REDIRECT,
    Reason.EXPECTATION,
    Reason.RATE_LIMITED,
    Reason.OVERLOADED,
}


def wait(failure, retry=Retry(), made=1, left=100.0, timeout=5.0, dice=1.0):  # noqa: B008
    return wait_before_next(failure, retry, made, left, timeout, lambda: dice)


@pytest.mark.parametrize("reason", list(Reason))
def test_by_default_the_fast_failures_are_retried(reason):
    assert (wait(Failure(reason)) is not None) == (reason in RETRIED)


@pytest.mark.parametrize(("status", "retried"), [(500, False), (502, True), (503, True), (504, False), (404, False)])
def test_by_default_502_and_503_are_retried(status, retried):
    assert (wait(Failure(Reason.HTTP_STATUS, http_status=status)) is not None) == retried


def test_on_replaces_the_default():
    retry = Retry(on=frozenset({Reason.TIMEOUT, 500}))
    assert wait(Failure(Reason.TIMEOUT), retry) is not None
    assert wait(Failure(Reason.HTTP_STATUS, http_status=500), retry) is not None
    assert wait(Failure(Reason.CONNECT_REFUSED), retry) is None
    assert wait(Failure(Reason.HTTP_STATUS, http_status=503), retry) is None


@pytest.mark.parametrize("reason", sorted(FINAL))
def test_what_asking_again_cannot_help_is_final_even_if_named(reason):
    assert wait(Failure(reason), Retry(on=frozenset(TABLE))) is None


@pytest.mark.parametrize("reason", sorted(FINAL))
def test_one_retry_after_that_fits_is_waited_for(reason):
    failure = Failure(reason, retry_after=3.0)
    assert wait(failure, left=8.0) == 3.0
    assert wait(failure, left=7.9) is None
    assert wait(failure, made=2) is None
    assert wait(failure, Retry(attempts=1)) is None


def test_a_retry_after_of_a_retried_failure_is_kept():
    failure = Failure(Reason.HTTP_STATUS, http_status=503, retry_after=4.0)
    assert wait(failure) == 4.0
    assert wait(failure, left=8.0) is None


def test_the_wait_is_exponential_bounded_and_fully_jittered():
    failure, retry = Failure(Reason.RESET), Retry(attempts=9, backoff=0.5, max_backoff=3.0)
    assert [wait(failure, retry, made) for made in (1, 2, 3, 4, 8)] == [0.5, 1.0, 2.0, 3.0, 3.0]
    assert wait(failure, retry, 3, dice=0.0) == 0.0
    assert wait(failure, retry, 3, dice=0.25) == 0.5


def test_attempts_are_counted():
    assert wait(Failure(Reason.RESET), Retry(attempts=3), 2) is not None
    assert wait(Failure(Reason.RESET), Retry(attempts=3), 3) is None


def test_a_whole_timeout_must_still_fit():
    assert wait(Failure(Reason.RESET), left=5.5) == 0.5
    assert wait(Failure(Reason.RESET), left=5.4) is None
