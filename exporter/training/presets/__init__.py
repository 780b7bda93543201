"""What real trainers print: a file for each of them. docs/training.md shows a line of each."""

from collections.abc import Callable, Mapping
from types import MappingProxyType

from exporter.model.training import Reading
from exporter.training.presets.huggingface import HuggingFace
from exporter.training.presets.json_lines import json_lines
from exporter.training.presets.keras import Keras
from exporter.training.presets.lightgbm import LightGBM
from exporter.training.presets.lightning import lightning
from exporter.training.presets.plain import plain
from exporter.training.presets.xgboost import xgboost

Read = Callable[[str], Reading | None]

#: By name, what makes a new reader of one log: some remember lines.
PRESETS: Mapping[str, Callable[[], Read]] = MappingProxyType(
    {
        "huggingface": HuggingFace,
        "json": lambda: json_lines,
        "keras": Keras,
        "lightgbm": LightGBM,
        "lightning": lambda: lightning,
        "plain": lambda: plain,
        "xgboost": lambda: xgboost,
    }
)
