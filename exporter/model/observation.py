"""What one attempt brought back: what the transport measured and what the protocol saw."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from exporter.model.failure import Failure
from exporter.model.frozen import frozen
from exporter.model.score import Score
from exporter.model.stream import StreamSummary, Tokens

PHASES = ("dns", "connect", "tls", "first_byte", "transfer")


class Part(StrEnum):
    """A part of a server's own account of a request: waiting, reading the prompt, writing the answer, or (where it does
    not tell these two apart, or there are none) all of its work.
    """

    QUEUE = "queue"
    PREFILL = "prefill"
    DECODE = "decode"
    COMPUTE = "compute"


#: A server's own account of one request: seconds by part, as far as it told.
Account = Mapping[Part, float]


class Stamps(StrEnum):
    """Who stamps what arrives: the event loop when it comes to read it, the kernel when it receives it, or for some
    reads one and for some the other.
    """

    LOOP = "loop"
    KERNEL = "kernel"
    MIXED = "mixed"


@frozen
class Measurement:
    """What the transport measured over one attempt. Seconds; differences of stamps taken as bytes arrived.

    `duration` runs from the start of the look-up to the last byte, summed over the attempt's requests; None when
    nothing was sent. `phases` holds those of PHASES that happened. `certificate_not_after` is Unix time. `stamps` are
    those of what was read.
    """

    duration: float | None = None
    phases: Mapping[str, float] = field(default_factory=dict)
    http_status: int | None = None
    response_bytes: int | None = None
    certificate_not_after: float | None = None
    address: str = ""
    stamps: Stamps = Stamps.LOOP


@dataclass(frozen=True, slots=True)
class Detection:
    """What `auto` found: a protocol, the server's name where it told it, the probes to run, and why."""

    protocol: str
    server: str
    probes: tuple[str, ...]
    why: str


@dataclass(frozen=True, slots=True)
class Proposal:
    """A canary that `init` may write down: the probe's kind, its settings as a config has them, and what it asks, in
    words that follow "The real question:".
    """

    kind: str
    settings: Mapping[str, Any]
    comment: str


@frozen
class Output:
    """A whole answer, for a caller who wants it and not only to know that it was right. No run keeps it.

    `value` is its JSON as the server wrote it, `text` what the model said, `vectors` the embeddings, one per input.
    `body` is there in their place where nothing is known of the answer's form. `essence` is what comes back alike when
    the same is asked again, where neither text nor vectors are that: a request's id is not, predictions are.
    """

    value: Any = None
    text: str = ""
    vectors: Sequence[Sequence[float]] = ()
    body: bytes = b""
    essence: Any = None


@frozen
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
    #: Of a `catalogue` run: names of the models the server lists, in its order; () when it lists none.
    models: tuple[str, ...] | None = None
    #: Of a `propose` run; None where there is nothing to propose.
    proposal: Proposal | None = None
    #: Of a canary: where the time went, by the server's own account.
    server_seconds: Account = field(default_factory=dict)
    #: Of a canary: the whole answer. The runner drops it.
    output: Output | None = field(default=None, repr=False)
    #: Of an evaluation: what it found.
    score: Score | None = None


#: What most runs of cheap probes see: the server is well, and says no more.
NOTHING_MORE = Observation()
