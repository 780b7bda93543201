"""Keras 2 and 3 by its progress bar, `verbose=1` or 2. Epochs count from 1.

Source: keras/src/utils/progbar.py. The epoch stands in a line of its own, before those of its batches.
"""

import re

from exporter.model.training import Reading
from exporter.training.presets.numbers import NUMBER, share_of_epochs

_EPOCH = re.compile(r"\bEpoch (\d{1,15})/(\d{1,15})\s*$")
#: The first bar of Keras 2 was made of [=>.], that of Keras 3 is a line; `verbose=2` has none.
_BATCH = re.compile(r"(?<![\w./])(\d{1,15})/(\d{1,15}|Unknown) (?=\[|[━\s]*\s|- )")
_VALUE = re.compile(rf" - ([^\s:]{{1,128}}): ({NUMBER})(?=\s|$)")


class Keras:
    """Reads one log. The step is the number of batches so far."""

    __slots__ = ("_epoch", "_epochs")

    def __init__(self) -> None:
        self._epoch = self._epochs = 0

    def __call__(self, line: str) -> Reading | None:
        if found := _EPOCH.search(line):
            self._epoch, self._epochs = int(found[1]), int(found[2])
            return Reading(epoch=float(self._epoch), progress=share_of_epochs(self._epoch, self._epochs, 0.0))
        if " - " not in line or not (found := _BATCH.search(line)):
            return None
        values = tuple([(name, float(number)) for name, number in _VALUE.findall(line, found.end() - 1)])
        if not values:
            return None
        if not self._epoch or not found[2].isdecimal() or not int(found[2]):
            return Reading(values=values)
        batch, batches = int(found[1]), int(found[2])
        return Reading(
            step=(self._epoch - 1) * batches + batch,
            epoch=float(self._epoch),
            progress=share_of_epochs(self._epoch, self._epochs, batch / batches),
            values=values,
        )
