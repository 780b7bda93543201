"""The time a model takes to come up, and what its first request waits for."""

import pytest

from exporter.ledger.lifecycle import USUAL, Lifecycle


def run(life: Lifecycle, *durations: float, at: float = 0.0, probe: str = "infer") -> None:
    """Good runs a second apart."""
    for place, duration in enumerate(durations):
        life.good(probe, at + place, at + place + duration, duration)


def test_load_is_until_the_end_of_the_first_good_canary() -> None:
    life = Lifecycle(100.0)
    assert life.load is None
    run(life, 0.5, 0.25, at=130.0)
    assert life.load == 30.5


@pytest.mark.parametrize("after", range(USUAL))
def test_the_penalty_is_absent_until_it_is_known(after: int) -> None:
    life = Lifecycle(0.0)
    run(life, 3.0, *[0.5] * after)
    assert life.penalty is None


def test_the_penalty_is_over_the_median() -> None:
    life = Lifecycle(0.0)
    run(life, 3.0, 0.5, 9.0, 0.25, 0.5, 0.5, 8.0)
    assert life.penalty == 2.5


def test_a_first_request_that_was_no_slower() -> None:
    life = Lifecycle(0.0)
    run(life, 0.1, *[0.5] * USUAL)
    assert life.penalty == 0.0


def test_each_probe_has_its_own_usual() -> None:
    life = Lifecycle(0.0)
    run(life, 3.0)
    run(life, *[9.0] * USUAL, at=10.0, probe="stream")
    assert life.penalty is None
    run(life, *[1.0] * USUAL, at=20.0)
    assert life.penalty == 2.0


def test_a_restart_begins_when_the_server_is_found_gone() -> None:
    life = Lifecycle(0.0)
    run(life, 3.0, *[0.5] * USUAL)
    life.gone(100.0)
    assert (life.load, life.penalty) == (None, None)
    life.gone(110.0)  # still
    run(life, 2.0, *[1.0] * USUAL, at=150.0)
    assert (life.load, life.penalty) == (52.0, 1.0)


def test_a_server_that_is_not_there_yet_was_added_when_it_was() -> None:
    life = Lifecycle(0.0)
    life.gone(5.0)
    run(life, 1.0, at=60.0)
    assert life.load == 61.0


def test_a_run_from_before_is_no_first_one() -> None:
    life = Lifecycle(0.0)
    run(life, 1.0)
    life.gone(100.0)
    life.good("infer", 99.0, 101.0, 2.0)
    assert life.load is None


def test_a_canary_that_is_added_later_does_not_count_what_was_before() -> None:
    life = Lifecycle(0.0)
    life.asked("infer", 3600.0)
    run(life, 1.0, at=3610.0)
    assert life.load == 11.0
    life.asked("stream", 4000.0)
    assert life.load == 11.0


def test_of_a_canary_that_became_another_the_usual_is_not_known() -> None:
    life = Lifecycle(0.0)
    run(life, 3.0, 0.5)
    life.asked("infer", 10.0)
    run(life, *[0.5] * USUAL, at=20.0)
    assert life.penalty is None


def test_nothing_measured() -> None:
    life = Lifecycle(0.0)
    life.good("infer", 1.0, 2.0, None)
    run(life, *[0.5] * USUAL, at=3.0)
    assert (life.load, life.penalty) == (2.0, None)
