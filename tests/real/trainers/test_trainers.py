"""Real trainers: what their logs tell is what they say through their own interfaces, to the digits that they print."""

import json
import math
import os
import random
import subprocess
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from exporter.ledger import Ledger
from exporter.ledger.training import TrainingRecord
from exporter.metrics.exposition import Exposition
from exporter.model.training import Outcome, Reading, Rules
from exporter.training.lines import Lines
from exporter.training.parsers import parser
from tests.metrics.reading import families, scrape, series
from tests.real.fleet import REAL
from tests.support.programs import absent

pytestmark = [pytest.mark.real, pytest.mark.slow]

PROGRAMS = Path(__file__).with_name("programs")
PYTHON = REAL / "trainers" / "bin" / "python"


@dataclass
class Job:
    """A training that has ended: its log as bytes, what it said of itself, its exit status."""

    log: bytes
    told: Any
    status: int

    def readings(self, preset: str) -> list[Reading]:
        """What the log tells, cut anywhere."""
        lines, parse, dice = Lines(), parser(preset), random.Random(7)
        found, rest = [], self.log
        while rest:
            size = dice.choice([1, 7, 100, 4096])
            found += lines.feed(rest[:size])
            rest = rest[size:]
        assert lines.skipped == 0
        return [reading for line in found + lines.end() if (reading := parse(line)) is not None]


@pytest.fixture(scope="module")
def train(tmp_path_factory: pytest.TempPathFactory) -> Any:
    if not PYTHON.exists():
        absent("the trainers", "sh tests/real/servers/install.sh trainers")

    @cache
    def run(program: str, *arguments: str) -> Job:
        folder = tmp_path_factory.mktemp(program)
        told, log = folder / "told.json", folder / "train.log"
        env = {**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "PYTHONUNBUFFERED": "1"}
        with log.open("wb") as output:
            done = subprocess.run(
                [PYTHON, PROGRAMS / f"{program}.py", told, *arguments],
                cwd=folder, env=env, stdout=output, stderr=subprocess.STDOUT, timeout=900, check=False,
            )  # fmt: skip
        return Job(log.read_bytes(), json.loads(told.read_text()), done.returncode)

    return run


def taken(readings: list[Reading]) -> TrainingRecord:
    record = TrainingRecord("job-123", Rules(), 0.0)
    for at, reading in enumerate(readings):
        record.take(reading, float(at))
    return record


def values(reading: Reading) -> dict[str, float]:
    return dict(reading.values)


def test_xgboost(train: Any) -> None:
    job = train("xgboost_trees")
    readings = job.readings("xgboost")
    assert [reading.step for reading in readings] == list(range(20))
    for turn, reading in enumerate(readings):
        assert values(reading) == {
            f"{data}-{metric}": float(f"{numbers[turn]:.5f}")
            for data, metrics in job.told.items()
            for metric, numbers in metrics.items()
        }


def test_lightgbm(train: Any) -> None:
    job = train("lightgbm_trees")
    *readings, end = job.readings("lightgbm")
    assert len(readings) == len(job.told["training"]["auc"]) > 5
    for turn, reading in enumerate(readings):
        assert reading.step == turn + 1
        assert values(reading) == {
            f"{data}-{metric}": float(f"{numbers[turn]:g}")
            for data, metrics in job.told.items()
            for metric, numbers in metrics.items()
        }
    assert end == Reading(outcome=Outcome.FINISHED)


@pytest.mark.parametrize("verbosity", ["1", "2"])
def test_keras(train: Any, verbosity: str) -> None:
    job = train("keras_net", verbosity)
    last = {reading.epoch: reading for reading in job.readings("keras")}
    assert list(last) == [1.0, 2.0, 3.0]
    for epoch, reading in last.items():
        assert values(reading) == {name: float(f"{each[int(epoch) - 1]:.4f}") for name, each in job.told.items()}
        assert (reading.step, reading.progress) == (8 * epoch, pytest.approx(epoch / 3))


def test_a_loss_that_is_not_a_number(train: Any) -> None:
    job = train("keras_net", "2", "nan")
    assert math.isnan(job.told["loss"][-1])
    record = taken(job.readings("keras"))
    assert math.isnan(record.values["loss"])
    assert record.nonfinite >= 2


def lightning_says(epoch: dict[str, float]) -> dict[str, float]:
    return {name: float(f"{epoch[name]:.3g}") for name in ("train_loss", "val_loss")}


def test_lightning(train: Any) -> None:
    job = train("lightning_net", "tqdm")
    readings = job.readings("lightning")
    last = {reading.epoch: reading for reading in readings if reading.step is not None}
    assert list(last) == [0.0, 1.0, 2.0]
    for told in job.told:
        reading = last[told["epoch"]]
        assert values(reading) == lightning_says(told)
        assert reading.step == told["step"]
    assert taken(readings).outcome is Outcome.FINISHED


def test_lightning_with_a_bar_by_rich(train: Any) -> None:
    job = train("lightning_net", "rich")
    record = taken(job.readings("lightning"))
    told = job.told[-1]
    assert record.outcome is Outcome.FINISHED
    assert (record.step, record.epoch, record.progress) == (told["step"], told["epoch"], 1.0)
    assert record.values["train_loss"] == float(f"{told['train_loss']:.3f}")


def test_lightning_crashes(train: Any) -> None:
    job = train("lightning_net", "tqdm", "crash")
    record = taken(job.readings("lightning"))
    assert job.status == 1
    assert record.outcome is Outcome.FAILED is Outcome.of_exit(job.status)
    assert record.values == lightning_says(job.told[-1])


@pytest.mark.parametrize("bars", [True, False])
def test_huggingface(train: Any, bars: bool) -> None:
    job = train("huggingface_net", *([] if bars else ["quiet"]))
    readings = job.readings("huggingface")
    told = job.told[:-1] if bars else job.told  # it prints an evaluation after the training only where it has no bar
    logged = [reading for reading in readings if reading.values]
    assert len(logged) == len(told) > 8
    for reading, log in zip(logged, told, strict=True):
        expected = {name: float(f"{number:.4g}") for name, number in log.items() if name not in ("total_flos", "step")}
        assert reading.epoch == expected.pop("epoch")
        assert values(reading) == expected
    record = taken(readings)
    assert record.outcome is Outcome.FINISHED
    if bars:
        steps = [reading.step for reading in readings if reading.step is not None]
        assert steps == sorted(steps)
        assert (record.step, record.progress) == (job.told[-1]["step"], 1.0)


async def test_prometheus_reads_what_the_trainer_said(train: Any) -> None:
    job = train("xgboost_trees")
    ledger = Ledger()
    record = ledger.add_training("trees", Rules())
    for reading in job.readings("xgboost"):
        record.take(reading, 1_700_000_000.0)
    found = series(families(await scrape(Exposition(ledger))), "model_training_value")
    assert {dict(labels)["name"]: value for (_, labels), value in found.items()} == {
        f"{data}-{metric}": float(f"{numbers[-1]:.5f}")
        for data, metrics in job.told.items()
        for metric, numbers in metrics.items()
    }
