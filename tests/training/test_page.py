"""docs/training.md: its lines are read as it says, its configs load, its alerts fire."""

import re
from pathlib import Path
from typing import get_args

import pytest
import yaml

from exporter.config import loader
from exporter.config.training import Preset
from exporter.metrics.training import TRAINING_FAMILIES
from exporter.model.training import MAX_NAMES, STALL_AFTER, Divergence, Outcome
from exporter.training.lines import MAX_LINE
from exporter.training.parsers import PRESETS, parser

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "training.md").read_text()
BLOCKS = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
CONFIGS = [block for block in BLOCKS if block.startswith("training:")]


def rows(section: str) -> list[list[str]]:
    """Cells of a section's table, its head aside."""
    text = PAGE.partition(f"# {section}\n")[2].partition("\n#")[0]
    table = re.findall(r"^\|(.*)\|$", text, re.MULTILINE)
    return [[cell.strip().replace("\\|", "|") for cell in re.split(r"(?<!\\)\|", row)] for row in table[2:]]


SAID = {
    "huggingface": (None, 1.5, None, {"loss": 2.037, "grad_norm": 1.014, "learning_rate": 0.007083}),
    "lightning": (23, 2.0, None, {"train_loss": 0.00849, "val_loss": 0.029}),
    "keras": (None, None, None, {"accuracy": 0.5977, "loss": 0.6829, "val_loss": 0.6339}),
    "xgboost": (7, None, None, {"train-logloss": 0.21624, "validation_0-auc": 0.95008}),
    "lightgbm": (7, None, None, {"training-auc": 0.931352, "valid_1-auc": 0.941558}),
    "json": (100, 1.25, None, {"loss": 0.5, "eval.accuracy": 0.9}),
    "plain": (None, 3.0, 0.3, {"loss": 0.1234}),
}


def test_every_preset_has_a_line_that_it_reads() -> None:
    found = {row[0].strip("`"): row for row in rows("Presets")}
    assert found.keys() == PRESETS.keys() == set(get_args(Preset))
    for preset, row in found.items():
        line = row[1].strip("`")
        parse = parser(preset)
        for text in (line, f"2026-11-25T12:30:01Z [rank0] {line}"):
            reading = parse(text)
            assert reading is not None, text
            assert (reading.step, reading.epoch, reading.progress, dict(reading.values)) == SAID[preset]


def test_good_ends_are_those_that_presets_know() -> None:
    lines = {
        "train_runtime": "{'train_runtime': '1.1', 'epoch': '3'}",
        "`Trainer.fit` stopped": "`Trainer.fit` stopped: `max_epochs=3` reached.",
        "best iteration is:": "Early stopping, best iteration is:",
        "Finished training": "[LightGBM] [Info] Finished training",
    }
    for row in rows("Presets"):
        told = {end for end in lines if end in row[5]}
        for end, line in lines.items():
            reading = parser(row[0].strip("`"))(line)
            assert (reading is not None and reading.outcome is Outcome.FINISHED) == (end in told), (row[0], end)


@pytest.mark.parametrize("config", CONFIGS)
def test_configs_load(config: str, tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_text(config)
    assert loader.load([path]).warnings == []


def test_the_pattern_reads_what_it_should() -> None:
    (config,) = (yaml.safe_load(block)["training"][0] for block in CONFIGS if "regex" in block)
    parse = parser(regex=config["regex"], ends={Outcome(name): regex for name, regex in config["ends"].items()})
    reading = parse("ep 3/4 of the night: loss=0.5")
    assert reading is not None
    assert (reading.epoch, reading.progress, reading.values) == (3.0, 0.75, (("loss", 0.5),))
    ended = [parse(line) for line in ("saved the model", "a CUDA error", "preempted at noon")]
    assert [reading and reading.outcome for reading in ended] == list(Outcome)


def test_numbers_and_names() -> None:
    for family in TRAINING_FAMILIES:
        short = family.name.removeprefix("model_training")
        assert f"`{family.name}" in PAGE or f"`{short}`" in PAGE, family.name
    assert f"`stall_after` ({STALL_AFTER / 60:.0f}m)" in PAGE
    assert f"first {MAX_NAMES} names" in PAGE
    assert f"{MAX_LINE // 1024} KiB" in PAGE
    usual = Divergence()
    assert f"`values` ({usual.values}) of `name` (`{usual.name}`) was more than `factor` ({usual.factor:g})" in PAGE
    assert [row[0].strip("`") for row in rows("Outcomes")] == list(Outcome)


def test_the_alerts_are_those_that_are_shipped() -> None:
    rules = yaml.safe_load((ROOT / "deploy" / "rules" / "training.rules.yaml").read_text())
    shipped = [rule for group in rules["groups"] for rule in group["rules"] if "alert" in rule]
    told = {re.sub(r"\[(\w+)\].*", r"\1", row[0]): row[1] for row in rows("Alerts")}
    assert told == {rule["alert"]: rule["labels"]["severity"] for rule in shipped}
