"""The `sinks` block of the config: where records of results go, and the values it stands for."""

from collections.abc import Iterable
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, ValidationInfo, WithJsonSchema

from exporter.config.names import LabelValue, Name
from exporter.config.service import Service, ServiceUrl, service_of
from exporter.settings import (
    Count,
    Duration,
    PositiveDuration,
    Secret,
    Settings,
    Size,
    SmallCount,
    problem,
    resolve_path,
)
from exporter.sinks import spec
from exporter.sinks.spec import STDOUT

#: The kinds a sink may be, one of them.
KINDS = ("jsonl", "webhook", "otlp")


def _path(value: Any, info: ValidationInfo) -> str:
    if not isinstance(value, str) or not value or "\0" in value:
        raise problem("path", "found {found}; allowed: the path of a file, or - for standard output", found=value)
    return value if value == STDOUT else resolve_path(value, info)


SinkPath = Annotated[str, BeforeValidator(_path), WithJsonSchema({"type": "string", "minLength": 1})]


class Jsonl(Settings):
    """Lines of JSON, one for each record."""

    path: SinkPath = Field(description="The file; - is standard output.")
    rotate: Size | None = Field(
        None, description="Begin a new file before this one grows longer. Default: never; not for standard output."
    )
    keep: SmallCount = Field(5, description="Old files that stay: PATH.1 is the newest of them.")


class Receiver(Service):
    """Who gets records over a network."""

    timeout: PositiveDuration = Field(10.0, description="Time one try may take.")


class Webhook(Receiver):
    """Batches of records, posted as JSON: docs/sinks.md."""

    secret: Secret | None = Field(
        None, description="Signs each request (HMAC-SHA256, Standard Webhooks). Default: requests are not signed."
    )
    concurrency: SmallCount = Field(2, description="Requests under way at once.")


class Otlp(Receiver):
    """Records as metrics for an OpenTelemetry receiver; needs the extra `[otlp]`, and `[grpc]` for gRPC."""

    url: ServiceUrl = Field(
        description="Where it is: http:// or https://. Over HTTP, /v1/metrics is added where it does not end so."
    )
    protocol: Literal["http", "grpc"] = Field("http", description="OTLP over HTTP (protobuf), or over gRPC.")
    resource: dict[Name, LabelValue] = Field(
        {},
        description="Attributes of the resource. Default: service.name (model-exporter), service.instance.id (the "
        "host's name), service.version.",
    )


class Sink(Settings):
    """Where records go: exactly one of jsonl, webhook, otlp."""

    name: Name | None = Field(None, description="Unique name: the label `sink`. Default: the kind.")
    jsonl: Jsonl | None = Field(None, description="A file, or standard output.")
    webhook: Webhook | None = Field(None, description="An HTTP receiver of JSON.")
    otlp: Otlp | None = Field(None, description="An OpenTelemetry receiver of metrics.")
    only: list[Literal["result", "state_change", "evaluation"]] = Field(
        [], description="Types of records it gets. Default: all."
    )
    status: list[Literal["healthy", "unhealthy", "error"]] = Field(
        [], description="Of results, only those with one of these statuses; not with otlp. Default: all."
    )
    queue: Count = Field(10_000, description="Records that wait for it at most; then the oldest are dropped.")
    batch: SmallCount = Field(500, description="Records in one write or request at most.")
    flush: Duration = Field(1.0, description="How long a record may wait for its batch to fill.")


def kinds_of(block: Sink) -> list[str]:
    """The kinds a block gives; exactly one where it is right."""
    return [kind for kind in KINDS if getattr(block, kind) is not None]


def name_of(block: Sink) -> str:
    """Its name, or that of its kind."""
    return block.name if block.name is not None else "".join(kinds_of(block)[:1])


def specs(blocks: Iterable[Sink]) -> tuple[spec.Spec, ...]:
    """The sinks of a file that `loader.load` gave back."""
    return tuple(
        spec.Spec(
            name_of(block), _what(block), frozenset(block.only), frozenset(block.status), block.queue, block.batch,
            block.flush,
        )
        for block in blocks
    )  # fmt: skip


def _what(block: Sink) -> spec.Jsonl | spec.Webhook | spec.Otlp:
    if block.jsonl is not None:
        return spec.Jsonl(block.jsonl.path, block.jsonl.rotate, block.jsonl.keep)
    if block.webhook is not None:
        return spec.Webhook(
            service_of(block.webhook), block.webhook.secret, block.webhook.concurrency, block.webhook.timeout
        )
    assert block.otlp is not None  # noqa: S101 - check says so
    return spec.Otlp(
        service_of(block.otlp), block.otlp.protocol, tuple(block.otlp.resource.items()), block.otlp.timeout
    )
