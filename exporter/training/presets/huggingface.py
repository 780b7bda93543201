"""The Trainer of Hugging Face transformers, 4 and 5, and what is built on it (TRL, Axolotl).

Source: ProgressCallback and PrinterCallback in transformers/trainer_callback.py. Both print a dict as Python writes it;
version 5 writes its numbers as text: {'loss': '0.6931', 'epoch': '0.5'}. It has `epoch` whenever training goes on.
"""

import re
from math import isfinite

from exporter.model.training import Outcome, Reading
from exporter.training.presets.numbers import NUMBER, share

_PAIR = re.compile(rf"'([^']{{1,128}})': '?({NUMBER})'?(?=[,}}])")
#: tqdm's bar without a description. Those of data sets and of loading weights have one.
_BAR = re.compile(r"\b\d{1,3}%\|[^|]*\|\s*(\d{1,15})/(\d{1,15}) \[")
_TOTAL = re.compile(r"Total optimization steps = ([\d,]{1,20})")
_BEGIN = "***** Running training *****"


class HuggingFace:
    """Reads one log. Bars of training and of evaluation look alike: the first that comes is that of training, and so is
    every one with as many steps.
    """

    __slots__ = ("_steps",)

    def __init__(self) -> None:
        self._steps = 0

    def __call__(self, line: str) -> Reading | None:
        bar = self._bar(line) if "%|" in line else None
        if "{'" in line and (reading := _logged(line)) is not None:
            return reading if bar is None else reading._replace(step=bar.step, progress=bar.progress)
        if bar is None:
            if _BEGIN in line:
                self._steps = 0
            elif found := _TOTAL.search(line):
                self._steps = int(found[1].replace(",", "") or 0)
        return bar

    def _bar(self, line: str) -> Reading | None:
        found = _BAR.search(line)
        if found is None or line[: found.start()].rstrip().endswith(":"):
            return None
        step, steps = int(found[1]), int(found[2])
        self._steps = self._steps or steps
        return Reading(step=step, progress=share(step, steps)) if steps == self._steps else None


def _logged(line: str) -> Reading | None:
    found = {name: float(number) for name, number in _PAIR.findall(line, line.index("{'"))}
    epoch = found.pop("epoch", None)
    if epoch is None or not isfinite(epoch):
        return None  # another dict: the arguments, a sample
    return Reading(
        epoch=epoch,
        values=tuple(found.items()),
        outcome=Outcome.FINISHED if "train_runtime" in found else None,
    )
