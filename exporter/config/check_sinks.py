"""What is wrong with the sinks beyond their values one by one."""

from collections.abc import Iterator, Sequence

from exporter.config import check_service, extras
from exporter.config.problems import Finding, Path, exactly_one
from exporter.config.sinks import KINDS, Jsonl, Otlp, Receiver, Sink, Webhook, kinds_of, name_of
from exporter.sinks.spec import STDOUT

#: Headers that a sink sets itself.
_OWN = dict.fromkeys(
    ("content-type", "idempotency-key", "user-agent", "webhook-id", "webhook-signature", "webhook-timestamp"),
    "the sink itself",
)


def sinks(blocks: Sequence[Sink]) -> Iterator[Finding]:
    """Kinds, names, receivers, and files that two sinks would write."""
    names: dict[str, int] = {}
    paths: dict[str, int] = {}
    for index, block in enumerate(blocks):
        path: Path = ("sinks", index)
        given = kinds_of(block)
        if wrong := exactly_one(given, KINDS):
            yield Finding(path, wrong)
            continue
        name = name_of(block)
        if (other := names.setdefault(name, index)) != index:
            place: Path = (*path, "name") if block.name is not None else path
            message = f"duplicate name {name[:100]!r}, first at {{0}}; give each a name of its own"
            yield Finding(place, message, others=(("sinks", other),))
        inner = (*path, given[0])
        match getattr(block, given[0]):
            case Jsonl() as jsonl:
                if (other := paths.setdefault(jsonl.path, index)) != index:
                    message = "another sink writes to this path, the one at {0}"
                    yield Finding((*inner, "path"), message, others=(("sinks", other),))
                if jsonl.rotate is not None and jsonl.path == STDOUT:
                    yield Finding((*inner, "rotate"), "standard output is not rotated", key=True)
            case Receiver() as receiver:
                yield from _receiver(inner, receiver)
                if isinstance(receiver, Otlp) and block.status:
                    message = "not with otlp, whose counters have to count every run"
                    yield Finding((*path, "status"), message, key=True)


def _receiver(path: Path, receiver: Receiver) -> Iterator[Finding]:
    yield from check_service.service(path, receiver, _OWN)
    if isinstance(receiver, Webhook) and receiver.secret is None:
        yield Finding(path, "requests are not signed: set secret, so that the receiver knows who they are from",
                      key=True, warning=True)  # fmt: skip
    if isinstance(receiver, Otlp):
        yield from _otlp(path, receiver)


def _otlp(path: Path, otlp: Otlp) -> Iterator[Finding]:
    if message := extras.missing("otlp"):
        yield Finding(path, message, key=True, warning=True)
    if otlp.protocol != "grpc":
        return
    if message := extras.missing("grpc"):
        yield Finding((*path, "protocol"), f"gRPC {message}", warning=True)
    if otlp.proxy is not None:
        yield Finding((*path, "proxy"), "gRPC to a receiver takes no proxy; allowed: protocol: http", key=True)
    for key in ("insecure_skip_verify", "min_version"):
        if otlp.tls is not None and getattr(otlp.tls, key):
            yield Finding((*path, "tls", key), "not with gRPC to a receiver; allowed: protocol: http", key=True)
