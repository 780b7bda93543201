"""What a sink is told to be: plain values, equal exactly when a reload may leave the sink alone."""

from dataclasses import dataclass
from typing import Literal

from exporter.contracts import Record
from exporter.model.endpoint import Service
from exporter.model.secret import Secret

#: The path that means standard output.
STDOUT = "-"
#: Kinds of records, in the order docs show them.
TYPES = ("result", "state_change", "evaluation")


@dataclass(frozen=True, slots=True)
class Jsonl:
    """Lines of JSON in a file, or on standard output. `rotate` is in bytes, None: never; `keep` old files stay."""

    path: str
    rotate: int | None = None
    keep: int = 5


@dataclass(frozen=True, slots=True)
class Webhook:
    """Batches posted to a receiver, `concurrency` at once, each try for `timeout` seconds; signed where there is a
    `secret`.
    """

    to: Service
    secret: Secret | None = None
    concurrency: int = 2
    timeout: float = 10.0


@dataclass(frozen=True, slots=True)
class Otlp:
    """Metrics for an OpenTelemetry receiver, over `http` (protobuf) or `grpc`, each try for `timeout` seconds.
    `resource`: further attributes of it.
    """

    to: Service
    protocol: Literal["http", "grpc"] = "http"
    resource: tuple[tuple[str, str], ...] = ()
    timeout: float = 10.0


@dataclass(frozen=True, slots=True)
class Spec:
    """One sink. `only` holds types of records, `status` statuses of results; empty: all.

    At most `queue` records wait for it; they go out in batches of at most `batch`, each no later than `flush` seconds
    after its first record came.
    """

    name: str
    what: Jsonl | Webhook | Otlp
    only: frozenset[str] = frozenset()
    status: frozenset[str] = frozenset()
    queue: int = 10_000
    batch: int = 500
    flush: float = 1.0

    @property
    def writers(self) -> int:
        """Batches on their way at once. Lines of a file and points of a series have to come in order."""
        return self.what.concurrency if isinstance(self.what, Webhook) else 1

    def wants(self, record: Record) -> bool:
        """Whether the sink is to have a record. Only results have a status."""
        if self.only and record.type not in self.only:
            return False
        return not (self.status and record.status and record.status not in self.status)
