"""An OTLP receiver built on OpenTelemetry's own messages and service, over HTTP and gRPC, and its points as series."""

import threading
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import accumulate
from types import TracebackType
from typing import Any, NamedTuple, Self

import grpc
from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2 as service
from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2_grpc as rpc


class Point(NamedTuple):
    """One point. A histogram's value is its count; `buckets` are cumulative, by upper bound; times in seconds."""

    name: str
    labels: Mapping[str, str]
    value: float
    at: float
    kind: str
    began: float
    record: str
    sum: float = 0.0
    buckets: Mapping[str, int] = {}

    @property
    def series(self) -> tuple[str, frozenset[tuple[str, str]]]:
        return self.name, frozenset(self.labels.items())


def points(request: Any) -> Iterable[Point]:
    """The points of an ExportMetricsServiceRequest."""
    for resource in request.resource_metrics:
        for scope in resource.scope_metrics:
            for metric in scope.metrics:
                kind = metric.WhichOneof("data")
                for point in getattr(metric, kind).data_points:
                    yield _point(metric.name, kind, point)


def _point(name: str, kind: str, point: Any) -> Point:
    labels = {each.key: each.value.string_value for each in point.attributes}
    marks = {each.key: each.value.string_value for one in point.exemplars for each in one.filtered_attributes}
    times = (point.time_unix_nano / 1e9, kind, point.start_time_unix_nano / 1e9, marks.get("record_id", ""))
    if kind == "histogram":
        edges = [*(str(float(bound)) for bound in point.explicit_bounds), "+Inf"]
        buckets = dict(zip(edges, accumulate(point.bucket_counts), strict=True))
        return Point(name, labels, point.count, *times, point.sum, buckets)
    return Point(name, labels, float(getattr(point, point.WhichOneof("value"))), *times)


class Receiver:
    """Serves both ways on ports of its own until `stop`; `start` opens the same ports again. With
    `status` it refuses over HTTP, with `code` over gRPC.
    """

    def __init__(self, ports: tuple[int, int]) -> None:
        self.http_port, self.grpc_port = ports
        self.requests: list[Any] = []
        self.headers: list[Mapping[str, str]] = []
        self.status = 200
        self.code: grpc.StatusCode | None = None
        self.start()

    def start(self) -> None:
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                path_good = self.path == "/v1/metrics" and self.headers["content-type"] == "application/x-protobuf"
                status = receiver.status if path_good else 404
                if status == 200:
                    receiver.headers.append({name.lower(): value for name, value in self.headers.items()})
                    receiver.requests.append(service.ExportMetricsServiceRequest.FromString(body))
                self.send_response(status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:
                pass

        class Servicer(rpc.MetricsServiceServicer):
            def Export(self, request: Any, context: Any) -> Any:  # noqa: N802 - the service's name
                if receiver.code is not None:
                    context.abort(receiver.code, "as told")
                receiver.headers.append(dict(context.invocation_metadata()))
                receiver.requests.append(request)
                return service.ExportMetricsServiceResponse()

        self._http = ThreadingHTTPServer(("127.0.0.1", self.http_port), Handler)
        self._http.daemon_threads = True
        self._http.block_on_close = False
        self._thread = threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        self._thread.start()
        self._grpc = grpc.server(ThreadPoolExecutor(4), options=(("grpc.so_reuseport", 0),))
        rpc.add_MetricsServiceServicer_to_server(Servicer(), self._grpc)
        assert self._grpc.add_insecure_port(f"127.0.0.1:{self.grpc_port}") == self.grpc_port
        self._grpc.start()

    def stop(self) -> None:
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()
        self._grpc.stop(None).wait(10)

    @property
    def points(self) -> list[Point]:
        """Everything it was sent, oldest first."""
        return [point for request in list(self.requests) for point in points(request)]

    def url(self, protocol: str) -> str:
        return f"http://127.0.0.1:{self.http_port if protocol == 'http' else self.grpc_port}"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def newest(found: Iterable[Point]) -> dict[tuple[str, frozenset[tuple[str, str]]], Point]:
    """The newest point of each series."""
    known: dict[tuple[str, frozenset[tuple[str, str]]], Point] = {}
    for point in found:
        known[point.series] = point
    return known


def as_scraped(found: Iterable[Point]) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    """The newest point of each series as Prometheus's text has it: a histogram is buckets, a sum and a count."""
    samples = {}
    for point in newest(found).values():
        if point.kind != "histogram":
            samples[point.series] = point.value
            continue
        for edge, count in point.buckets.items():
            samples[f"{point.name}_bucket", frozenset({**point.labels, "le": edge}.items())] = float(count)
        samples[f"{point.name}_sum", point.series[1]] = point.sum
        samples[f"{point.name}_count", point.series[1]] = point.value
    return samples
