"""Lines that people's own loops print: `[job-123] Epoch 3/10 - loss: 0.1234`, `Epoch [3/10], Step [100/500], Loss:
0.12`, `step 250: train loss 2.1, val loss 2.3`.

A line counts that tells an epoch, a step or an iteration, or a loss. Its values stand as `name: number`, `name=number`,
and what is known to be a metric also as `loss 0.12`. A number with a unit is none (`3.2s`). Names get lower case, and
`Val Loss` becomes val_loss.
"""

import re

from exporter.model.training import Reading
from exporter.training.presets.numbers import NUMBER, share, share_of_epochs

_PLACE = re.compile(
    r"(?<![a-z])(epoch|step|iter|iteration)\b[\s:=#]{0,3}[\[(]?(\d{1,15}(?:\.\d{1,15})?)(?:\s?(?:/|of)\s?(\d{1,15}))?"
)
_OF = (
    "train|training|val|valid|validation|eval|evaluation|test|dev|avg|average|mean|running|total|learning|grad|gradient"
)
_METRIC = r"[\w/-]{0,64}(?:loss|accuracy|acc|perplexity|ppl|lr)"
_VALUE = re.compile(
    rf"(?<![\w./@-])((?:(?:{_OF}) )?(?:[a-z_][\w./@-]{{0,63}}\s?[:=]|{_METRIC}\s))\s?({NUMBER})(?!\.\d|[:/])",
)
_PLACES = ("epoch", "step", "iter", "iteration")


def plain(line: str) -> Reading | None:
    """Read one line."""
    line = line.lower()
    if "loss" not in line and not any(word in line for word in _PLACES):
        return None
    epoch = step = within = None
    epochs = 0.0
    for word, number, of in _PLACE.findall(line):
        if word == "epoch":
            epoch, epochs = float(number), float(of or 0)
        else:
            step, within = int(float(number)), share(float(number), float(of)) if of else None
    placed = epoch is not None or step is not None
    found = ((_name(told), float(number)) for told, number in _VALUE.findall(line))
    values = {name: number for name, number in found if not name.endswith(_PLACES)}
    if not placed and not any("loss" in name for name in values):
        return None
    progress = within if epoch is None else share_of_epochs(epoch, epochs, within)
    return Reading(step=step, epoch=epoch, progress=progress, values=tuple(values.items()))


def _name(told: str) -> str:
    return told.rstrip(" \t:=").replace(" ", "_")
