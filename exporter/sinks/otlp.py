"""The sink `otlp`: records as metrics for an OpenTelemetry receiver (OTLP 1), over HTTP with protobuf or over gRPC.

Needs the extra `[otlp]`, and `[grpc]` for gRPC; neither is imported before the first batch. OpenTelemetry's data model
and encoder are used, and not its exporters: those answer "failed" and no more, take a redirect for a success, keep
retries of their own and use the environment's proxy. Source: https://opentelemetry.io/docs/specs/otlp/.
"""

import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from exporter.contracts import Record, Refused
from exporter.ledger import Bounds
from exporter.model.extras import needs
from exporter.model.failure import Failure, Reason
from exporter.sinks.posting import post
from exporter.sinks.spec import Otlp
from exporter.transport import auth
from exporter.transport.thread import in_thread

if TYPE_CHECKING:
    from exporter.sinks.points import Points
    from exporter.transport.calls import Calls

_PATH = "/v1/metrics"
_METHOD = "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export"
#: gRPC statuses after which a batch is given up: the receiver understood it, and cannot use it.
_FINAL = frozenset({"INVALID_ARGUMENT", "FAILED_PRECONDITION", "ALREADY_EXISTS", "INTERNAL", "UNKNOWN"})
_REASONS = {
    "DEADLINE_EXCEEDED": Reason.TIMEOUT,
    "RESOURCE_EXHAUSTED": Reason.RATE_LIMITED,
    "UNAUTHENTICATED": Reason.AUTH,
    "PERMISSION_DENIED": Reason.AUTH,
    "UNAVAILABLE": Reason.CONNECT,
}
#: The environment's proxy is not asked, and a lost connection is tried again soon.
_OPTIONS = (("grpc.enable_http_proxy", 0), ("grpc.max_reconnect_backoff_ms", 2000))


class OtlpSink:
    """One receiver. `began`: Unix time from which counters count."""

    def __init__(
        self, settings: Otlp, calls: Callable[[], "Calls"], bounds: Bounds, wall: Callable[[], float] = time.time
    ) -> None:
        self._settings = settings
        self._calls = calls
        self._bounds = bounds
        self._began = wall()
        self._points: Points | None = None
        self._channel: Any = None
        path = "" if settings.to.url.rstrip("/").endswith(_PATH) else _PATH
        self._url = settings.to.url.rstrip("/") + path

    def encode(self, batch: Sequence[Record]) -> bytes:
        """An ExportMetricsServiceRequest. Raises `Failure` where the extra is not installed."""
        if self._points is None:
            try:
                from exporter.sinks.points import Points
            except ImportError:
                raise Failure(Reason.INTERNAL, needs("otlp")) from None
            self._points = Points(self._bounds, dict(self._settings.resource), self._began)
        return self._points.encode(batch)

    async def send(self, payload: bytes, key: str) -> None:
        """Export it. The key of each record is in its points."""
        to = self._settings.to
        if self._settings.protocol == "grpc":
            await in_thread(lambda: self._call(payload), "otlp")
            return
        headers = await in_thread(lambda: auth.headers_of(to), "otlp headers")
        headers["Content-Type"] = "application/x-protobuf"
        await post(self._calls, to, self._url, headers, payload, self._settings.timeout)

    async def close(self) -> None:
        """Close the channel, without waiting for what is on it."""
        channel, self._channel = self._channel, None
        if channel is not None:
            with suppress(OSError):
                await in_thread(channel.close, "otlp close")

    def _call(self, payload: bytes) -> None:
        """A unary call, in a thread. Raises `Failure` and `Refused`; texts of the peer are not quoted."""
        try:
            import grpc
        except ImportError:
            raise Failure(Reason.INTERNAL, needs("grpc")) from None
        to = self._settings.to
        metadata = tuple((name.lower(), value) for name, value in auth.headers_of(to).items())
        if self._channel is None:
            self._channel = self._open(grpc)
        try:
            self._channel.unary_unary(_METHOD)(payload, metadata=metadata, timeout=self._settings.timeout)
        except grpc.RpcError as error:
            status = str(error.code().name)
            if status in _FINAL:
                raise Refused(f"gRPC {status}") from None
            raise Failure(_REASONS.get(status, Reason.PROTOCOL), f"gRPC {status}") from None

    def _open(self, grpc: Any) -> Any:
        parts, tls = urlsplit(self._settings.to.url), self._settings.to.tls
        if parts.scheme in ("http", "grpc"):
            return grpc.insecure_channel(parts.netloc, options=_OPTIONS)
        read = [_read(path) for path in (tls.ca_file, tls.key_file, tls.cert_file)]
        named = (("grpc.ssl_target_name_override", tls.server_name),) if tls.server_name else ()
        return grpc.secure_channel(parts.netloc, grpc.ssl_channel_credentials(*read), options=(*_OPTIONS, *named))


def _read(path: str | None) -> bytes | None:
    if path is None:
        return None
    with open(path, "rb") as file:
        return file.read()
