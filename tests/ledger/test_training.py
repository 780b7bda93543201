"""What is remembered of a training job, and when it counts as stalled, diverged and ended."""

import math

import pytest

from exporter.ledger import Ledger
from exporter.ledger.training import TrainingRecord
from exporter.model.text import LABEL_BYTES
from exporter.model.training import MAX_NAMES, Divergence, Outcome, Reading, Rules

NAN, INF = math.nan, math.inf


def record(**rules: object) -> TrainingRecord:
    return TrainingRecord("job-123", Rules(**rules), 1000.0)  # type: ignore[arg-type]


def told(**values: float) -> Reading:
    return Reading(values=tuple(values.items()))


def test_the_last_of_each_number_stays() -> None:
    job = record()
    job.take(Reading(step=7, values=(("loss", 0.5), ("lr", 0.1))), 1001.0)
    job.take(Reading(epoch=1.5, progress=0.25, values=(("loss", 0.4),)), 1002.0)
    assert job.values == {"loss": 0.4, "lr": 0.1}
    assert (job.step, job.epoch, job.progress, job.last_value_at) == (7, 1.5, 0.25, 1002.0)
    job.take(Reading(step=8), 1003.0)
    assert job.last_value_at == 1002.0, "a step is no value"
    job.take(told(loss=0.3), 1001.5)
    assert job.last_value_at == 1002.0, "an older line that came later"
    job.take(Reading(epoch=NAN, progress=INF), 1004.0)
    assert (job.epoch, job.progress) == (1.5, 0.25)


def test_what_is_not_finite_is_kept_and_counted() -> None:
    job = record()
    job.take(told(loss=NAN, other=-INF, good=1.0), 1001.0)
    job.take(told(loss=NAN), 1002.0)
    assert job.nonfinite == 3
    assert math.isnan(job.values["loss"])


def test_stalled_is_about_values() -> None:
    job = record(stall_after=60.0)
    assert not job.stalled(1060.0)
    assert job.stalled(1060.5), "none ever came"
    job.take(told(loss=1.0), 1100.0)
    assert not job.stalled(1160.0)
    job.take(Reading(step=5, progress=0.5), 1159.0)
    assert job.stalled(1161.0), "the bar goes on"
    job.take(told(loss=NAN), 1170.0)
    assert not job.stalled(1171.0), "a bad value is one"


def test_values_that_are_left_out_do_not_hide_a_stall() -> None:
    job = record(stall_after=60.0, names=frozenset({"loss"}))
    job.take(told(loss=1.0), 1001.0)
    job.take(told(heartbeat=1.0), 1100.0)
    assert job.stalled(1101.0)


def test_a_job_that_has_ended_does_not_stall() -> None:
    job = record(stall_after=60.0)
    job.finished(Outcome.FAILED)
    assert not job.stalled(9999.0)
    assert job.outcome is Outcome.FAILED


def test_a_value_of_the_past_counts_from_when_it_was_followed() -> None:
    job = record(stall_after=60.0)
    job.take(told(loss=1.0), 10.0)
    assert not job.stalled(1059.0)
    assert job.stalled(1061.0)


@pytest.mark.parametrize(
    ("ended", "then", "outcome"),
    [
        (Outcome.FINISHED, told(eval_loss=1.0), Outcome.FINISHED),
        (Outcome.FINISHED, Reading(epoch=3.0, values=(("eval_loss", 1.0),)), Outcome.FINISHED),
        (Outcome.FINISHED, Reading(step=30), Outcome.FINISHED),
        (Outcome.FINISHED, Reading(epoch=1.0), None),
        (Outcome.FAILED, told(loss=2.0), None),
        (Outcome.KILLED, Reading(epoch=3.5), Outcome.KILLED),
        (Outcome.FAILED, told(loss=1.0, acc=NAN), Outcome.FAILED),
        (Outcome.FAILED, told(loss=1.0, acc=0.5), None),
        (Outcome.KILLED, told(lr=0.1), None),
        (Outcome.FAILED, Reading(epoch=3.0), Outcome.FAILED),
        (Outcome.FAILED, Reading(outcome=Outcome.FINISHED), Outcome.FINISHED),
        (Outcome.FINISHED, Reading(outcome=Outcome.KILLED), Outcome.KILLED),
    ],
)
def test_an_end_and_what_comes_after_it(ended: Outcome, then: Reading, outcome: Outcome | None) -> None:
    """After a good end come its last evaluation and a last drawing of the bar; after any end, a job may go on."""
    job = record()
    job.take(Reading(epoch=3.0, values=(("loss", 1.0), ("acc", NAN))), 1001.0)
    job.take(Reading(outcome=ended), 1002.0)
    assert job.outcome is ended
    job.take(then, 1003.0)
    assert job.outcome is outcome


def test_names_are_bounded() -> None:
    job = record()
    for number in range(MAX_NAMES + 10):
        job.take(told(**{f"layer{number}": 1.0}), 1001.0)
    job.take(told(layer0=2.0, layer70=2.0), 1002.0)
    assert len(job.values) == MAX_NAMES
    assert job.values["layer0"] == 2.0
    assert job.dropped_names == 11


def test_names_from_a_list() -> None:
    job = record(names=frozenset({"loss"}))
    job.take(told(loss=1.0, lr=0.1), 1001.0)
    assert (job.values, job.dropped_names) == ({"loss": 1.0}, 1)


def test_a_name_from_a_log_is_cut_and_cleaned() -> None:
    job = record()
    for name in ("a\nb\u202e", "  ", "ä" * 200, "ä" * 201, "x\ud800"):
        job.take(told(**{name: 1.0}), 1001.0)
    assert list(job.values) == ["ab", "ä" * (LABEL_BYTES // 2), "x"]
    assert job.dropped_names == 1, "nothing is left of the spaces"


@pytest.mark.parametrize(
    ("values", "diverged"),
    [
        ([1.0, 0.5, 1.1, 1.1, 1.1], True),
        ([1.0, 0.5, 1.1, 1.1], False),
        ([1.0, 0.5, 1.1, 0.9, 1.1, 1.1], False),
        ([1.0, 0.5, 1.1, 1.1, 1.1, 0.6], False),
        ([1.0, 0.5, 1.0, 1.0, 1.0], False),
        ([0.5, NAN, INF, NAN], True),
        ([NAN, NAN, NAN], True),
        ([9.0, 9.0, 9.0, 9.0], False),
        ([-10.0, -1.0, 1.0, 1.0, 1.0], True),
        ([-10.0, -1.0, -1.0, -1.0, -1.0], False),
        ([0.0, 5.0, 5.0, 5.0], False),
        ([2.0, 0.0, 4.5, 4.5, 4.5], True),
    ],
)
def test_diverged(values: list[float], diverged: bool) -> None:
    job = record(divergence=Divergence("loss", factor=2.0, values=3))
    for number in values:
        job.take(told(loss=number, other=1e9), 1001.0)
    assert job.diverged is diverged


def test_divergence_is_off_by_default() -> None:
    job = record()
    job.take(told(loss=NAN), 1001.0)
    assert job.diverged is None


def test_a_job_that_starts_anew() -> None:
    job = record(stall_after=60.0, divergence=Divergence(values=1))
    job.take(Reading(9, 9.0, 0.9, (("loss", NAN),), Outcome.FAILED), 1001.0)
    job.lines(4)
    job.skipped(2)
    job.reconnected()
    job.restarted(2000.0)
    assert (job.step, job.epoch, job.progress, job.values, job.last_value_at, job.outcome, job.diverged) == (
        None, None, None, {}, None, None, False,
    )  # fmt: skip
    assert (job.nonfinite, job.line_count, job.skipped_lines, job.reconnects) == (1, 4, 2, 1), "counters go on"
    assert not job.stalled(2060.0)


def test_other_rules_for_the_same_job() -> None:
    ledger = Ledger(wall=lambda: 1000.0)
    job = ledger.add_training("job-123", Rules(stall_after=60.0, divergence=Divergence(values=1)))
    job.take(told(loss=NAN, lr=0.1), 1001.0)
    assert ledger.add_training("job-123", Rules(stall_after=5.0, divergence=Divergence(values=1))) is job
    assert (job.diverged, job.stalled(1007.0), job.nonfinite) == (True, True, 1)
    ledger.add_training("job-123", Rules(names=frozenset({"lr"})))
    assert (job.diverged, job.values) == (None, {"lr": 0.1})
    ledger.remove_training("job-123")
    ledger.remove_training("job-123")
    assert ledger.trainings == {}


@pytest.mark.parametrize(
    ("status", "outcome"),
    [(0, Outcome.FINISHED), (1, Outcome.FAILED), (2, Outcome.FAILED), (128, Outcome.FAILED), (137, Outcome.KILLED),
     (143, Outcome.KILLED), (-9, Outcome.KILLED)],
)  # fmt: skip
def test_an_exit_status_as_an_outcome(status: int, outcome: Outcome) -> None:
    assert Outcome.of_exit(status) is outcome


def test_a_run_status_of_mlflow_as_an_outcome() -> None:
    found = {status: Outcome.of_run(status) for status in ("RUNNING", "SCHEDULED", "FINISHED", "FAILED", "KILLED", "")}
    assert found == {
        "RUNNING": None, "SCHEDULED": None, "FINISHED": Outcome.FINISHED, "FAILED": Outcome.FAILED,
        "KILLED": Outcome.KILLED, "": None,
    }  # fmt: skip
