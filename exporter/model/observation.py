"""What one attempt brought back: what the transport measured and what the protocol saw."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from exporter.model.failure import Failure
from exporter.model.stream import StreamSummary, Tokens

PHASES = ("dns", "connect", "tls", "first_byte", "transfer")


@dataclass(frozen=True, slots=True)
class Measurement:
    """What the transport measured over one attempt. Seconds; differences of stamps taken as bytes arrived.

    `duration` runs from the start of the look-up to the last byte, summed over the attempt's requests; None when
    nothing was sent. `phases` holds those of PHASES that happened. `certificate_not_after` is Unix time.
    """

    duration: float | None = None
    phases: Mapping[str, float] = field(default_factory=dict)
    http_status: int | None = None
    response_bytes: int | None = None
    certificate_not_after: float | None = None
    address: str = ""


@dataclass(frozen=True, slots=True)
class Detection:
    """What `auto` found: a protocol, the server's name where it told it, the probes to run, and why."""

    protocol: str
    server: str
    probes: tuple[str, ...]
    why: str


@dataclass(frozen=True, slots=True)
class Observation:
    """What a protocol saw. `failure` set: it answered, and said or showed it is not well.

    `info` holds text for model_probe_info (server, server_version, model_version, platform, model_id ...); `facts`
    numbers for model_probe_metadata. `answer` is the beginning of what the model said, for people and never a label.
    """

    failure: Failure | None = None
    info: Mapping[str, str] = field(default_factory=dict)
    facts: Mapping[str, float] = field(default_factory=dict)
    stream: StreamSummary | None = None
    tokens: Tokens | None = None
    detected: Detection | None = None
    answer: str = ""
