"""What a client gives back: small frozen values. All durations are seconds."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from exporter.model.failure import Evidence, Reason
from exporter.model.observation import Measurement
from exporter.model.stream import Tokens


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """How a server is, or its model. True where it is well.

    `evidence` tells `loading` and `busy` from `broken` and `dead`; `reason` and `detail` say why it is not ok.
    `duration` and `phases` (dns, connect, tls, first_byte, transfer) are those of the last attempt, `duration` None
    when nothing was sent; `http_status` is None when no answer came.
    """

    ok: bool
    evidence: Evidence
    reason: Reason | None = None
    detail: str = ""
    http_status: int | None = None
    duration: float | None = None
    phases: Mapping[str, float] = field(default_factory=dict)
    attempts: int = 1
    trace_id: str = ""

    def __bool__(self) -> bool:
        return self.ok


@dataclass(frozen=True, slots=True, kw_only=True)
class Metadata(Check):
    """What a server tells of itself and its model, in words (`server`, `server_version`, `model_version`, `platform`,
    `model_id`) and in numbers (such as `max_model_len`). It may have told some of it and still not be ok.
    """

    info: Mapping[str, str] = field(default_factory=dict)
    facts: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """A prediction.

    `value` is the answer's JSON as the server wrote it, None where it is none; `text` what the model said, or the body
    as text where nothing is known of its form (`body` then holds the bytes); `vectors` the embeddings, one per input.
    `tokens` is the server's own count, None where it told none; `info` what it said of itself meanwhile, such as the
    `model_version` that answered.
    """

    value: Any
    text: str = ""
    vectors: Sequence[Sequence[float]] = ()
    body: bytes = field(default=b"", repr=False)
    tokens: Tokens | None = None
    info: Mapping[str, str] = field(default_factory=dict)
    measurement: Measurement = field(default_factory=Measurement, repr=False)
    attempts: int = 1
    trace_id: str = ""

    @property
    def duration(self) -> float | None:
        """Seconds from the look-up to the last byte of the attempt that succeeded."""
        return self.measurement.duration

    @property
    def phases(self) -> Mapping[str, float]:
        """The parts of `duration`: dns, connect, tls, first_byte, transfer, as far as there were any."""
        return self.measurement.phases


def json_of(body: bytes) -> Any:
    """The value of a body that is JSON, None for any other."""
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None
