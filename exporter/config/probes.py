"""A probe as the config has it: what is asked, how often, how often again, and what is believed.

Keys of a protocol are kept as they were written (`model_extra`): which exist is known once target, module and defaults
are merged.
"""

import marshal
from typing import Annotated, Any, Literal

from pydantic import (
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationInfo,
    ValidatorFunctionWrapHandler,
    WithJsonSchema,
    WrapValidator,
)

from exporter.config.names import Name
from exporter.config.problems import did_you_mean
from exporter.model.failure import Evidence, Reason, row_of
from exporter.settings import Duration, PositiveDuration, Settings, SmallCount, problem

#: What a model can: a label's value.
Capability = Annotated[str, Field(pattern="^[a-z][a-z0-9_]{0,62}$")]
ProbeKind = Literal["health", "ready", "metadata", "infer", "stream", "evaluate"]

_NEVER = (Evidence.REFUSED, Evidence.WRONG, Evidence.BUSY, Evidence.NONE)
RETRIED_REASONS = tuple(reason.value for reason in Reason if row_of(reason).evidence not in _NEVER)


def _retry_on(value: Any) -> str | int:
    if isinstance(value, int) and not isinstance(value, bool):
        if 400 <= value <= 599 and row_of(Reason.HTTP_STATUS, value).evidence not in _NEVER and value != 529:
            return value
        raise problem(
            "retry_on", "found {found}; allowed: 408, a status of 500 to 599 but 529, or a reason", found=value
        )
    if isinstance(value, str) and value in RETRIED_REASONS:
        return value
    hint = ""
    if isinstance(value, str) and (near := did_you_mean(value, RETRIED_REASONS)).startswith("did you mean"):
        hint = f"{near} "
    allowed = ", ".join(RETRIED_REASONS)
    raise problem("retry_on", f"found {{found}}; {hint}allowed: a status such as 503, or one of {allowed}", found=value)


RetryOn = Annotated[
    str | int,
    BeforeValidator(_retry_on),
    WithJsonSchema({"anyOf": [{"enum": list(RETRIED_REASONS)}, {"type": "integer", "minimum": 408, "maximum": 599}]}),
]


class Retry(Settings):
    """Attempts within one run."""

    attempts: SmallCount | None = Field(
        None,
        description="Tries at most, the first included; of evaluate for each example. Default: 3, 1 for infer and "
        "stream.",
    )
    backoff: Duration | None = Field(
        None, description="Longest wait before the second try; it doubles with each further one. Default: 500ms."
    )
    max_backoff: Duration | None = Field(None, description="Longest wait before any try. Default: 5s.")
    on: list[RetryOn] | None = Field(
        None,
        description="Reasons and HTTP statuses that are worth a new try. Default: dns, connect_refused, connect, "
        "reset, disconnected, 502 and 503.",
    )


class Thresholds(Settings):
    """Runs in a row before a change is believed."""

    failure: SmallCount | None = Field(
        None, description="Runs that must fail in a row. Default: 1, for infer and stream 2."
    )
    success: SmallCount | None = Field(None, description="Runs that must succeed in a row. Default: 1.")


class Probe(Settings):
    """A named question asked on a schedule. Further keys depend on protocol and kind."""

    model_config = ConfigDict(extra="allow")

    kind: ProbeKind | None = Field(None, description="What it asks. Default: the probe's name.")
    interval: PositiveDuration | None = Field(
        None,
        description="Time between runs. Default: 15s for health and ready, 1m for infer and stream, 5m for metadata, "
        "6h for evaluate, 1h with a capability.",
    )
    timeout: PositiveDuration | None = Field(
        None,
        description="Time one attempt, of evaluate one example, may take. Default: 5s, 30s for infer, stream and "
        "evaluate.",
    )
    recheck: PositiveDuration | None = Field(
        None,
        description="First wait before a failed infer or stream is asked again; it doubles up to the interval. "
        "Default: 5s, at most the interval.",
    )
    drift: bool | None = Field(
        None,
        description="Hold the answers of an infer or stream probe against each other: see docs/drift.md. Default: "
        "where the same question has to bring the same answer: with a seed, with temperature 0 and cache: warm, and "
        "of tensors, predictions, embeddings and rankings.",
    )
    capability: Capability | None = Field(
        None,
        description="What an infer or stream probe shows that the model can, such as tools, json_schema or embeddings. "
        "It sets model_probe_capability and is no part of the state.",
    )
    retry: Retry | None = Field(None, description="Attempts within one run.")
    thresholds: Thresholds | None = Field(None, description="Runs in a row before a change is believed.")


def _share(what: str) -> WrapValidator:
    """Equal blocks become one object: most of ten thousand targets are alike, and what is one is judged once."""

    def validated(value: Any, validate: ValidatorFunctionWrapHandler, info: ValidationInfo) -> Any:
        shared = (info.context or {}).get("shared")
        if shared is None or not isinstance(value, dict):
            return validate(value)
        key = (what, marshal.dumps(value, 2))
        if key not in shared:
            shared[key] = validate(value)
        return shared[key]

    return WrapValidator(validated)


#: Probes by name. Validation with `context={"shared": {}}` makes equal ones the same object, and equal probes in them.
Probes = Annotated[dict[Name, Annotated[Probe, _share("probe")] | None], _share("probes")]
