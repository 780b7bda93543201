"""The `metrics` block of the config: how results are exposed."""

import itertools
import math
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, WithJsonSchema

from exporter.settings import Settings, problem


def _bounds(value: Any) -> list[float]:
    if not isinstance(value, list) or not value or len(value) > 100:
        raise problem("bounds", "found {found}; allowed: a list of 1 to 100 numbers in rising order", found=value)
    for number in value:
        if isinstance(number, bool) or not isinstance(number, int | float) or not math.isfinite(number) or number <= 0:
            raise problem(
                "bounds", "found {found}; allowed: finite numbers of seconds > 0 (+Inf is added)", found=number
            )
    if any(left >= right for left, right in itertools.pairwise(value)):
        raise problem("bounds", "the bounds are not in rising order")
    return [float(number) for number in value]


Bounds = Annotated[
    list[float],
    BeforeValidator(_bounds),
    WithJsonSchema(
        {"type": "array", "items": {"type": "number", "exclusiveMinimum": 0}, "minItems": 1, "maxItems": 100}
    ),
]


class Buckets(Settings):
    """Histogram bounds in seconds, where they are not the default."""

    duration: Bounds | None = Field(None, description="Of model_probe_duration_seconds.")
    ttft: Bounds | None = Field(None, description="Of model_probe_ttft_seconds.")
    inter_chunk: Bounds | None = Field(None, description="Of model_probe_inter_chunk_seconds.")


class Metrics(Settings):
    """How results are exposed."""

    histograms: Literal["classic", "native", "both"] = Field(
        "classic",
        description="Buckets of the histograms of watched targets for scrapers that ask for protobuf: `classic`, "
        "`native` (exponential, one series each) or `both`. Text always has classic ones. A probe that goes on keeps "
        "what it has.",
    )
    buckets: Buckets = Field(default_factory=Buckets, description="Bounds of classic buckets.")
