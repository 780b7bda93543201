r"""XGBoost, 1.3 to 3.2: `[7]\ttrain-logloss:0.21624\tvalidation_0-auc:0.95008`. Rounds count from 0.

Source: EvaluationMonitor in xgboost/callback.py. Cross-validation adds the deviation, which is left out: 0.53+0.01.
"""

import re

from exporter.model.training import Reading
from exporter.training.presets.numbers import NUMBER

_ROUND = re.compile(rf"\[(\d{{1,15}})\]((?:\s+[^\s:\[\]]{{1,128}}:{NUMBER}(?:\+{NUMBER})?)+)")
_VALUE = re.compile(rf"\s([^\s:]{{1,128}}):({NUMBER})")


def xgboost(line: str) -> Reading | None:
    """Read one line."""
    found = _ROUND.search(line) if "]" in line else None
    if found is None:
        return None
    return Reading(
        step=int(found[1]), values=tuple([(name, float(number)) for name, number in _VALUE.findall(found[2])])
    )
