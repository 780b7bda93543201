"""What the benchmarks say of what they found: targets held, missed and not measured."""

import pytest

from benchmarks.table import Row, held, part, show, unheld
from benchmarks.targets import CHEAPER, FRESH, GAPS, MISSED, STALL


@pytest.mark.parametrize(("ratio", "met"), [(0.36, "NO"), (0.35, "yes"), (0.28, "stretch"), (float("nan"), "NO")])
def test_a_bound_is_missed_kept_or_outdone(ratio: float, met: str) -> None:
    row = held("CPU", "", (ratio, FRESH))
    assert (row.wanted, row.stretch, row.met) == ("0.35 x", "0.28 x", met)


@pytest.mark.parametrize(("times", "stall", "met"), [(24, 1, "NO"), (26, 6, "NO"), (26, 1, "yes"), (51, 2, "stretch")])
def test_all_numbers_of_a_row_count(times: float, stall: float, met: str) -> None:
    row = held("scrape", "", (times, CHEAPER), (stall, STALL))
    assert (row.wanted, row.met) == ("at least 25 x, stall 5 ms", met)


def test_what_has_no_further_bound_is_never_beyond_it() -> None:
    assert held("schedule", "", (0, MISSED), (1, GAPS)).met == "yes"


@pytest.mark.parametrize("error", [SystemExit("bench: no compiler\nlong story"), ZeroDivisionError("no compiler")])
def test_a_part_that_fails_is_one_row(error: BaseException, capsys: pytest.CaptureFixture[str]) -> None:
    def fail() -> list[Row]:
        raise error

    assert part("it", fail, print, [FRESH]) == [Row("it", "no compiler", "0.35 x", "0.28 x", "NOT RUN")]
    assert "no compiler" in capsys.readouterr().err


def test_a_busy_machine_puts_a_question_mark(capsys: pytest.CaptureFixture[str]) -> None:
    quiet = held("quiet", "1 us", (0.3, FRESH), waited=0.01)
    show([quiet, held("busy", "9 us", (0.9, FRESH), waited=0.4), unheld("gone", "why", FRESH)])
    _, _, first, second, third, *told = capsys.readouterr().out.splitlines()
    assert first.endswith("yes")
    assert second.split()[-3:] == ["NO?", "waited", "40%"]
    assert third.endswith("NOT RUN")
    assert told[0].startswith("waited: ")
