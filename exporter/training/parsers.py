"""From a line of a log to what it tells."""

from collections.abc import Callable, Mapping
from typing import Final

from exporter.model.training import Outcome, Reading
from exporter.training.patterns import Ends, Pattern
from exporter.training.presets import PRESETS

__all__ = ["PRESETS", "Parser", "parser"]

Parser = Callable[[str], Reading | None]

#: What Python prints where it ends by an error, or by Ctrl-C.
_FAILED: Final = "Traceback (most recent call last):"
_KILLED: Final = "KeyboardInterrupt"


def parser(preset: str | None = None, regex: str | None = None, ends: Mapping[Outcome, str] | None = None) -> Parser:
    """What reads the lines of one log: exactly one of a preset's name and a pattern with named groups. It may remember
    lines (Keras tells the epoch in a line of its own): every log has one of its own, and a new one when it starts anew.

    `ends`: patterns of lines that tell how the job ended. One for `failed` or `killed` takes the place of the built-in
    rule, which is Python's traceback or KeyboardInterrupt; what a preset knows of a good end stays.

    The parser gives None for a line that tells nothing. It raises TimeoutError when a pattern of the operator's took
    more than its share of CPU time: such a line counts as skipped. Nothing else is raised. ValueError here, with a
    message for people, for a pattern that cannot be used and an unknown preset.
    """
    if (preset is None) == (regex is None):
        raise ValueError("give exactly one of preset and regex")
    if preset is not None and preset not in PRESETS:
        raise ValueError(f"unknown preset {preset!r}; there are {', '.join(PRESETS)}")
    read: Parser = Pattern(regex) if regex is not None else PRESETS[preset or ""]()
    ended = Ends(ends) if ends else None
    failed, killed = (outcome not in (ends or {}) for outcome in (Outcome.FAILED, Outcome.KILLED))

    def parse(line: str) -> Reading | None:
        reading = read(line)
        outcome = ended(line) if ended is not None else None
        if outcome is None:
            if failed and _FAILED in line:
                outcome = Outcome.FAILED
            elif killed and _KILLED in line:
                outcome = Outcome.KILLED
            else:
                return reading
        return (reading or Reading())._replace(outcome=outcome)

    return parse
