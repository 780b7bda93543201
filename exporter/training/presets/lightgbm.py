r"""LightGBM 3 and 4: `[7]\ttraining's auc: 0.9313\tvalid_1's auc: 0.9415` from Python, a line for each value from its
own command. Rounds count from 1.

Source: log_evaluation and early_stopping in lightgbm/callback.py, GBDT::OutputMetric. A value gets the name that
XGBoost gives it: valid_1-auc. Cross-validation adds the deviation, which is left out.
"""

import re

from exporter.model.training import Outcome, Reading
from exporter.training.presets.numbers import NUMBER

_ROUND = re.compile(r"\[(\d{1,15})\]\s+(?=[^\s:]{1,128}'s )")
_VALUE = re.compile(rf"\s([^\s:]{{1,128}})'s ([^\t:]{{1,128}}): ({NUMBER})")
_ITERATION = re.compile(rf"\bIteration:(\d{{1,15}}), (\S{{1,128}}) ([^\s:]{{1,128}})\s?: ({NUMBER})")
#: After it comes the line of an old round again.
_BEST = ("best iteration is:", "Best iteration is:")
_DONE = "[LightGBM] [Info] Finished training"


class LightGBM:
    """Reads one log."""

    __slots__ = ("_repeated",)

    def __init__(self) -> None:
        self._repeated = False

    def __call__(self, line: str) -> Reading | None:
        repeated, self._repeated = self._repeated, False
        if "'s " in line and (found := _ROUND.search(line)):
            if repeated:
                return None
            values = _VALUE.findall(line, found.end() - 1)
            return Reading(step=int(found[1]), values=tuple((f"{of}-{name}", float(each)) for of, name, each in values))
        if "Iteration:" in line and (found := _ITERATION.search(line)):
            return Reading(step=int(found[1]), values=((f"{found[2]}-{found[3]}", float(found[4])),))
        if line.endswith(_BEST):
            self._repeated = True
            return Reading(outcome=Outcome.FINISHED)
        return Reading(outcome=Outcome.FINISHED) if _DONE in line else None
