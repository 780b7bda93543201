"""Lightning, formerly PyTorch Lightning, 1.9 to 2.6, by its progress bars: tqdm's and Rich's. Values are those logged
with `prog_bar=True`. To a file Rich writes its last bar alone.

Source: lightning/pytorch/callbacks/progress/, loops/fit_loop.py, trainer/call.py. Epochs count from 0.
"""

import re

from exporter.model.training import Outcome, Reading
from exporter.training.presets.numbers import NUMBER, share

_BAR = re.compile(r"\bEpoch (\d{1,15}):\s+(?:\d{1,3}%)?\|[^|]*\|\s*(\d{1,15})/(\d{1,15}|\?) \[([^\]]*)")
_RICH = re.compile(r"\bEpoch (\d{1,15})/(-?\d{1,15})\s+(?:[━╸╺]+\s+)?(\d{1,15})/(\d{1,15}|--) \S+ • \S+ \S+(.*)")
_BAR_VALUE = re.compile(rf", ([^\s=,]{{1,128}})=({NUMBER})(?=[,\s]|$)")
_RICH_VALUE = re.compile(rf"([^\s:]{{1,128}}): ({NUMBER})(?=\s|$)")
#: The number of the logger's folder, which the bar shows among the values.
_NO_VALUE = "v_num"


def lightning(line: str) -> Reading | None:
    """Read one line. The step is the number of batches so far."""
    outcome = Outcome.FINISHED if "`Trainer.fit` stopped" in line else None
    reading = None
    if "Epoch " in line:
        if found := _BAR.search(line):
            reading = _read(found[1], "", found[2], found[3], _BAR_VALUE.findall(found[4]))
        elif found := _RICH.search(line):
            reading = _read(found[1], found[2], found[3], found[4], _RICH_VALUE.findall(found[5]))
    if outcome is not None:
        return (reading or Reading())._replace(outcome=outcome)
    return reading


def _read(epoch: str, last: str, batch: str, batches: str, values: list[tuple[str, str]]) -> Reading:
    step = progress = None
    if batches.isdecimal() and int(batches) and int(batch):  # at 0 the bar may still show the epoch before
        step = int(epoch) * int(batches) + int(batch)
        if last.isdecimal():
            progress = share(int(epoch) + int(batch) / int(batches), int(last) + 1)
    return Reading(
        step=step,
        epoch=float(epoch),
        progress=progress,
        values=tuple((name, float(number)) for name, number in values if name != _NO_VALUE),
    )
