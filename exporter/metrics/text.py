"""Both formats of text: label values, numbers, headers. Sample lines are the same bytes in either."""

import math
import re
from collections.abc import Iterable
from enum import StrEnum

_ESCAPES = {ord("\\"): "\\\\", ord("\n"): "\\n", ord('"'): '\\"'}
_SURROGATE = re.compile("[\ud800-\udfff]")


class Type(StrEnum):
    """What a family's numbers are. `_info` and one-hot families are gauges in every format."""

    GAUGE = "gauge"
    COUNTER = "counter"
    HISTOGRAM = "histogram"


def valid(value: str) -> str:
    """A label value that UTF-8 can carry: what it cannot becomes U+FFFD."""
    return _SURROGATE.sub("\ufffd", value) if _SURROGATE.search(value) else value


def escape(value: str) -> str:
    """A label value as it stands between the quotes."""
    return valid(value).translate(_ESCAPES)


def pairs(labels: Iterable[tuple[str, str]]) -> str:
    """`name="value",...` with values escaped."""
    return ",".join(f'{name}="{escape(value)}"' for name, value in labels)


def number(value: float) -> str:
    """A sample's value; what is not finite in the spelling both formats share."""
    if math.isfinite(value):
        return str(value)
    return "NaN" if value != value else "+Inf" if value > 0 else "-Inf"


def header(name: str, kind: Type, text: str, *, openmetrics: bool) -> bytes:
    """HELP and TYPE of a family. `name` is that of its samples; OpenMetrics names a counter without `_total`."""
    if openmetrics and kind is Type.COUNTER:
        name = name.removesuffix("_total")
    return f"# HELP {name} {text}\n# TYPE {name} {kind}\n".encode()
