"""Numbers out of a server's own `/metrics`, in Prometheus' text format. Pure.

Only what is asked for is read: a page may hold thousands of histogram buckets beside the two gauges that tell load.
"""

import math
import re
from functools import lru_cache

#: Bytes of a page that are looked at.
LIMIT = 8 << 20

_LABELS = rb'(?:\{(?:[^"}\n]|"(?:[^"\\\n]|\\.)*+")*+\})?'


def sums(body: bytes, names: tuple[str, ...]) -> dict[str, float]:
    """By name, the sum of a sample over all its series (engines, ranks, models). Names without a number are absent."""
    found: dict[str, float] = {}
    for match in _pattern(names).finditer(body, 0, LIMIT):
        try:
            number = float(match[2])
        except ValueError:
            continue
        if math.isfinite(number):
            name = match[1].decode()
            found[name] = found.get(name, 0.0) + number
    return found


@lru_cache(maxsize=32)
def _pattern(names: tuple[str, ...]) -> "re.Pattern[bytes]":
    either = b"|".join(re.escape(name.encode()) for name in names)
    return re.compile(rb"^(%b)%b[ \t]+([^ \t\r\n#]+)" % (either, _LABELS), re.MULTILINE)
